"""A window of an MPEG part: find its run of packets, decode the run, crop."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flowmo_data.decoding.recovery import decode_run
from flowmo_data.decoding.registry import load_decoder
from flowmo_data.decoding.window import Window, within
from flowmo_data.errors import AudioFileError
from flowmo_data.tracks.mpeg import MovedPacketsError, Run, build_run, packet_range
from flowmo_data.tracks.mpeg_part import MpegPart

_LOUDEST = 100.0
"""40 dB above full scale; mastered music decodes to 3 at most"""


def read_mpeg(part: MpegPart, start: int, stop: int, decoder: str) -> Window:
    """Read the samples `[start, stop)` of a part: see `reading.read_window`."""
    run = find_run(part, start, stop)
    samples = decode_run(run, load_decoder(decoder))
    _silence_wild_packets(run, samples)
    per_packet = part.section.header.samples_per_packet
    skipped = start + part.section.delay - run.first * per_packet
    window = samples[skipped : skipped + stop - start]
    silent = [packet * per_packet - skipped for packet in sorted(run.muted)]
    return Window(window, within(((begin, begin + per_packet) for begin in silent), len(window)))


def find_run(part: MpegPart, start: int, stop: int) -> Run:
    """Read the packets that decode to the samples `[start, stop)`, and to some before and after.

    Raises:
        AudioFileError: the file cannot be read any more, or is another than was opened.
    """
    try:
        first, last = packet_range(part.section, start, stop)
        return build_run(part.section, first, last, part.source.read)
    except MovedPacketsError as error:
        raise AudioFileError.of(
            part.source.path, f"it is not the file that was indexed ({error}); run flowmo-data index again"
        ) from error


def _silence_wild_packets(run: Run, samples: npt.NDArray[np.float32]) -> None:
    """Silence packets that hold NaN, or a sample louder than any signal: they are damaged.

    Such a packet can decode to 1e9, which would wreck a training step.
    """
    if samples.min() >= -_LOUDEST and samples.max() <= _LOUDEST:  # false if there is a NaN
        return
    by_packet = samples.reshape(run.num_packets, -1)
    wild = ~np.all(np.abs(by_packet) <= _LOUDEST, axis=1)
    by_packet[wild] = 0
    run.muted.update(np.flatnonzero(wild).tolist())
