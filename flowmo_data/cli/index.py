"""`flowmo-data index`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from flowmo_data.cli.console import (
    check_writable,
    parse_files,
    plain_errors,
    progress,
    say,
    show_left_out,
    with_storage_options,
)
from flowmo_data.cli.new_index import check_names, joined, save, say_what_is_gone, with_tables
from flowmo_data.cli.part_option import with_part
from flowmo_data.errors import FilesError, FilesNotFoundError, FlowmoDataError, IndexVersionError
from flowmo_data.runtime.processes import num_cores
from flowmo_data.sources import Store, is_url
from flowmo_data.sources.corpus_parts.part import CorpusPart
from flowmo_data.tracks.index import INDEX_SUFFIX, AudioIndex


@click.command()
@click.argument("folders", metavar="FOLDER|NAME=FOLDER...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False),
    help="The new index: NAME.parquet, or its URL.",
)
@click.option(
    "--root",
    type=click.Path(file_okay=False),
    help="Folder that the index's paths are relative to.  [default: FOLDER]",
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    help="Processes that read; 0 reads in the main process.  [default: one per core]",
)
@with_tables
@with_part("Read")
@click.option("--fresh", is_flag=True, help="Read all files again, even if they have not changed.")
@with_storage_options
@plain_errors
def index(
    folders: tuple[str, ...],
    output: str,
    root: str | None,
    workers: int | None,
    metadata: str | None,
    segments: str | None,
    part: CorpusPart | None,
    fresh: bool,
    storage_options: dict[str, Any],
) -> None:
    """Write the lengths of all files in FOLDER, and the positions of their packets, to an index.

    FOLDER is a folder of audio, a file, a tar, a glob or a manifest (.txt, .csv, .jsonl, .m3u), or the URL of one. Give
    the index to StreamingAudioDataset in place of the folder. All ranks then have the same number of frames,
    lengths are known, and any frame is found at once. Only WMA, and Vorbis in Matroska, are decoded for that.

    Several folders with names, such as mixture=mix/ vocals=vocals/, have files that are aligned with each other: each
    frame is cut at the same place of all files with the same path below their folders, apart from the suffix.

    If the index already exists, only files that have changed are read. Tables are always read: an index has the
    metadata and the segments of the tables that were given last.

    Many machines can share the work: with --part 1/16, 2/16 and so on, each reads its part of the files, and
    flowmo-data merge makes one index of the parts. Tables are given to merge then.
    """
    check_names(output, metadata, segments)
    files = parse_files(folders)
    if isinstance(files, str) and files.endswith(INDEX_SUFFIX):
        raise click.UsageError(f"{files} is an index; to update it, give the folder of its files")
    if part is not None and (metadata is not None or segments is not None):
        raise click.UsageError(
            "--metadata and --segments are about the whole corpus: give them to flowmo-data merge, not with --part"
        )
    previous = _previous(output, files if root is None and isinstance(files, str) else root, storage_options)
    if previous is not None:
        _check_same_part(output, previous.part, part)
    if not is_url(output):
        check_writable(Path(output), "-o")
    built = build_with_progress(
        files,
        root=root,
        previous=None if fresh else previous,
        workers=workers,
        part=part,
        storage_options=storage_options,
    )
    built = joined(built, metadata, segments)
    if part is None:  # parts have the line in the log
        show_left_out(files, storage_options)
    save(built, output, " ".join(folders), storage_options)
    if previous is not None:
        say_what_is_gone(output, set(previous.table.column_names), built)


def _check_same_part(output: str, previous: CorpusPart | None, part: CorpusPart | None) -> None:
    """Raise if a part would replace another, as it does if all machines write to one name, or a whole would."""
    if (previous and (previous.number, previous.count)) != (part and (part.number, part.count)):
        there = "the index of a whole corpus" if previous is None else f"part {previous}"
        new = "the index of a whole corpus" if part is None else f"part {part}"
        name = f", such as part-{part.number}{INDEX_SUFFIX}" if part else ""
        raise FlowmoDataError(
            f"{output}: it is {there}, and {new} would replace it; give each a name of its own{name}, or delete it"
        )


def build_with_progress(
    files: str | Mapping[str, str],
    *,
    root: str | None = None,
    previous: AudioIndex | None = None,
    workers: int | None = None,
    part: CorpusPart | None = None,
    storage_options: dict[str, Any] | None = None,
) -> AudioIndex:
    """Build an index and show the progress."""
    with progress() as display:
        task = display.add_task("reading packets", total=None)
        return AudioIndex.build(
            files,
            root=root,
            previous=previous,
            num_workers=num_cores() if workers is None else workers,
            on_files=lambda done, total: display.update(task, completed=done, total=total),
            part=None if part is None else (part.number, part.count),
            storage_options=storage_options,
        )


def _previous(output: str, root: str | None, storage_options: dict[str, Any]) -> AudioIndex | None:
    """Return the index that exists at `output`; raise if another file is there, so as not to overwrite it."""
    if not (Store(storage_options).exists(output) if is_url(output) else os.path.exists(output)):
        return None
    try:
        return AudioIndex.load(output, storage_options=storage_options)
    except IndexVersionError:
        say(f"{output}: made by another version; all files are read again")
        return None
    except FilesNotFoundError:  # its files have moved
        try:
            return AudioIndex.load(output, root=root, storage_options=storage_options)
        except FilesNotFoundError:
            return None
    except FilesError as error:
        raise FlowmoDataError(f"{error}, or delete it, or choose another name") from error
