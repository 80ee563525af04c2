"""The parts of a track: stretches of samples, each with one sample rate and one number of channels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

RATES = (1, 10_000_000)
"""the lowest and the highest rate that is resampled, Hz"""
_MOST_SAMPLES = 1_000
"""times that the rate goes up, at most. With 1 Hz in a damaged header, a second of music would become 12 hours"""


class Part(Protocol):
    """A stretch of a file with one sample rate and one number of channels. `decoding.reading` reads it."""

    @property
    def sample_rate(self) -> int:
        """Sample rate, Hz."""

    @property
    def channels(self) -> int:
        """Channels as stored."""

    @property
    def num_samples(self) -> int:
        """Samples per channel, exact."""


@dataclass(frozen=True, slots=True)
class ResampledPart:
    """A part that is converted to another sample rate; a `Part` itself."""

    part: Part
    sample_rate: int
    """Hz, after resampling"""
    channels: int = field(init=False)
    """channels as stored"""
    num_samples: int = field(init=False)
    """samples per channel at `sample_rate`"""

    def __post_init__(self) -> None:
        old, new = self.reduced_rates
        object.__setattr__(self, "channels", self.part.channels)
        object.__setattr__(self, "num_samples", -(-self.part.num_samples * new // old))

    @property
    def reduced_rates(self) -> tuple[int, int]:
        """The part's own rate and the new one, divided by their greatest common divisor."""
        divisor = math.gcd(self.part.sample_rate, self.sample_rate)
        return self.part.sample_rate // divisor, self.sample_rate // divisor


@dataclass(frozen=True, slots=True)
class CutPart:
    """A stretch of a part; a `Part` itself. Whatever reads it never gets a sample from outside."""

    part: Part
    start: int
    """first sample of the part that belongs to it"""
    stop: int
    """one past the last"""

    @property
    def sample_rate(self) -> int:
        """Sample rate, Hz."""
        return self.part.sample_rate

    @property
    def channels(self) -> int:
        """Channels as stored."""
        return self.part.channels

    @property
    def num_samples(self) -> int:
        """Samples per channel."""
        return self.stop - self.start


class Loss(NamedTuple):
    """A stretch of audio that is missing from a file."""

    start_seconds: float
    """place of the loss, in the time of the remaining audio"""
    seconds: float
    """duration of the loss"""
    packets: int = 0
    """number of missing MPEG audio packets; stated by an Info packet, else estimated from the bytes in their place"""


def refusal(old_rate: int, new_rate: int) -> str:
    """Return why a file at `old_rate` Hz is not resampled to `new_rate` Hz; an empty string if it is resampled."""
    lowest, highest = RATES
    if not lowest <= old_rate <= highest:
        return f"its header claims a sample rate of {old_rate} Hz; from {lowest} to {highest} Hz can be resampled"
    if new_rate > old_rate * _MOST_SAMPLES:
        return (
            f"its header claims a sample rate of {old_rate} Hz, less than a thousandth of sr={new_rate}; is the header "
            "damaged?"
        )
    return ""
