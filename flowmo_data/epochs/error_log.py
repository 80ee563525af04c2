"""What went wrong with files: raised or told, each kind once for each file, and summed up for each epoch.

Every process of a dataset has a ledger, and all of them share their lines:

    {"file": PATH, "kind": "skipped", "what": REASON}                        once for each file and kind
    {"epoch": 3, "rank": 0, "worker": 1, "skipped": [KEY], ...}              by each worker at its end of an epoch

A key stands for a path, so that an epoch's line is short and a thousand epochs are too.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from flowmo_data.epochs.options import Options
from flowmo_data.epochs.report import Report
from flowmo_data.epochs.sharding import Shard
from flowmo_data.errors import AudioFileError, SampleRateError, shown
from flowmo_data.runtime.shared_log import SharedLog
from flowmo_data.tracks.parts import Loss

logger = logging.getLogger(__name__)

_SKIPPED, _DAMAGED, _SILENT = "skipped", "damaged", "silent"


@dataclass
class _Lost:
    """What a worker has lost in an epoch."""

    shard: Shard
    epoch: int
    iteration: int
    """a number that the workers of the iteration share"""
    skipped: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)
    packets: int = 0
    seconds: float = 0.0

    def line(self, *, ended: bool) -> str:
        """As a line that all processes can read."""
        values: dict[str, Any] = {
            "epoch": self.epoch,
            "iteration": self.iteration,
            "rank": self.shard.rank,
            "worker": self.shard.worker,
            "num_workers": self.shard.num_workers,
            "ended": ended,
        }
        if self.skipped or self.damaged:
            values["skipped"] = [_key(path) for path in sorted(self.skipped)]
            values["damaged"] = [_key(path) for path in sorted(self.damaged)]
            values |= {"packets": self.packets, "seconds": round(self.seconds, 6)}
        return json.dumps(values)


class Ledger:
    """Is told of everything that is wrong with files."""

    def __init__(self, options: Options, lines: SharedLog | None = None) -> None:
        self._options = options
        self._lines = SharedLog() if lines is None else lines
        self._locks: dict[int, threading.Lock] = {}  # by process: one that a thread held at a fork stays held there
        self._told: dict[str, dict[str, str]] = {}  # path -> kind -> what, by all processes
        self._ends: dict[tuple[int, int], list[str]] = {}  # (rank, epoch) -> the lines of workers that ended it
        self._running: dict[int, _Lost] = {}  # by epoch, in this process

    @contextmanager
    def epoch(self, epoch: int, shard: Shard, iteration: int) -> Iterator[None]:
        """An epoch of a shard, in which things are told. At its end, what all workers lost in it is summed up."""
        self._read()
        lost = self._running[epoch] = _Lost(shard, epoch, iteration)
        ended = False
        try:
            yield
            ended = True
        finally:
            self._running.pop(epoch, None)
            line = lost.line(ended=ended)
            self._lines.append(line)
        report = self.report(epoch, shard.rank)
        was_last = self._ends.get((shard.rank, epoch), [])[-1:] == [line]
        if report and report.is_complete and was_last:
            of_rank = f"rank {shard.rank}, " if shard.world_size > 1 else ""
            logger.warning("%s%s; report() tells which", of_rank, report)

    def refuse(self, error: AudioFileError, epoch: int, seconds: float = 0.0) -> None:
        """A file, or a frame of it, cannot be read: raise the error, or tell of it.

        Args:
            error: why.
            epoch: in which it was wanted.
            seconds: how much audio that is, as far as anybody knows.
        """
        what = self._options.on_other_rate if isinstance(error, SampleRateError) else self._options.on_error
        if what == "raise":
            raise error
        if epoch in self._running:
            self._running[epoch].skipped.add(error.path)
            self._running[epoch].seconds += seconds
        if self._is_new(_SKIPPED, error.path, error.reason):
            if callable(what):
                what(error)
            else:
                logger.warning("skipped %s", error)

    def note_damage(self, path: str, damage: str, losses: Sequence[Loss], epoch: int) -> None:
        """Something inside a file is wrong or left out."""
        lost = self._running.get(epoch)
        if lost is not None and path not in lost.damaged:
            lost.damaged.add(path)
            lost.packets += sum(loss.packets for loss in losses)
            lost.seconds += sum(loss.seconds for loss in losses)
        if self._is_new(_DAMAGED, path, damage):
            logger.warning("%s: %s; the rest is read", shown(path), damage)

    def note_silence(self, path: str, start: int, num_lost: int, epoch: int) -> None:
        """Samples are silence because what stands there cannot be decoded."""
        if epoch in self._running:
            self._running[epoch].damaged.add(path)
            self._running[epoch].seconds += num_lost / self._options.sr
        what = f"{num_lost} samples from {max(start, 0)} on cannot be decoded and are silence; more of it may be"
        if self._is_new(_SILENT, path, what) and _DAMAGED not in self._told[path]:
            logger.warning("%s: %s", shown(path), what)

    def report(self, epoch: int | None, rank: int) -> Report:
        """What was lost in an epoch: of the one that runs in this process or ended last, if None."""
        self._read()
        if epoch is None:
            ended_last = [of_epoch for of_rank, of_epoch in list(self._ends) if of_rank == rank]
            epoch = [0, *ended_last, *self._running][-1]
        ends = [json.loads(line) for line in self._ends.get((rank, epoch), [])]
        if epoch in self._running:
            ends.append(json.loads(self._running[epoch].line(ended=False)))
        lines = [line for line in ends if line["iteration"] == ends[-1]["iteration"]]
        return Report(
            epoch=epoch,
            is_complete=bool(ends) and sum(line["ended"] for line in lines) == ends[-1]["num_workers"],
            skipped=self._told_of(lines, "skipped", [_SKIPPED]),
            damaged=self._told_of(lines, "damaged", [_DAMAGED, _SILENT]),
            packets_lost=sum(line.get("packets", 0) for line in lines),
            seconds_lost=sum(line.get("seconds", 0.0) for line in lines),
        )

    def _told_of(self, lines: Iterable[dict[str, Any]], name: str, kinds: list[str]) -> dict[str, str]:
        """What was told of the files that an epoch's lines name, by path."""
        named = {key for line in lines for key in line.get(name, ())}
        return {
            path: "; ".join(told[kind] for kind in kinds if kind in told)
            for path, told in sorted(self._told.items())
            if not told.keys().isdisjoint(kinds) and _key(path) in named
        }

    def _is_new(self, kind: str, path: str, what: str) -> bool:
        told = self._told.setdefault(path, {})
        if kind in told:
            return False
        self._read()  # another worker may have told it since: with an index they share files
        if kind in told:
            return False
        told[kind] = what
        self._lines.append(json.dumps({"file": path, "kind": kind, "what": what}))
        return True

    def _read(self) -> None:
        """Read what was written since."""
        with self._locks.setdefault(os.getpid(), threading.Lock()):  # report() may be asked for in any thread
            for line in self._lines.read_new():
                values = json.loads(line)
                if "file" in values:
                    self._told.setdefault(values["file"], {}).setdefault(values["kind"], values["what"])
                else:
                    key, of_iteration = (values["rank"], values["epoch"]), f'"iteration": {values["iteration"]},'
                    before = [each for each in self._ends.pop(key, []) if of_iteration in each]
                    self._ends[key] = [*before, line]  # the epoch that ended last comes last

    def __getstate__(self) -> dict[str, Any]:
        return {"options": self._options, "lines": self._lines}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["options"], state["lines"])  # type: ignore[misc]


def _key(path: str) -> str:
    return blake2b(path.encode(errors="surrogateescape"), digest_size=5).hexdigest()
