"""Problems with files: each kind is raised or logged once for each file, and totalled for each epoch.

Every process of a dataset has an error log, and all of them share their lines:

    {"file": PATH, "kind": "skipped", "what": REASON}                        once for each file and kind
    {"epoch": 3, "rank": 0, "worker": 1, "skipped": [KEY], ...}              from each worker at its end of an epoch

Epoch lines hold a short key in place of each path, so that the lines of a thousand epochs stay short.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from flowmo_data.epochs.options import Options
from flowmo_data.epochs.report import Report
from flowmo_data.epochs.sharding import Shard
from flowmo_data.epochs.tally import ACCESSES, Tally, key_of, merged
from flowmo_data.errors import AudioFileError, SampleRateError, shown
from flowmo_data.runtime.shared_log import SharedLog
from flowmo_data.sources.metadata.of_files import LeftOutError
from flowmo_data.tracks.parts import Loss

logger = logging.getLogger(__name__)

_SKIPPED, _DAMAGED, _MISALIGNED, _SILENT, _LEFT_OUT = "skipped", "damaged", "misaligned", "silent", "left out"
_MANY = 1_000
"""rejected frames, before any other, that are worth a warning"""


class ErrorLog:
    """A collector of file problems: raises or logs each once, totals them per epoch."""

    def __init__(self, options: Options, lines: SharedLog | None = None) -> None:
        self._options = options
        self._lines = SharedLog() if lines is None else lines
        self._locks: dict[int, threading.Lock] = {}  # by process: a lock held at a fork stays locked in the child
        self._reported: dict[str, dict[str, str]] = {}  # path -> kind -> problem, from all processes
        self._ends: dict[tuple[int, int], list[str]] = {}  # (rank, epoch) -> the lines of workers at their end
        self._running: dict[int, Tally] = {}  # by epoch, in this process
        self._mixing: Tally | None = None  # of the mixture that runs in this process

    @contextmanager
    def epoch(
        self, epoch: int, shard: Shard, iteration: int, *, is_resumed: bool = False, of_mixture: bool = False
    ) -> Iterator[None]:
        """Collect the problems of a shard's epoch. At its end, log the total of all workers.

        A mixture has epochs that are not those of its sets: what is reported for other epochs counts for its own.
        """
        self._read()
        lost = self._running[epoch] = Tally(shard, epoch, iteration, has_emitted=is_resumed, of_mixture=of_mixture)
        self._mixing = lost if of_mixture else None
        ended = False
        try:
            yield
            ended = True
        finally:
            self._running.pop(epoch, None)
            self._mixing = None
            line = lost.line(ended=ended)
            self._lines.append(line)
        report = self.report(epoch, shard.rank)
        was_last = self._ends.get((shard.rank, epoch), [])[-1:] == [line]
        if report.is_complete and was_last:
            of_rank = f"rank {shard.rank}, " if shard.world_size > 1 else ""
            if report:
                logger.warning("%s%s; report() lists the files", of_rank, report)
            elif report.rejected:
                logger.info("%s%s", of_rank, report)

    def begin_accesses(self, epoch: int, shard: Shard) -> None:
        """Collect the problems of frames that are accessed one by one: their epoch has no order, and no end."""
        if epoch not in self._running:
            self._running.clear()
            self._running[epoch] = Tally(shard, epoch, ACCESSES)

    def write_accesses(self, epoch: int) -> None:
        """Write down the problems that were collected in an epoch since the last call, for all processes."""
        lost = self._running.get(epoch)
        if lost is not None and (lost.skipped or lost.damaged or lost.rejected):
            self._running[epoch] = Tally(lost.shard, epoch, ACCESSES)
            self._lines.append(lost.line(ended=False))

    def refuse(self, error: AudioFileError, epoch: int, seconds: float = 0.0) -> None:
        """Raise the error about an unreadable file or frame, or report it and continue.

        A file that the user leaves out is logged once, and not reported.

        Args:
            error: the error.
            epoch: the epoch that needed the file.
            seconds: duration of the lost audio, as far as it is known.
        """
        if isinstance(error, LeftOutError):
            if self._is_new(_LEFT_OUT, error.path, error.reason):
                logger.info("%s", error)
            return
        what = self._options.on_other_rate if isinstance(error, SampleRateError) else self._options.on_error
        if what == "raise":
            raise error
        if (lost := self._tally_of(epoch)) is not None:
            lost.skipped.add(error.path)
            lost.seconds += seconds
        if self._is_new(_SKIPPED, error.path, error.reason):
            if callable(what):
                what(error)
            else:
                logger.warning("skipped %s", error)

    def refuse_before(self, problems: Mapping[str, str], summary: str) -> None:
        """Raise the first error about files that are known to be unusable before any epoch, or log one line for all.

        Each epoch still has to `refuse` them, to have them in its report.

        Args:
            problems: the reasons, by path.
            summary: the line.
        """
        if self._options.on_error == "raise":
            raise AudioFileError.of(*next(iter(problems.items())))
        if self._options.on_error == "skip":
            for path, reason in problems.items():
                self._is_new(_SKIPPED, path, reason)
            logger.warning("%s; report() lists them", summary)

    def note_damage(self, path: str, damage: str, losses: Sequence[Loss], epoch: int) -> None:
        """Report that something inside a file is damaged or left out."""
        lost = self._tally_of(epoch)
        if lost is not None and path not in lost.damaged:
            lost.damaged.add(path)
            lost.packets += sum(loss.packets for loss in losses)
            lost.seconds += sum(loss.seconds for loss in losses)
        if self._is_new(_DAMAGED, path, damage):
            logger.warning("%s: %s; the rest is read", shown(path), damage)

    def note_misalignment(self, path: str, problem: str, losses: Sequence[Loss], epoch: int) -> None:
        """Report that aligned files do not fit each other in their whole length.

        Args:
            path: the first of the files; its own damage is reported apart from this.
            problem: the problem.
            losses: audio that is left out because of it.
            epoch: the epoch.
        """
        if (lost := self._tally_of(epoch)) is not None:
            lost.damaged.add(path)
            lost.seconds += sum(loss.seconds for loss in losses)
        if self._is_new(_MISALIGNED, path, problem):
            logger.warning("%s: %s", shown(path), problem)

    def note_silence(self, path: str, start: int, num_lost: int, epoch: int) -> None:
        """Report samples that are silent because they could not be decoded."""
        if (lost := self._tally_of(epoch)) is not None:
            lost.damaged.add(path)
            lost.seconds += num_lost / self._options.sr
        what = f"{num_lost} samples from {max(start, 0)} on cannot be decoded and are silent; there may be more"
        if self._is_new(_SILENT, path, what) and _DAMAGED not in self._reported[path]:
            logger.warning("%s: %s", shown(path), what)

    def count_frame(self, epoch: int, *, is_rejected: bool) -> None:
        """Count a frame that the transform returned, or rejected."""
        lost = self._tally_of(epoch)
        if lost is None:
            return
        if not is_rejected:
            lost.has_emitted = True
            lost.frames += 1
            return
        lost.rejected += 1
        if lost.rejected == _MANY and not lost.has_emitted:
            logger.warning("epoch %d: the transform has rejected the first %d frames of a worker", epoch, _MANY)

    def _tally_of(self, epoch: int) -> Tally | None:
        return self._mixing or self._running.get(epoch)

    def rejected_epoch(self, epoch: int, rank: int, workers: Iterable[int]) -> int | None:
        """Return the last epoch of an iteration that a rank's workers have ended, if every frame in it was rejected.

        Args:
            epoch: the epoch that this process has just ended. Other workers may have raised an error in an earlier one.
            rank: the rank.
            workers: its workers that have frames.
        """
        lines = iteration = self._lines_of(epoch, rank)
        if not any("rejected" in line for line in lines):
            return None
        needed = set(workers)
        while lines and lines[0]["iteration"] == iteration[0]["iteration"]:
            if needed <= {line["worker"] for line in lines if line["ended"]}:
                only_rejected = all("empty" in line for line in lines) and any("rejected" in line for line in lines)
                return epoch if only_rejected else None
            epoch -= 1
            lines = self._lines_of(epoch, rank)
        return None

    def report(self, epoch: int | None, rank: int) -> Report:
        """Return the losses of an epoch; if None, of the one that runs in this process or ended last."""
        self._read()
        if epoch is None:
            ended_last = [of_epoch for of_rank, of_epoch in list(self._ends) if of_rank == rank]
            epoch = [0, *ended_last, *self._running][-1]
        lines = self._lines_of(epoch, rank)
        return Report(
            epoch=epoch,
            is_complete=bool(lines) and sum(line["ended"] for line in lines) == lines[-1]["num_workers"],
            skipped=self._reported_in(lines, "skipped", [_SKIPPED]),
            damaged=self._reported_in(lines, "damaged", [_DAMAGED, _MISALIGNED, _SILENT]),
            packets_lost=sum(line.get("packets", 0) for line in lines),
            seconds_lost=sum(line.get("seconds", 0.0) for line in lines),
            rejected=sum(line.get("rejected", 0) for line in lines),
        )

    def num_frames(self, epoch: int, rank: int) -> int:
        """Return the number of frames that a set of a mixture has emitted in an epoch of a rank."""
        self._read()
        return sum(line.get("frames", 0) for line in self._lines_of(epoch, rank))

    def _lines_of(self, epoch: int, rank: int) -> list[dict[str, Any]]:
        """Return the lines of a rank's workers about the last iteration of an epoch, as far as they were read."""
        ends = [json.loads(line) for line in self._ends.get((rank, epoch), [])]
        if epoch in self._running:
            ends.append(json.loads(self._running[epoch].line(ended=False)))
        return [line for line in ends if line["iteration"] == ends[-1]["iteration"]]

    def _reported_in(self, lines: Iterable[dict[str, Any]], name: str, kinds: list[str]) -> dict[str, str]:
        """Return the problems reported for the files that an epoch's lines name, by path."""
        named = {key for line in lines for key in line.get(name, ())}
        return {
            path: "; ".join(problems[kind] for kind in kinds if kind in problems)
            for path, problems in sorted(self._reported.items())
            if not problems.keys().isdisjoint(kinds) and key_of(path) in named
        }

    def _is_new(self, kind: str, path: str, what: str) -> bool:
        reported = self._reported.setdefault(path, {})
        if kind in reported:
            return False
        self._read()  # another worker may have reported it since: with an index they share files
        if kind in reported:
            return False
        reported[kind] = what
        self._lines.append(json.dumps({"file": path, "kind": kind, "what": what}))
        return True

    def _read(self) -> None:
        """Read the lines that were written since the last call."""
        with self._locks.setdefault(os.getpid(), threading.Lock()):  # report() may be called in any thread
            for line in self._lines.read_new():
                values = json.loads(line)
                if "file" in values:
                    self._reported.setdefault(values["file"], {}).setdefault(values["kind"], values["what"])
                else:
                    key, of_iteration = (values["rank"], values["epoch"]), f'"iteration": {values["iteration"]},'
                    before = [each for each in self._ends.pop(key, []) if of_iteration in each]
                    lines = [merged(before, values)] if values["iteration"] == ACCESSES else [*before, line]
                    self._ends[key] = lines  # the epoch that ended last comes last

    def __getstate__(self) -> dict[str, Any]:
        return {"options": self._options, "lines": self._lines}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["options"], state["lines"])  # type: ignore[misc]
