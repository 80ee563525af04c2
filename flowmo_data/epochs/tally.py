"""The losses of one worker in an epoch, and the line by which other processes learn of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from flowmo_data.epochs.sharding import Shard

ACCESSES = 0
"""the number in place of an iteration's, for frames that are accessed one by one"""


@dataclass
class Tally:
    """The losses of a worker in an epoch."""

    shard: Shard
    epoch: int
    iteration: int
    """a number that the workers of the iteration share"""
    skipped: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)
    packets: int = 0
    seconds: float = 0.0
    rejected: int = 0
    has_emitted: bool = False
    of_mixture: bool = False
    """True if this is one of the sets of a mixture"""
    frames: int = 0
    """frames emitted"""

    def line(self, *, ended: bool) -> str:
        """Return the losses as a line that all processes can read."""
        values: dict[str, Any] = {
            "epoch": self.epoch,
            "iteration": self.iteration,
            "rank": self.shard.rank,
            "worker": self.shard.worker,
            "num_workers": self.shard.num_workers,
            "ended": ended,
        }
        if self.skipped or self.damaged:
            values["skipped"] = [key_of(path) for path in sorted(self.skipped)]
            values["damaged"] = [key_of(path) for path in sorted(self.damaged)]
            values |= {"packets": self.packets, "seconds": round(self.seconds, 6)}
        if self.rejected:
            values["rejected"] = self.rejected
        if not self.has_emitted:
            values["empty"] = True
        if self.of_mixture:
            values["frames"] = self.frames
        return json.dumps(values)


def merged(lines: Sequence[str], more: dict[str, Any]) -> str:
    """Return one line that sums up those of accesses so far: there may be one for each batch."""
    total = json.loads(lines[0]) if lines else {}
    for name in ("skipped", "damaged"):
        more[name] = sorted({*more.get(name, ()), *total.get(name, ())})
    for name in ("packets", "seconds", "rejected"):
        more[name] = more.get(name, 0) + total.get(name, 0)
    return json.dumps(more)


def key_of(path: str) -> str:
    """Return a short key of a path."""
    return blake2b(path.encode(errors="surrogateescape"), digest_size=5).hexdigest()
