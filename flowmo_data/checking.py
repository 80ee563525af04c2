"""Decode a file from end to end, and say what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flowmo_data.errors import AudioFileError
from flowmo_data.losses import Loss
from flowmo_data.tracks import Track, open_track

_WINDOW_SAMPLES = 1 << 18
WHOLE, DAMAGED, UNREADABLE = "whole", "damaged", "unreadable"


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What there is of a file."""

    path: str
    verdict: str
    """`WHOLE`, `DAMAGED` or `UNREADABLE`"""
    reason: str = ""
    """what is wrong, in words"""
    seconds: float = 0.0
    """audio that comes out, silence for what is lost inside it included"""
    losses: tuple[Loss, ...] = ()
    """what is missing, and what is silence because it cannot be decoded, in the order of the file"""

    @property
    def seconds_lost(self) -> float:
        """Audio that is missing or silence."""
        return sum(loss.seconds for loss in self.losses)

    def as_json(self) -> dict[str, Any]:
        """For JSON: as the fields, with `seconds_lost`."""
        losses = [loss._asdict() for loss in self.losses]
        values = {"path": self.path, "verdict": self.verdict, "reason": self.reason, "seconds": self.seconds}
        return {**values, "seconds_lost": self.seconds_lost, "losses": losses}


def check_file(path: str, decoder: str) -> FileCheck:
    """Open a file and decode all of it.

    Args:
        path: the file.
        decoder: the name of an installed decoder, for MPEG audio.
    """
    try:
        track = open_track(path, decoder)
        silences = list(_silences(track))
    except AudioFileError as error:
        return FileCheck(path, UNREADABLE, error.reason)
    seconds = sum(part.num_samples / part.sample_rate for part in track.parts)
    losses = tuple(sorted([*track.losses, *silences]))
    reasons = [track.damage] if track.damage else []
    if silences:
        reasons.append(f"{sum(loss.seconds for loss in silences):.2f} s of it cannot be decoded and are silence")
    return FileCheck(path, DAMAGED if reasons else WHOLE, "; ".join(reasons), seconds, losses)


def _silences(track: Track) -> Iterator[Loss]:
    """The stretches that cannot be decoded."""
    before = 0.0  # seconds of the parts before
    for part in track.parts:
        begin = end = 0
        for start in range(0, part.num_samples, _WINDOW_SAMPLES):
            window = part.read(start, min(start + _WINDOW_SAMPLES, part.num_samples))
            for first, stop in sorted(window.lost):
                if start + first > end:
                    if end > begin:
                        yield Loss(before + begin / part.sample_rate, (end - begin) / part.sample_rate)
                    begin = start + first
                end = start + stop
        if end > begin:
            yield Loss(before + begin / part.sample_rate, (end - begin) / part.sample_rate)
        before += part.num_samples / part.sample_rate
