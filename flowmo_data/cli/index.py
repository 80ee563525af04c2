"""`flowmo-data index`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from flowmo_data.cli.console import (
    check_writable,
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
from flowmo_data.tracks.index import INDEX_SUFFIX, AudioIndex


@click.command()
@click.argument("folder")
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
@click.option("--fresh", is_flag=True, help="Read all files again, even if they have not changed.")
@with_storage_options
@plain_errors
def index(
    folder: str, output: str, root: str | None, workers: int | None, fresh: bool, storage_options: dict[str, Any]
) -> None:
    """Write the lengths of all files in FOLDER, and the positions of their packets, to an index.

    FOLDER is a folder of audio, a file or a glob, or the URL of one. Give the index to StreamingAudioDataset in place
    of the folder. All ranks then have the same number of frames, lengths are known, and any frame is found at once.
    Nothing is decoded.

    If the index already exists, only files that have changed are read.
    """
    if not output.endswith(INDEX_SUFFIX):
        raise click.UsageError(f"-o {output}: the name of an index must end in {INDEX_SUFFIX}")
    if folder.endswith(INDEX_SUFFIX):
        raise click.UsageError(f"{folder} is an index; to update it, give the folder of its files")
    previous = _previous(output, root or folder, storage_options)
    if not is_url(output):
        check_writable(Path(output), "-o")
    built = build_with_progress(
        folder,
        root=root,
        previous=None if fresh else previous,
        workers=workers,
        storage_options=storage_options,
    )
    bad = built.bad_files()
    if bad:
        show(reasons_table("cannot be read", bad, built.root))
    show_left_out(folder, storage_options)
    if len(bad) == len(built):
        raise FlowmoDataError(f"{folder}: none of {counted(len(bad), 'file')} can be read; nothing is written")
    built.save(output)
    hours = float(built.columns.seconds().sum()) / 3_600
    say(f"{output}: {counted(len(built) - len(bad), 'file')}, {hours:,.2f} hours; {counted(len(bad), 'bad file')}")


def build_with_progress(
    folder: str,
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
            folder,
            root=root,
            previous=previous,
            num_workers=num_cores() if workers is None else workers,
            on_files=lambda done, total: display.update(task, completed=done, total=total),
            storage_options=storage_options,
        )


def _previous(output: str, root: str, storage_options: dict[str, Any]) -> AudioIndex | None:
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
