"""`flowmo-data inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from flowmo_data.cli.console import (
    check_writable,
    parse_files,
    plain_errors,
    reasons_table,
    say,
    show,
    show_left_out,
    with_storage_options,
)
from flowmo_data.cli.index import build_with_progress
from flowmo_data.cli.summary import draw_summary, summarize
from flowmo_data.errors import FlowmoDataError, counted, shown
from flowmo_data.runtime.figures import check_format
from flowmo_data.tracks.index import INDEX_SUFFIX, AudioIndex


@click.command()
@click.argument("folders", metavar="FOLDER|INDEX|NAME=FOLDER...", nargs=-1, required=True)
@click.option("--sr", default=44_100, show_default=True, type=click.IntRange(1), help="Sample rate of frames, Hz.")
@click.option("--samples-per-frame", default=196_608, show_default=True, type=click.IntRange(1))
@click.option("--workers", type=click.IntRange(0), help="Processes that read a folder.  [default: one per core]")
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures to FILE.")
@click.option("--plot", "plot_path", type=click.Path(path_type=Path, dir_okay=False), help="Draw a picture to FILE.")
@with_storage_options
@plain_errors
def inspect(
    folders: tuple[str, ...],
    sr: int,
    samples_per_frame: int,
    workers: int | None,
    json_path: Path | None,
    plot_path: Path | None,
    storage_options: dict[str, Any],
) -> None:
    """Summarize a folder of audio, a manifest or an index, or the URL of one: hours, formats, lengths and problems.

    Several folders with names, such as mixture=mix/ vocals=vocals/, have files that are aligned with each other.
    """
    files = parse_files(folders)
    if json_path:
        check_writable(json_path, "--json")
    if plot_path:
        check_format(plot_path)
        check_writable(plot_path, "--plot")
    is_index = isinstance(files, str) and files.endswith(INDEX_SUFFIX)
    if is_index:
        index = AudioIndex.load(str(files), storage_options=storage_options)
    else:
        index = build_with_progress(files, workers=workers, storage_options=storage_options)
    summary = summarize(index, sr=sr, samples_per_frame=samples_per_frame)
    _print(summary)
    summary["left_out"] = {} if is_index else show_left_out(files, storage_options)
    if not summary["files"]:
        raise FlowmoDataError(f"{' '.join(folders)}: none of {counted(len(index.files), 'file')} can be read")
    if json_path:
        json_path.write_text(json.dumps(summary, indent=1) + "\n")
    if plot_path:
        draw_summary(index, summary, plot_path)


def _print(summary: dict[str, Any]) -> None:
    pad, drop = summary["frames_per_epoch"]["pad"], summary["frames_per_epoch"]["drop"]
    lines = [
        f"{summary['root']}: {counted(summary['files'], 'file')}, {summary['hours']:,.2f} hours, "
        f"{summary['bytes'] / 1e6:,.1f} MB",
        f"{pad:,} frames of {summary['samples_per_frame']:,} samples per epoch ({drop:,} with framing='drop'), at "
        f"{summary['sr']:,} Hz",
    ]
    if summary["names"]:
        lines.insert(1, f"{counted(summary['sets'], 'set')} of {', '.join(summary['names'])}, aligned with each other")
    if "segments" in summary:
        lines.append(f"{counted(summary['segments'], 'segment')}, {summary['segment_hours']:,.2f} hours")
    for line in lines:
        say(line)
    if summary["files"]:
        show(_kinds_table(summary))
        show(_quantiles_table(summary))
    if summary["metadata"]:
        show(_metadata_table(summary["metadata"]))
    for title, files in (("damaged", summary["damaged_files"]), ("cannot be read", summary["bad_files"])):
        if files:
            show(reasons_table(title, files, summary["root"]))


def _kinds_table(summary: dict[str, Any]) -> Table:
    table = Table("", "", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("files", justify="right")
    table.add_column("hours", justify="right")
    for title, key in (("format", "formats"), ("sample rate, Hz", "sample_rates"), ("channels", "channels")):
        for name, sums in summary[key].items():
            table.add_row(title, name, f"{sums['files']:,}", f"{sums['hours']:,.2f}")
            title = ""
    return table


def _metadata_table(types: dict[str, str]) -> Table:
    table = Table("metadata", "type", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, kind in types.items():
        table.add_row(Text(shown(name)), Text(kind))
    return table


def _quantiles_table(summary: dict[str, Any]) -> Table:
    table = Table("per file", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("least", "quarter", "median", "3 quarters", "most"):
        table.add_column(name, justify="right")
    table.add_row("seconds", *(f"{value:,.1f}" for value in summary["seconds"].values()))
    table.add_row("kbit/s", *(f"{value:,.0f}" for value in summary["kilobits_per_second"].values()))
    return table
