"""A section of an MPEG audio file as a part of a track."""

from __future__ import annotations

from dataclasses import dataclass

from flowmo_data.sources import Source
from flowmo_data.tracks.mpeg import Section

_MPEG_25_RATES = 12_000
"""Hz; the highest rate of MPEG-2.5"""


@dataclass(frozen=True, slots=True)
class MpegPart:
    """A section of an MPEG audio file: a `Part`."""

    source: Source
    section: Section

    @property
    def sample_rate(self) -> int:
        """Sample rate, Hz."""
        return self.section.header.sample_rate

    @property
    def channels(self) -> int:
        """Channels as stored."""
        return self.section.header.channels

    @property
    def format(self) -> str:
        """Version and layer."""
        header = self.section.header
        version = "2.5" if header.sample_rate <= _MPEG_25_RATES else str(header.version)
        return f"MPEG-{version} Layer {'I' * header.layer}"

    @property
    def num_samples(self) -> int:
        """Samples per channel, from the packets and the gapless tag."""
        return self.section.num_samples
