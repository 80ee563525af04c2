"""`Report`: what an epoch could not read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowmo_data.errors import counted


@dataclass(frozen=True, slots=True)
class Report:
    """What an epoch could not read, on one rank: of all its workers that have come to their end of it."""

    epoch: int = 0
    is_complete: bool = False
    """whether all workers have come to the end of the epoch: not where the loop left it before it was told of the end,
    nor with `repeat=True` where there are more workers than files. A resumed epoch counts from where it was resumed"""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """files that could not be read, or not to their end: the reason, by absolute path"""
    damaged: Mapping[str, str] = field(default_factory=dict)
    """files of which something could not be read: what is wrong, by absolute path"""
    packets_lost: int = 0
    """MPEG audio packets that are missing from the damaged files"""
    seconds_lost: float = 0.0
    """audio that is missing from the damaged files, that was silence because it could not be decoded, and that was left
    of files which could not be read any more; of a file that could not be opened nobody knows how much there was"""

    def __bool__(self) -> bool:
        """Whether anything was lost."""
        return bool(self.skipped or self.damaged)

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}: {counted(len(self.skipped), 'file')} skipped, {len(self.damaged)} damaged, "
            f"{counted(self.packets_lost, 'packet')} and {self.seconds_lost:.2f} s of audio lost"
        )
