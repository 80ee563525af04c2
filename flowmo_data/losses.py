"""Audio that a file had and that cannot be read: where, and how much."""

from __future__ import annotations

from typing import NamedTuple


class Loss(NamedTuple):
    """A stretch of audio that is missing from a file."""

    start_seconds: float
    """where it is missing, in the time of what is left of the file"""
    seconds: float
    """how much is missing"""
    packets: int = 0
    """MPEG audio packets that this is; stated by an Info packet, else estimated from the bytes in their place"""
