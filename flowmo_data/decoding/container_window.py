"""A window of a container's audio stream, decoded by FFmpeg through PyAV.

    packets   . . . [ preroll )[ the window's packets )          most codecs
    packets   . [ preroll )[ block )                             AAC and WMA: a new decoder for each block of packets,
                       [ preroll )[ block )                      so that its noise is the same for every window

Samples are placed by the numbers of their packets, never by time stamps, which many containers round to milliseconds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt

from flowmo_data.decoding.window import Stretch, Window
from flowmo_data.errors import AudioFileError
from flowmo_data.runtime.scratch import scratch
from flowmo_data.tracks.containers.codecs import FROM_START
from flowmo_data.tracks.containers.packets import decoded
from flowmo_data.tracks.containers.part import ContainerPart, PacketsMovedError, import_av, refused

_KINDS: dict[str, tuple[type[np.generic], float]] = {
    "u8": (np.uint8, 1 / 128),
    "s16": (np.int16, 1 / 32_768),
    "s32": (np.int32, 1 / (1 << 31)),
    "s64": (np.int64, 1 / (1 << 63)),
    "flt": (np.float32, 1),
    "dbl": (np.float64, 1),
}
"""types of samples, by FFmpeg's names, and the factors to [-1, 1], as libsndfile has them"""


def read_container(part: ContainerPart, start: int, stop: int) -> Window:
    """Read the samples `[start, stop)` of a part: see `reading.read_window`."""
    first, last = part.delay + start, part.delay + stop
    out = scratch(part.channels, stop - start, name="container")
    silent, done = list[Stretch](), first
    try:
        for place, frame in _decode(part, first, last):
            begin, end = max(place, done), min(place + frame.samples, last)
            if begin >= end or frame.sample_rate != part.sample_rate:  # another rate: of a file that was joined to it
                continue
            if begin > done:
                silent.append((done - first, begin - first))
            _write(frame, begin - place, out[:, begin - first : end - first])
            done = end
    except PacketsMovedError as error:
        part.source.check_unchanged()
        raise AudioFileError.of(part.source.path, "its packets are not where they were; is it another file?") from error
    except (import_av().FFmpegError, ValueError) as error:
        part.source.check_unchanged()
        raise refused(part.source, part.demuxer, error) from error
    part.source.check_unchanged()
    if done < last:
        silent.append((done - first, last - first))
    for begin, end in silent:
        out[:, begin:end] = 0
    return Window(out.T, tuple(silent)).finite()


def _decode(part: ContainerPart, first: int, last: int) -> Iterator[tuple[int, Any]]:
    """Yield frames, each with the number of its first sample, that together cover the decoded samples `[first, last)`.

    The frames that a decoder gives after a packet begin where the packet does.
    """
    begin, stop = _packets_of(part, first, last)
    step, preroll = part.packets_per_point, part.preroll
    starts = [begin]
    if part.rule.restarts:
        starts = list(range(begin - begin % step, stop, step))
    base = max(starts[0] - preroll, 0)
    packets = part.packets(base, stop)
    if not packets:
        raise PacketsMovedError
    place = 0
    for start, end in zip(starts, [*starts[1:], stop], strict=True):
        with ExitStack() as opened:
            if part.rule.is_self_contained or start == starts[0]:
                stream = packets[0].stream
            else:
                _, stream = opened.enter_context(part.open())
            decoder = part.new_decoder(stream)
            from_packet = max(start - preroll, 0)
            for number, packet in enumerate(packets[from_packet - base : end - base], from_packet):
                frames = decoded(decoder, packet) or ()
                if number < start:
                    continue
                place = _place(part, number, place)
                for frame in frames:
                    yield place, frame
                    place += frame.samples
            if end == part.num_packets:
                for frame in decoded(decoder, None) or ():
                    yield place, frame
                    place += frame.samples


def _packets_of(part: ContainerPart, first: int, last: int) -> tuple[int, int]:
    """Return the half-open range of packets that decode to the samples `[first, last)`, and maybe to some more."""
    samples = part.packet_samples
    if part.preroll >= FROM_START or not (samples or len(part.point_samples)):
        return 0, min(-(-last // samples), part.num_packets) if samples else part.num_packets
    if samples:
        return min(first // samples, part.num_packets - 1), min(-(-last // samples), part.num_packets)
    begin = (bisect_right(part.point_samples, first) - 1) * part.packets_per_point
    end = bisect_left(part.point_samples, last) * part.packets_per_point
    return begin, min(end, part.num_packets)


def _place(part: ContainerPart, number: int, place: int) -> int:
    """Return the first sample of a packet: `place`, if only the packets before it tell."""
    if part.packet_samples:
        return number * part.packet_samples
    if len(part.point_samples) and number % part.packets_per_point == 0:
        return int(part.point_samples[number // part.packets_per_point])
    return place


def _write(frame: Any, skipped: int, out: npt.NDArray[np.float32]) -> None:
    """Write samples of a frame as floats, from the one with the number `skipped` on.

    A frame with other channels than the part is mono before parametric stereo begins, or damaged: its first channel
    goes to all that it does not have.
    """
    kind = frame.format.name
    dtype, scale = _KINDS[kind.rstrip("p")]
    length, stop = frame.samples, skipped + out.shape[1]
    if kind.endswith("p"):
        rows = [np.frombuffer(plane, dtype, length)[skipped:stop] for plane in frame.planes[: len(out)]]
    else:
        channels = len(frame.layout.channels)
        rows = list(np.frombuffer(frame.planes[0], dtype, length * channels).reshape(length, -1).T[:, skipped:stop])
    for row, samples in zip(out, rows, strict=False):
        if dtype == np.uint8:
            np.subtract(samples, np.float32(128), out=row, casting="unsafe")
            row *= np.float32(scale)
        elif scale == 1:
            row[:] = samples
        else:
            np.multiply(samples, np.float32(scale), out=row, casting="unsafe")
    if len(rows) < len(out):
        out[len(rows) :] = out[:1]
