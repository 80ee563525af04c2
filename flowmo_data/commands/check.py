"""`flowmo-data check`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
from rich import box
from rich.table import Table
from rich.text import Text

from flowmo_data.checking import DAMAGED, UNREADABLE, WHOLE, FileCheck, check_file
from flowmo_data.commands.console import check_writable, console, plain_errors, progress, say
from flowmo_data.decoding import DECODERS, choose_decoder
from flowmo_data.errors import counted, shown
from flowmo_data.index import INDEX_SUFFIX, AudioIndex
from flowmo_data.runtime.processes import num_cores, process_map
from flowmo_data.sources import find_sources

_FILES_WORTH_A_PROCESS = 20
"""a process takes some three seconds to start, and decodes ten files a second"""
_PLACES_SHOWN = 3


@click.command()
@click.argument("folder")
@click.option("--decoder", default="auto", show_default=True, type=click.Choice(["auto", *DECODERS]))
@click.option(
    "--workers",
    type=click.IntRange(0),
    help="Processes that decode; 0 decodes in this one.  [default: one for each core]",
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write what was found there."
)
@click.option(
    "--quarantine",
    "quarantine_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the paths of the files that are not whole there, one in each line, for exclude=.",
)
@plain_errors
def check(folder: str, decoder: str, workers: int | None, json_path: Path | None, quarantine_path: Path | None) -> None:
    """Decode all files in FOLDER, and say which are whole, damaged (where, and how much is lost) or unreadable (why).

    FOLDER is a folder of audio, a file, a glob or an index. Damaged files are streamed all the same, without what is
    lost; unreadable ones are skipped. StreamingAudioDataset(..., exclude="LIST.txt") leaves both out.

    Exit status: 0 where all files are whole, 1 where one is not.
    """
    decoder = choose_decoder(decoder)
    for path, option in ((json_path, "--json"), (quarantine_path, "--quarantine")):
        if path:
            check_writable(path, option)
    checks = _check_all(folder, decoder, workers)
    not_whole = [each for each in checks if each.verdict != WHOLE]
    if not_whole:
        console.print(_table(not_whole, folder))
    say(_summary(checks))
    if json_path:
        json_path.write_text(json.dumps({"decoder": decoder, "files": [each.as_json() for each in checks]}, indent=1))
    if quarantine_path:
        _write_list(quarantine_path, [each.path for each in not_whole])
    if not_whole:
        sys.exit(1)


def _check_all(folder: str, decoder: str, workers: int | None) -> list[FileCheck]:
    sources: Sequence[str] = find_sources(folder)
    if folder.endswith(INDEX_SUFFIX):
        columns = AudioIndex.load(folder).columns
        sources = [columns.path(index) for index in range(len(columns))]
    workers = min(num_cores() if workers is None else workers, len(sources) // _FILES_WORTH_A_PROCESS)
    checks = process_map(partial(check_file, decoder=decoder), sources, num_processes=workers)
    with progress() as display:
        return list(display.track(checks, total=len(sources), description="decoding"))


def _table(checks: Sequence[FileCheck], folder: str) -> Table:
    table = Table("file", "verdict", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("lost, s", justify="right")
    table.add_column("where")
    table.add_column("why", ratio=1)
    root = folder if os.path.isdir(folder) else "."
    for each in checks:
        lost = "all" if each.verdict == UNREADABLE else f"{each.seconds_lost:.2f}"
        cells = (shown(os.path.relpath(each.path, root)), each.verdict, lost, _places(each), shown(each.reason))
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    return table


def _places(check: FileCheck) -> str:
    places = [f"{_clock(loss.start_seconds)} ({loss.seconds:.2f} s)" for loss in check.losses[:_PLACES_SHOWN]]
    more = len(check.losses) - len(places)
    return "\n".join([*places, *([f"and {more:,} more"] if more else [])])


def _clock(seconds: float) -> str:
    """As players show it.

    >>> _clock(3_723.4)
    '62:03.4'
    """
    minutes, tenths = divmod(round(seconds * 10), 600)
    return f"{minutes}:{tenths / 10:04.1f}"


def _summary(checks: Sequence[FileCheck]) -> str:
    by_verdict = {
        verdict: [each for each in checks if each.verdict == verdict] for verdict in (WHOLE, DAMAGED, UNREADABLE)
    }
    hours = sum(each.seconds for each in checks) / 3_600
    lost = sum(each.seconds_lost for each in by_verdict[DAMAGED])
    numbers = ", ".join(f"{len(found):,} {verdict}" for verdict, found in by_verdict.items())
    return f"{counted(len(checks), 'file')}, {hours:.2f} hours: {numbers}; {lost:.2f} s lost of the damaged ones"


def _write_list(path: Path, files: Sequence[str]) -> None:
    """One path in each line. A path with a line break in it would be read as two, so that it is left out, and told."""
    lines = [os.fsencode(file) for file in files if "\n" not in file]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    say(f"{path}: {counted(len(lines), 'path')}, for StreamingAudioDataset(..., exclude={str(path)!r})")
    for file in files:
        if "\n" in file:
            say(f"not in {path}, which has a path in each line: {shown(file)}; rename it")
