"""`flowmo-data merge`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from flowmo_data.cli.check_report import REPORT_SUFFIX, merged_report
from flowmo_data.cli.console import check_writable, plain_errors, with_storage_options
from flowmo_data.cli.new_index import check_names, joined, save, say_what_is_gone, with_tables
from flowmo_data.sources import Store, is_url
from flowmo_data.sources.corpus_parts.files import find_part_files
from flowmo_data.sources.paths import absolute
from flowmo_data.tracks.index import AudioIndex
from flowmo_data.tracks.index.merging import merged_table
from flowmo_data.tracks.index.storing import stored_columns


@click.command()
@click.argument("parts", metavar="PARTS...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False),
    help="The new index, NAME.parquet or its URL; or the new report of check, NAME.json.",
)
@click.option(
    "--root",
    type=click.Path(file_okay=False),
    help="Folder of the files, if it was not at the same place for all parts.",
)
@with_tables
@click.option(
    "--quarantine",
    "quarantine_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="For reports of check: write the paths of damaged and unreadable files to FILE.",
)
@with_storage_options
@plain_errors
def merge(
    parts: tuple[str, ...],
    output: str,
    root: str | None,
    metadata: str | None,
    segments: str | None,
    quarantine_path: Path | None,
    storage_options: dict[str, Any],
) -> None:
    """Make one index, or one report of check, from those of all parts of a corpus.

    PARTS are the files that flowmo-data index --part K/N -o has written, in any order, or those of flowmo-data check
    --part K/N --json: files, a folder that holds them, or globs, or URLs of these. The result is the same, byte for
    byte, as if one machine had done all the work. The files of the corpus are not read.

    Exit status, for reports of check: 0 if all files are whole, 1 if one is not.
    """
    store = Store(storage_options)
    if not is_url(output):
        check_writable(Path(output), "-o")
    if output.endswith(REPORT_SUFFIX):
        if is_url(output):
            raise click.UsageError(f"-o {output}: a report is written to a local file; copy it to the store then")
        _merge_reports(parts, Path(output), quarantine_path, store, root, metadata, segments)
        return
    if quarantine_path is not None:
        raise click.UsageError(f"--quarantine is for reports of check, and -o {output} is an index")
    check_names(output, metadata, segments)
    had = stored_columns(output, store)
    merged = AudioIndex(*merged_table(parts, root, store, besides=absolute(output)), storage_options)
    merged = joined(merged, metadata, segments)
    save(merged, output, " ".join(parts), storage_options)
    say_what_is_gone(output, had, merged)


def _merge_reports(
    parts: tuple[str, ...], output: Path, quarantine_path: Path | None, store: Store, *of_indexes: str | None
) -> None:
    if any(each is not None for each in of_indexes):
        raise click.UsageError(
            f"--root, --metadata and --segments are for indexes, and -o {output} is a report of check"
        )
    if quarantine_path is not None:
        check_writable(quarantine_path, "--quarantine")
    paths = find_part_files(parts, REPORT_SUFFIX, store, besides=absolute(output))
    report = merged_report(paths, store)
    report.publish(".", output, quarantine_path)
    if not report.is_good:
        sys.exit(1)
