"""`flowmo-data check`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
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
    progress,
    root_of,
    say,
    show,
    show_left_out,
    with_storage_options,
)
from flowmo_data.decoding import DECODERS, choose_decoder
from flowmo_data.decoding.reading import read_window
from flowmo_data.errors import AudioFileError, counted, shown
from flowmo_data.runtime.processes import num_cores, process_map
from flowmo_data.sources import AlignedSources, Sources, Store, find_aligned, find_sources, held_whole, source_at
from flowmo_data.sources.member_paths import is_tar
from flowmo_data.sources.paths import relative
from flowmo_data.tracks import Loss, Track, open_track
from flowmo_data.tracks.aligned import difference
from flowmo_data.tracks.index import INDEX_SUFFIX, AudioIndex
from flowmo_data.tracks.index.aligned_columns import AlignedColumns

_FILES_WORTH_A_PROCESS = 20
"""number of files that makes a process worth its start: it takes about three seconds to start, and decodes ten files a
second"""
_PLACES_SHOWN = 3
_WINDOW_SAMPLES = 1 << 18
WHOLE, DAMAGED, UNREADABLE = "whole", "damaged", "unreadable"


@dataclass(frozen=True, slots=True)
class FileCheck:
    """The result for a file."""

    path: str
    verdict: str
    """`WHOLE`, `DAMAGED` or `UNREADABLE`"""
    reason: str = ""
    """the problem, in words"""
    seconds: float = 0.0
    """decoded audio, including silence in place of losses inside it"""
    losses: tuple[Loss, ...] = ()
    """audio that is missing, and audio that is silent because it cannot be decoded, in the order of the file"""

    @property
    def seconds_lost(self) -> float:
        """Audio that is missing or silent, in seconds."""
        return sum(loss.seconds for loss in self.losses)

    def as_json(self) -> dict[str, Any]:
        """Return the fields and `seconds_lost`, for JSON."""
        losses = [loss._asdict() for loss in self.losses]
        values = {"path": self.path, "verdict": self.verdict, "reason": self.reason, "seconds": self.seconds}
        return {**values, "seconds_lost": self.seconds_lost, "losses": losses}


def check_file(path: str, decoder: str, store: Store | None = None) -> FileCheck:
    """Open a file and decode all of it.

    Args:
        path: the file.
        decoder: the name of an installed decoder, for MPEG audio.
        store: access to a URL; None for access without options.
    """
    try:
        track = open_track(held_whole(source_at(path, store)))
        silences = list(_silences(track, decoder))
    except AudioFileError as error:
        return FileCheck(path, UNREADABLE, error.reason)
    seconds = sum(part.num_samples / part.sample_rate for part in track.parts)
    losses = tuple(sorted([*track.losses, *silences]))
    reasons = [track.damage] if track.damage else []
    if silences:
        reasons.append(f"{sum(loss.seconds for loss in silences):.2f} s of it cannot be decoded and are silent")
    return FileCheck(path, DAMAGED if reasons else WHOLE, "; ".join(reasons), seconds, losses)


def _silences(track: Track, decoder: str) -> Iterator[Loss]:
    """Yield the stretches that cannot be decoded."""
    before = 0.0  # seconds in earlier parts
    for part in track.parts:
        begin = end = 0
        for start in range(0, part.num_samples, _WINDOW_SAMPLES):
            window = read_window(part, start, min(start + _WINDOW_SAMPLES, part.num_samples), decoder)
            for first, stop in sorted(window.lost):
                if start + first > end:
                    if end > begin:
                        yield Loss(before + begin / part.sample_rate, (end - begin) / part.sample_rate)
                    begin = start + first
                end = start + stop
        if end > begin:
            yield Loss(before + begin / part.sample_rate, (end - begin) / part.sample_rate)
        before += part.num_samples / part.sample_rate


@click.command()
@click.argument("folders", metavar="FOLDER|NAME=FOLDER...", nargs=-1, required=True)
@click.option("--decoder", default="auto", show_default=True, type=click.Choice(["auto", *DECODERS]))
@click.option(
    "--workers",
    type=click.IntRange(0),
    help="Processes that decode; 0 decodes in the main process.  [default: one per core]",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write the results to FILE.")
@click.option(
    "--quarantine",
    "quarantine_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the paths of damaged and unreadable files to FILE, one per line, for exclude=.",
)
@with_storage_options
@plain_errors
def check(
    folders: tuple[str, ...],
    decoder: str,
    workers: int | None,
    json_path: Path | None,
    quarantine_path: Path | None,
    storage_options: dict[str, Any],
) -> None:
    """Decode all files in FOLDER. Report which are whole, damaged (where, and how much is lost) or unreadable (why).

    FOLDER is a folder of audio, a file, a glob or an index, or the URL of one. Damaged files are still streamed,
    without the lost parts. Unreadable files are skipped. StreamingAudioDataset(..., exclude="LIST.txt") leaves both
    out.

    Several folders with names, such as mixture=mix/ vocals=vocals/, have files that are aligned with each other. Files
    without a partner count as unreadable. If lengths in a set differ by more than 50 ms, its first file is damaged.

    Exit status: 0 if all files are whole, 1 if one is not, or a tar is cut off or damaged.
    """
    decoder = choose_decoder(decoder)
    for path, option in ((json_path, "--json"), (quarantine_path, "--quarantine")):
        if path:
            check_writable(path, option)
    files = parse_files(folders)
    is_index = isinstance(files, str) and files.endswith(INDEX_SUFFIX)
    checks = _check_all(files, decoder, workers, Store(storage_options))
    not_whole = [each for each in checks if each.verdict != WHOLE]
    if not_whole:
        show(_table(not_whole, root_of(files)))
    left_out = {} if is_index else show_left_out(files, storage_options)
    say(_summary(checks) + (f"; {len(left_out):,} left out" if left_out else ""))
    if json_path:
        values = {"decoder": decoder, "files": [each.as_json() for each in checks], "left_out": left_out}
        json_path.write_text(json.dumps(values, indent=1))
    if quarantine_path:
        _write_list(quarantine_path, [each.path for each in not_whole])
    if not_whole or any(map(is_tar, left_out)):
        sys.exit(1)


def _check_all(files: str | Mapping[str, str], decoder: str, workers: int | None, store: Store) -> list[FileCheck]:
    if isinstance(files, str) and files.endswith(INDEX_SUFFIX):
        aligned, sources = _of_index(AudioIndex.load(files, storage_options=store.options))
    elif isinstance(files, str):
        aligned, sources = None, find_sources(files, store=store)
    else:
        aligned = find_aligned(files, store=store)
        sources = Sources(chain(*aligned), store)
    checks = _checked(sources, decoder, workers, store)
    return checks if aligned is None else list(_with_sets(checks, aligned))


def _of_index(index: AudioIndex) -> tuple[AlignedSources | None, Sequence[str]]:
    """Return the sets of an index, if its files are aligned with each other, and the files to check."""
    columns, files = index.columns, index.files
    if not isinstance(columns, AlignedColumns):
        return None, [files.path(number) for number in range(len(files))]
    found, bad = [columns.paths(number) for number in range(len(columns))], index.bad_files()
    sets = [paths for paths in found if len(paths) == len(index.names)]
    problems = {paths[0]: bad[paths[0]] for paths in found if len(paths) < len(index.names)}
    return AlignedSources(index.names, sets, problems), Sources(chain(*sets))


def _with_sets(checks: Sequence[FileCheck], aligned: AlignedSources) -> Iterator[FileCheck]:
    """Yield the results for files that are aligned with each other, with the problems of their sets."""
    by_path = {check.path: check for check in checks}
    for paths in aligned:
        of_set = [by_path[path] for path in paths]
        if any(check.verdict == UNREADABLE for check in of_set):
            continue
        problem = difference(aligned.names, [check.seconds for check in of_set])
        if problem:
            first = by_path[paths[0]]
            reason = f"{first.reason}; {problem}" if first.reason else problem
            by_path[paths[0]] = replace(first, verdict=DAMAGED, reason=reason)
    yield from by_path.values()
    for path, reason in aligned.problems.items():
        yield FileCheck(path, UNREADABLE, reason)


def _checked(sources: Sequence[str], decoder: str, workers: int | None, store: Store) -> list[FileCheck]:
    workers = min(num_cores() if workers is None else workers, len(sources) // _FILES_WORTH_A_PROCESS)
    checks = process_map(partial(check_file, decoder=decoder, store=store), sources, num_processes=workers)
    with progress() as display:
        return list(display.track(checks, total=len(sources), description="decoding"))


def _table(checks: Sequence[FileCheck], root: str) -> Table:
    table = Table("file", "verdict", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("lost, s", justify="right")
    table.add_column("where")
    table.add_column("why", ratio=1)
    for each in checks:
        lost = "all" if each.verdict == UNREADABLE else f"{each.seconds_lost:.2f}"
        cells = (shown(relative(each.path, root)), each.verdict, lost, _places(each), shown(each.reason))
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    return table


def _places(check: FileCheck) -> str:
    places = [f"{_clock(loss.start_seconds)} ({loss.seconds:.2f} s)" for loss in check.losses[:_PLACES_SHOWN]]
    more = len(check.losses) - len(places)
    return "\n".join([*places, *([f"and {more:,} more"] if more else [])])


def _clock(seconds: float) -> str:
    """Return a time as players show it.

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
    return f"{counted(len(checks), 'file')}, {hours:.2f} hours: {numbers}; {lost:.2f} s lost in the damaged ones"


def _write_list(path: Path, files: Sequence[str]) -> None:
    """Write one path per line. A path with a line break would be read as two, so it is left out and reported."""
    lines = [os.fsencode(file) for file in files if "\n" not in file]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    say(f"{path}: {counted(len(lines), 'path')}, for StreamingAudioDataset(..., exclude={str(path)!r})")
    for file in files:
        if "\n" in file:
            say(f"not in {path}, which has one path per line: {shown(file)}; rename it")
