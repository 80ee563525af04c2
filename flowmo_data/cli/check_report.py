"""The report of `flowmo-data check`: the results for all files, in a table, in JSON, and as a list."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.table import Table
from rich.text import Text

from flowmo_data.cli.console import reasons_table, say, show
from flowmo_data.errors import FilesError, FilesNotFoundError, FlowmoDataError, counted, shown
from flowmo_data.sources.corpus_parts.part import CorpusPart, part_in
from flowmo_data.sources.corpus_parts.whole import odd_one_out, whole_corpus
from flowmo_data.sources.member_paths import is_tar, order_key
from flowmo_data.sources.paths import is_url, relative
from flowmo_data.sources.stores.store import Store
from flowmo_data.tracks import Loss

REPORT_SUFFIX = ".json"
WHOLE, DAMAGED, UNREADABLE = "whole", "damaged", "unreadable"
_PLACES_SHOWN = 3


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

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> FileCheck:
        """Return the result that `as_json` has made into `values`."""
        losses = tuple(Loss(**loss) for loss in values["losses"])
        return cls(values["path"], values["verdict"], values["reason"], values["seconds"], losses)


class CheckReport(NamedTuple):
    """The results for the files of a corpus, or of a part of one."""

    decoder: str
    """name of the decoder that was used"""
    checks: Sequence[FileCheck]
    """the results, sorted by path"""
    left_out: Mapping[str, str]
    """what is left out of folders though it may be audio: reasons, by path"""
    part: CorpusPart | None = None
    """the part of the corpus; None for all of it"""

    @property
    def not_whole(self) -> list[FileCheck]:
        """The results for damaged and unreadable files."""
        return [each for each in self.checks if each.verdict != WHOLE]

    @property
    def is_good(self) -> bool:
        """Whether all files are whole, and no tar is cut off or damaged."""
        return not self.not_whole and not any(map(is_tar, self.left_out))

    def publish(self, root: str, json_path: Path | None, quarantine_path: Path | None) -> None:
        """Print what is wrong, and write the files that the user wants.

        Args:
            root: the folder that paths are shown relative to.
            json_path: file for all results.
            quarantine_path: file for the paths of the files that are not whole.
        """
        if self.not_whole:
            show(_table(self.not_whole, root))
        if self.left_out:
            show(reasons_table("left out", self.left_out, root))
        part = "" if self.part is None else f"part {self.part}: "
        say(part + _summary(self.checks) + (f"; {len(self.left_out):,} left out" if self.left_out else ""))
        if json_path:
            values = {
                "decoder": self.decoder,
                **(self.part.as_json() if self.part else {}),
                "files": [each.as_json() for each in self.checks],
                "left_out": dict(sorted(self.left_out.items())),
            }
            json_path.write_text(json.dumps(values, indent=1))
        if quarantine_path:
            _write_list(quarantine_path, [each.path for each in self.not_whole])


def sorted_checks(checks: Sequence[FileCheck]) -> list[FileCheck]:
    """Return results in the order of a report."""
    return sorted(checks, key=lambda check: order_key(check.path))


def check_same_part(path: Path, part: CorpusPart | None) -> None:
    """Raise if a report on a part of a corpus would replace that on another part, hours of work perhaps.

    Raises:
        FlowmoDataError: it would.
    """
    try:
        there = part_in(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return
    if there is not None and (part is None or (there.number, there.count) != (part.number, part.count)):
        new = "the whole corpus" if part is None else f"part {part}"
        raise FlowmoDataError(
            f"{path}: it is the report on part {there}, and one on {new} would replace it; give each a name of its "
            "own, or delete it"
        )


def merged_report(paths: Sequence[str], store: Store) -> CheckReport:
    """Return the report on a corpus from those on all of its parts.

    Args:
        paths: the reports in JSON: absolute paths or URLs.
        store: access to URLs.

    Raises:
        FilesError: a file is not such a report, or they are not about all parts of one corpus, or decoders differ.
    """
    reports = {path: _read(path, store) for path in paths}
    chosen = whole_corpus(
        {path: report.part for path, report in reports.items()},
        lambda one, other: reports[one] == reports[other],
        command="flowmo-data check FOLDER --json PART.json",
    )
    odd = odd_one_out({path: report.decoder for path, report in reports.items()})
    if odd:
        raise FilesError(
            f"{odd[0]} was made with decoder {reports[odd[0]].decoder}, and {odd[1]} with {reports[odd[1]].decoder}; "
            "make all parts with the same --decoder"
        )
    checks = sorted_checks([check for path in chosen for check in reports[path].checks])
    left_out = {name: reason for path in chosen for name, reason in reports[path].left_out.items()}
    return CheckReport(reports[chosen[0]].decoder, checks, left_out)


def _read(path: str, store: Store) -> CheckReport:
    try:
        values = json.loads(store.read_all(path) if is_url(path) else Path(path).read_bytes())
        checks = [FileCheck.from_json(each) for each in values["files"]]
        return CheckReport(values["decoder"], checks, dict(values["left_out"].items()), part_in(values))
    except FileNotFoundError:
        raise FilesNotFoundError(f"{path}: there is no such report") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise FilesError(
            f"{path}: this is not a report of flowmo-data check --json ({problem}); leave it out"
        ) from error


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
