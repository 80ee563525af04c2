"""A section of an MPEG audio file, read by its packets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flowmo_data.decoding import decode_run, load_decoder
from flowmo_data.errors import AudioFileError
from flowmo_data.mpeg import MovedPacketsError, Run, Section, build_run, packet_range
from flowmo_data.parts import Window, within
from flowmo_data.sources import Source

_LOUDEST = 100.0
"""40 dB above full scale; mastered music decodes to 3 at most"""
_MPEG_25_RATES = 12_000
"""Hz; MPEG-2.5's are these and lower"""


@dataclass(frozen=True, slots=True)
class MpegPart:
    """A section of an MPEG audio file, read by its packets."""

    source: Source
    section: Section
    decoder: str
    """name; the function is looked up where it runs, so that a part can be sent to another process"""

    @property
    def sample_rate(self) -> int:
        """Hz."""
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

    def read(self, start: int, stop: int) -> Window:
        """See `Part.read`."""
        run = self.run(start, stop)
        samples = decode_run(run, load_decoder(self.decoder))
        _silence_wild_packets(run, samples)
        per_packet = self.section.header.samples_per_packet
        skipped = start + self.section.delay - run.first * per_packet
        window = samples[skipped : skipped + stop - start]
        silent = [packet * per_packet - skipped for packet in sorted(run.muted)]
        return Window(window, within(((begin, begin + per_packet) for begin in silent), len(window)))

    def run(self, start: int, stop: int) -> Run:
        """The packets that decode to the samples `[start, stop)`, and to some before and after."""
        try:
            first, last = packet_range(self.section, start, stop)
            return build_run(self.section, first, last, self.source.read)
        except MovedPacketsError as error:
            raise AudioFileError.of(
                self.source.path, f"it is not the file that was indexed ({error}); run flowmo-data index again"
            ) from error


def _silence_wild_packets(run: Run, samples: npt.NDArray[np.float32]) -> None:
    """Silence the packets of a run in which a sample is no number, or louder than any signal: they are damaged.

    Such a packet can decode to 1e9, which would wreck a training step.
    """
    if samples.min() >= -_LOUDEST and samples.max() <= _LOUDEST:  # false for what is no number
        return
    by_packet = samples.reshape(run.num_packets, -1)
    wild = ~np.all(np.abs(by_packet) <= _LOUDEST, axis=1)
    by_packet[wild] = 0
    run.muted.update(np.flatnonzero(wild).tolist())
