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
    reasons_table,
    say,
    show,
    show_left_out,
    with_storage_options,
)
from flowmo_data.errors import FilesError, FilesNotFoundError, FlowmoDataError, IndexVersionError, counted
from flowmo_data.runtime.processes import num_cores
from flowmo_data.sources import Store, is_url
from flowmo_data.sources.tables import check_suffix
from flowmo_data.tracks.index import INDEX_SUFFIX, AudioIndex
from flowmo_data.tracks.index.schema import METADATA, SEGMENTS
from flowmo_data.tracks.index.segments import SegmentColumns


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
@click.option(
    "--metadata",
    type=click.Path(dir_okay=False),
    help="Table (CSV, JSON lines or Parquet) with a row for each file, named by its column file_name.",
)
@click.option(
    "--segments",
    type=click.Path(dir_okay=False),
    help="Table with a row for each segment: file_name, start and stop (or offset and duration), in seconds.",
)
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
    fresh: bool,
    storage_options: dict[str, Any],
) -> None:
    """Write the lengths of all files in FOLDER, and the positions of their packets, to an index.

    FOLDER is a folder of audio, a file or a glob, or the URL of one. Give the index to StreamingAudioDataset in place
    of the folder. All ranks then have the same number of frames, lengths are known, and any frame is found at once.
    Nothing is decoded.

    Several folders with names, such as mixture=mix/ vocals=vocals/, have files that are aligned with each other: each
    frame is cut at the same place of all files with the same path below their folders, apart from the suffix.

    If the index already exists, only files that have changed are read. Tables are always read: an index has the
    metadata and the segments of the tables that were given last.
    """
    if not output.endswith(INDEX_SUFFIX):
        raise click.UsageError(f"-o {output}: the name of an index must end in {INDEX_SUFFIX}")
    files = parse_files(folders)
    if isinstance(files, str) and files.endswith(INDEX_SUFFIX):
        raise click.UsageError(f"{files} is an index; to update it, give the folder of its files")
    previous = _previous(output, files if root is None and isinstance(files, str) else root, storage_options)
    if not is_url(output):
        check_writable(Path(output), "-o")
    for table in (metadata, segments):
        if table is not None:
            check_suffix(table)
    built = build_with_progress(
        files,
        root=root,
        previous=None if fresh else previous,
        workers=workers,
        storage_options=storage_options,
    )
    if metadata is not None:
        built = built.with_metadata(metadata)
    if segments is not None:
        built = built.with_segments(segments)
    bad = built.bad_files()
    if bad:
        show(reasons_table("left out", bad, built.root))
    if isinstance(built.columns, SegmentColumns):
        _show_damaged(built.columns, built.root)
    show_left_out(files, storage_options)
    noun = "set" if built.names else "file"
    good = len(built) - len(built.columns.left_out())
    if not good:
        raise FlowmoDataError(
            f"{' '.join(folders)}: none of {counted(len(built), noun)} can be read; nothing is written"
        )
    built.save(output)
    hours = float(built.columns.seconds().sum()) / 3_600
    tracks = counted(good, noun)
    if isinstance(built.columns, SegmentColumns):
        of_files = len(set(built.columns.file_of.tolist()))
        tracks = f"{counted(len(built.columns), 'segment')} of {counted(of_files, 'file')}"
    say(f"{output}: {tracks}, {hours:,.2f} hours; {counted(len(built) - good, f'bad {noun}')}")
    _say_what_is_gone(output, previous, built)


def _show_damaged(segments: SegmentColumns, root: str) -> None:
    damaged = {segments.files.path(file): problem for file, problem in segments.damaged_files().items()}
    if damaged:
        show(reasons_table("damaged, or segments past its end", damaged, root))


def _say_what_is_gone(output: str, previous: AudioIndex | None, built: AudioIndex) -> None:
    """Print what the index had until now and has no more."""
    if previous is None:
        return
    had, has = (set(each.table.column_names) for each in (previous, built))
    for gone in sorted((had - has) & {METADATA, SEGMENTS}):
        say(f"{output}: it had {gone} until now, and has none any more; to have them again, give --{gone} TABLE")


def build_with_progress(
    files: str | Mapping[str, str],
    *,
    root: str | None = None,
    previous: AudioIndex | None = None,
    workers: int | None = None,
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
