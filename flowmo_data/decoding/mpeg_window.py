"""A window of an MPEG part: find its packets, decode them, crop."""

from __future__ import annotations

from typing import TypeGuard

import numpy as np
import numpy.typing as npt

from flowmo_data.decoding import native
from flowmo_data.decoding.native import Samples
from flowmo_data.decoding.recovery import decode_run
from flowmo_data.decoding.registry import choose_run_decoder, load_run_decoder
from flowmo_data.decoding.window import Stretch, Window, within
from flowmo_data.errors import AudioFileError
from flowmo_data.runtime.scratch import scratch
from flowmo_data.tracks import Part
from flowmo_data.tracks.mpeg import MovedPacketsError, Packets, Run, build_run, packet_range, read_packets
from flowmo_data.tracks.mpeg_part import MpegPart

_LOUDEST = 100.0
"""40 dB above full scale; mastered music decodes to 3 at most"""


def read_mpeg(part: MpegPart, start: int, stop: int, decoder: str) -> Window:
    """Read the samples `[start, stop)` of a part: see `reading.read_window`."""
    if is_native(part, decoder):
        out = scratch(part.channels, stop - start)
        return Window(out.T, decode_into(part, start, stop, out))
    run = find_run(part, start, stop)
    samples = decode_run(run, load_run_decoder(choose_run_decoder(decoder)))
    _silence_wild_packets(run, samples)
    per_packet = part.section.header.samples_per_packet
    skipped = start + part.section.delay - run.first * per_packet
    window = samples[skipped : skipped + stop - start]
    silent = [packet * per_packet - skipped for packet in sorted(run.muted)]
    return Window(window, within(((begin, begin + per_packet) for begin in silent), len(window)))


def is_native(part: Part, decoder: str) -> TypeGuard[MpegPart]:
    """Return whether `decode_into` can read a part."""
    return decoder == "native" and isinstance(part, MpegPart) and part.section.header.layer == 3


def decode_into(part: MpegPart, start: int, stop: int, out: Samples, *, streamed: bool = False) -> tuple[Stretch, ...]:
    """Decode the samples `[start, stop)` of a Layer III part into memory, with the native decoder.

    Args:
        part: the part.
        start: first sample.
        stop: one past the last sample.
        out: of the shape `(1 or 2, stop - start)`, float32, float16, bfloat16 or int16; see `native.decode_window`.
        streamed: see there.

    Returns:
        The stretches of the window that are silent because they could not be decoded.

    Raises:
        AudioFileError: the file cannot be read any more, or is another than was opened.
    """
    first, packets = find_packets(part, start, stop)
    per_packet = part.section.header.samples_per_packet
    skip = start + part.section.delay - first * per_packet
    verdicts = native.decode_window(
        packets.data, packets.starts, skip=skip, out=out, breaks=_flags(packets), streamed=streamed
    )
    if not verdicts.any():
        return ()
    silent = (np.flatnonzero(verdicts) * per_packet - skip).tolist()
    return within(((begin, begin + per_packet) for begin in silent), stop - start)


def _flags(packets: Packets) -> npt.NDArray[np.uint8] | None:
    if not packets.breaks:
        return None
    flags = np.zeros(len(packets.starts) - 1, np.uint8)
    flags[list(packets.breaks)] = 1
    return flags


def find_packets(part: MpegPart, start: int, stop: int) -> tuple[int, Packets]:
    """Read the packets that decode to the samples `[start, stop)`, and to some before and after.

    Returns:
        The index of the first packet in the section, and the packets.

    Raises:
        AudioFileError: the file cannot be read any more, or is another than was opened.
    """
    try:
        first, last = packet_range(part.section, start, stop)
        return first, read_packets(part.section, first, last, part.source.read)
    except MovedPacketsError as error:
        raise _other_file(part, error) from error


def find_run(part: MpegPart, start: int, stop: int) -> Run:
    """Read the same packets as a run, for decoders that know nothing of damage. Raises as `find_packets`."""
    try:
        first, last = packet_range(part.section, start, stop)
        return build_run(part.section, first, last, part.source.read)
    except MovedPacketsError as error:
        raise _other_file(part, error) from error


def _other_file(part: MpegPart, error: MovedPacketsError) -> AudioFileError:
    return AudioFileError.of(
        part.source.path, f"it is not the file that was indexed ({error}); run flowmo-data index again"
    )


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
