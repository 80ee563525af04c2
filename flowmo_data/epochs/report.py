"""`Report`: the losses of an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowmo_data.errors import counted


@dataclass(frozen=True, slots=True)
class Report:
    """The losses of an epoch on one rank, from all of its workers that have finished the epoch."""

    epoch: int = 0
    is_complete: bool = False
    """True if all workers have finished the epoch. False if the loop stopped before it saw the end of the epoch, or
    with `repeat=True` if there are more workers than files. A resumed epoch counts from where it was resumed"""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """files that could not be read, or not to their end: the reason, by absolute path"""
    damaged: Mapping[str, str] = field(default_factory=dict)
    """files with parts that could not be read: the problem, by absolute path"""
    packets_lost: int = 0
    """MPEG audio packets that are missing from the damaged files"""
    seconds_lost: float = 0.0
    """audio that is missing from the damaged files, that is silent because it could not be decoded, or that was left in
    files when they became unreadable; not the audio of files that could not be opened, because its length is unknown"""
    rejected: int = 0
    """frames that the transform rejected; they do not count as lost. With an index, another frame came in the place of
    each"""
    frames: Mapping[str, int] = field(default_factory=dict)
    """in a mixture: the number of frames emitted, by set"""

    @property
    def proportions(self) -> dict[str, float]:
        """In a mixture: the share of each set in the emitted frames, 0 to 1."""
        total = sum(self.frames.values())
        return {name: count / total if total else 0.0 for name, count in self.frames.items()}

    @classmethod
    def of_sets(cls, reports: Mapping[str, Report], frames: Mapping[str, int]) -> Report:
        """Return the losses of the sets of a mixture together, in the same epoch."""
        each = list(reports.values())
        return cls(
            epoch=each[0].epoch,
            is_complete=all(report.is_complete for report in each),
            skipped={path: why for report in each for path, why in report.skipped.items()},
            damaged={path: why for report in each for path, why in report.damaged.items()},
            packets_lost=sum(report.packets_lost for report in each),
            seconds_lost=sum(report.seconds_lost for report in each),
            rejected=sum(report.rejected for report in each),
            frames=dict(frames),
        )

    def __bool__(self) -> bool:
        """Return whether anything was lost."""
        return bool(self.skipped or self.damaged)

    def __str__(self) -> str:
        rejected = f"; {counted(self.rejected, 'frame')} rejected by the transform" if self.rejected else ""
        return (
            f"epoch {self.epoch}: {counted(len(self.skipped), 'file')} skipped, {len(self.damaged)} damaged, "
            f"{counted(self.packets_lost, 'packet')} and {self.seconds_lost:.2f} s of audio lost{rejected}"
        )
