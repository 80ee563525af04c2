"""What the commands that write an index share: tables to join, the problems, the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from flowmo_data.cli.console import reasons_table, say, show
from flowmo_data.errors import FlowmoDataError, counted
from flowmo_data.sources.metadata.tables import check_suffix
from flowmo_data.tracks.index import INDEX_SUFFIX, AudioIndex
from flowmo_data.tracks.index.schema import METADATA, SEGMENTS
from flowmo_data.tracks.index.segments import SegmentColumns


def with_tables(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options `--metadata` and `--segments` to a command."""
    metadata = click.option(
        "--metadata",
        type=click.Path(dir_okay=False),
        help="Table (CSV, JSON lines or Parquet) with a row for each file, named by its column file_name.",
    )
    segments = click.option(
        "--segments",
        type=click.Path(dir_okay=False),
        help="Table with a row for each segment: file_name, start and stop (or offset and duration), in seconds.",
    )
    return metadata(segments(command))


def check_names(output: str, *tables: str | None) -> None:
    """Raise if the name of a new index, or of a table, has not the right suffix.

    Raises:
        click.UsageError: the name of the index has not.
        OptionError: that of a table has not.
    """
    if not output.endswith(INDEX_SUFFIX):
        raise click.UsageError(f"-o {output}: the name of an index must end in {INDEX_SUFFIX}")
    for table in tables:
        if table is not None:
            check_suffix(table)


def joined(built: AudioIndex, metadata: str | None, segments: str | None) -> AudioIndex:
    """Return an index with the tables joined. Print the problems of its files."""
    if metadata is not None:
        built = built.with_metadata(metadata)
    if segments is not None:
        built = built.with_segments(segments)
    bad = built.bad_files()
    if bad:
        show(reasons_table("left out", bad, built.root))
    if isinstance(built.columns, SegmentColumns):
        columns = built.columns
        damaged = {columns.files.path(file): problem for file, problem in columns.damaged_files().items()}
        if damaged:
            show(reasons_table("damaged, or segments past its end", damaged, built.root))
    return built


def save(built: AudioIndex, output: str, source: str, storage_options: dict[str, Any]) -> None:
    """Write an index, and print what is in it.

    Args:
        built: the index.
        output: its file, or the URL of that.
        source: what it was made from, for the message.
        storage_options: options for a URL.

    Raises:
        FlowmoDataError: none of the files can be read. That is no error for a part of a corpus.
    """
    noun = "set" if built.names else "file"
    good = len(built) - len(built.columns.left_out())
    if not good and built.part is None:
        raise FlowmoDataError(f"{source}: none of {counted(len(built), noun)} can be read; nothing is written")
    built.save(output, storage_options=storage_options)
    hours = float(built.columns.seconds().sum()) / 3_600
    tracks = counted(good, noun)
    if isinstance(built.columns, SegmentColumns):
        of_files = len(set(built.columns.file_of.tolist()))
        tracks = f"{counted(len(built.columns), 'segment')} of {counted(of_files, 'file')}"
    part = "" if built.part is None else f" (part {built.part})"
    say(f"{output}{part}: {tracks}, {hours:,.2f} hours; {counted(len(built) - good, f'bad {noun}')}")


def say_what_is_gone(output: str, had: set[str], built: AudioIndex) -> None:
    """Print which of the columns that an index had until now it has no more."""
    for gone in sorted((had - set(built.table.column_names)) & {METADATA, SEGMENTS}):
        say(f"{output}: it had {gone} until now, and has none any more; to have them again, give --{gone} TABLE")
