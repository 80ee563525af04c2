"""`flowmo-data check`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import click

from flowmo_data.cli.check_report import (
    DAMAGED,
    UNREADABLE,
    WHOLE,
    CheckReport,
    FileCheck,
    check_same_part,
    sorted_checks,
)
from flowmo_data.cli.console import (
    check_writable,
    left_out_of,
    parse_files,
    plain_errors,
    progress,
    root_of,
    with_storage_options,
)
from flowmo_data.cli.part_option import with_part
from flowmo_data.decoding import DECODERS, choose_decoder
from flowmo_data.decoding.reading import read_window
from flowmo_data.errors import AudioFileError
from flowmo_data.runtime.processes import num_cores, process_map
from flowmo_data.sources import AlignedSources, Sources, Store, find_aligned, find_sources, held_whole, source_at
from flowmo_data.sources.corpus_parts.listing import list_part
from flowmo_data.sources.corpus_parts.part import CorpusPart
from flowmo_data.sources.member_paths import file_of
from flowmo_data.sources.paths import common_root, name_below
from flowmo_data.tracks import Loss, Track, open_track
from flowmo_data.tracks.aligned import difference
from flowmo_data.tracks.index import INDEX_SUFFIX, AudioIndex
from flowmo_data.tracks.index.aligned_columns import AlignedColumns

_FILES_WORTH_A_PROCESS = 20
"""number of files that makes a process worth its start: it takes about three seconds to start, and decodes ten files a
second"""
_WINDOW_SAMPLES = 1 << 18


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
@with_part("Decode")
@with_storage_options
@plain_errors
def check(
    folders: tuple[str, ...],
    decoder: str,
    workers: int | None,
    json_path: Path | None,
    quarantine_path: Path | None,
    part: CorpusPart | None,
    storage_options: dict[str, Any],
) -> None:
    """Decode all files in FOLDER. Report which are whole, damaged (where, and how much is lost) or unreadable (why).

    FOLDER is a folder of audio, a file, a tar, a glob, a manifest (.txt, .csv, .jsonl, .m3u) or an index, or the URL of
    one. Damaged files are still streamed, without the lost parts. Unreadable files are skipped.
    StreamingAudioDataset(..., exclude="LIST.txt") leaves both out.

    Several folders with names, such as mixture=mix/ vocals=vocals/, have files that are aligned with each other. Files
    without a partner count as unreadable. If lengths in a set differ by more than 50 ms, its first file is damaged.

    Many machines can share the work: with --part 1/16, 2/16 and so on, and --json, each decodes its part of the files,
    and flowmo-data merge makes one report of theirs.

    Exit status: 0 if all files are whole, 1 if one is not, or a tar is cut off or damaged.
    """
    decoder = choose_decoder(decoder)
    for path, option in ((json_path, "--json"), (quarantine_path, "--quarantine")):
        if path:
            check_writable(path, option)
    if json_path:
        check_same_part(json_path, part)
    files = parse_files(folders)
    is_index = isinstance(files, str) and files.endswith(INDEX_SUFFIX)
    store = Store(storage_options)
    left_out = {} if is_index or part is not None else left_out_of(files, store)
    aligned, sources = _listed(files, store, whole_tars=part is not None)
    if part is not None:
        aligned, sources, left_out, part = _part_of(aligned, sources, part, files, store)
    checks = _checked(sources, decoder, workers, store)
    if aligned is not None:
        checks = list(_with_sets(checks, aligned))
    report = CheckReport(decoder, sorted_checks(checks), left_out, part)
    report.publish(root_of(files), json_path, quarantine_path)
    if not report.is_good:
        sys.exit(1)


def _listed(
    files: str | Mapping[str, str], store: Store, *, whole_tars: bool
) -> tuple[AlignedSources | None, Sequence[str]]:
    """Return the sets of files, if files are aligned with each other, and all files to check."""
    if not isinstance(files, str):
        aligned = find_aligned(files, store=store)
        return aligned, Sources(chain(*aligned), store)
    if files.endswith(INDEX_SUFFIX):
        return _of_index(AudioIndex.load(files, storage_options=store.options))
    return None, find_sources(files, store=store, whole_tars=whole_tars)


def _part_of(
    aligned: AlignedSources | None,
    sources: Sequence[str],
    part: CorpusPart,
    files: str | Mapping[str, str],
    store: Store,
) -> tuple[AlignedSources | None, Sequence[str], dict[str, str], CorpusPart]:
    """Return the sets and the files of a part, what is left out, and the part with the fingerprint of the corpus.

    All parts have the same left out of folders, so only the first reports it.
    """
    is_index = isinstance(files, str) and files.endswith(INDEX_SUFFIX)
    left_out = {} if is_index or part.number > 1 else left_out_of(files, store, whole_tars=True)
    if aligned is not None:
        named = _names(files, [*sources, *aligned.problems])
        part = part.of(chain(aligned.names, named.values()))
        problems = {path: reason for path, reason in aligned.problems.items() if part.holds(named[path])}
        sets = AlignedSources(aligned.names, [paths for paths in aligned if part.holds(named[paths[0]])], problems)
        return sets, Sources(chain(*sets), store), left_out, part
    named = _names(files, sources)
    part = part.of(named.values())
    chosen = [path for path, name in named.items() if part.holds(file_of(name))]
    if is_index or not isinstance(files, str):
        return None, chosen, left_out, part
    listed = list_part(chosen, files, store)
    return None, listed.sources, {**left_out, **listed.left_out}, part


def _names(files: str | Mapping[str, str], paths: Sequence[str]) -> dict[str, str]:
    """Return the names of paths below their common folder: another machine may have that at another place."""
    root = common_root(files, paths)
    return {path: path if root is None else name_below(path, root) or path for path in paths}


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
