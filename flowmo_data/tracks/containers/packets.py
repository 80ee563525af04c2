"""The packets of a container's stream: where they are, and how many samples each decodes to.

Time stamps of Matroska and ASF are rounded to milliseconds, so samples are counted in packets:

- AAC, AC-3, MP3: every packet has as many samples as the first.
- ALAC, FLAC, WavPack, TTA: so has every packet but the last, which is decoded.
- Opus: the first byte of a packet gives its duration (RFC 6716, 3.1).
- PCM: the bytes give it. Other codecs where time stamps count samples (MP4, APE): the durations give it.
- The rest, Vorbis and WMA among them: the whole stream is decoded once, when the file is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flowmo_data.tracks.containers.codecs import ALL, CodecRule, rule_of
from flowmo_data.tracks.containers.part import import_av, new_decoder, whole_packets

_PROBED = 8
"""packets that are decoded to learn what a stream is; SBR is found in the first, and a few may be damaged"""
_PROBED_SAMPLES = 1 << 15
"""samples that are enough"""
_MOST_PROBED = 1_000
"""packets to look at if none can be decoded"""
_NO_TIME = -(1 << 63)
_MOST_LONGER = 2
"""durations of a packet that the last one may have, if the tables have all packets"""
_REFUSED = -1
_OPUS_RATE = 48_000
_TOLERANCE_SECONDS = 0.05


@dataclass(slots=True)
class Listed:
    """The packets of a stream, in order."""

    places: npt.NDArray[np.int64]
    """first byte of each, -1 where it is not known"""
    sizes: npt.NDArray[np.int64]
    """bytes of each"""
    times: npt.NDArray[np.int64]
    """time stamp of each, in units of the stream's time base; `_NO_TIME` where there is none"""
    durations: npt.NDArray[np.int64]
    """duration of each, in units of the stream's time base; 0 where it is not known"""
    first_bytes: npt.NDArray[np.int64]
    """first two bytes of each, as a number; empty where only Opus would need them"""
    skipped: int = 0
    """samples of delay that the first packets state"""
    padding: int = 0
    """samples of padding that the last packet states"""

    def __len__(self) -> int:
        return len(self.times)

    def without_last(self) -> Listed:
        """Return all but the last of the packets."""
        return Listed(
            self.places[:-1],
            self.sizes[:-1],
            self.times[:-1],
            self.durations[:-1],
            self.first_bytes[:-1],
            self.skipped,
        )

    @property
    def are_in_order(self) -> bool:
        """Whether all packets have time stamps that increase."""
        return bool(len(self)) and self.times[0] != _NO_TIME and bool(np.all(np.diff(self.times) > 0))


@dataclass(frozen=True, slots=True)
class Probed:
    """What the first packets of a stream decode to."""

    sample_rate: int
    """sample rate, Hz"""
    channels: int
    """number of channels"""
    counts: tuple[int, ...]
    """samples of each of the packets"""
    num_bytes: tuple[int, ...]
    """bytes of each of the packets"""

    @property
    def packet_samples(self) -> int:
        """Samples of most packets; those that cannot be decoded do not count."""
        counts = [each for each in self.counts if each] or [0]
        return max(set(counts), key=counts.count)


def list_by_index(stream: Any, size: int) -> Listed | None:
    """Return the packets of an MP4 file by its tables, without reading them; None if the tables do not have them all.

    Args:
        stream: the stream.
        size: bytes of the file; packets that are not all there are left out.
    """
    entries = stream.index_entries
    if not len(entries) or stream.duration is None or stream.frames != len(entries):
        return None
    values = ((each.pos, each.size, each.timestamp) for each in entries)
    rows: npt.NDArray[np.int64] = np.fromiter(values, np.dtype((np.int64, 3)), len(entries))
    durations = np.diff(rows[:, 2], append=max(stream.duration, int(rows[-1, 2])))
    if len(durations) > 1 and durations[-1] > _MOST_LONGER * int(np.median(durations[:-1])):
        return None  # fragments follow
    beyond = np.flatnonzero(rows[:, 0] + rows[:, 1] > size)
    stop = int(beyond[0]) if len(beyond) else len(rows)
    places, sizes, times = rows[:stop].T
    return Listed(places, sizes, times, durations[:stop], np.empty(0, np.int64))


def list_by_demuxing(container: Any, stream: Any, *, with_bytes: bool) -> tuple[Listed, Any]:
    """Return the packets of a stream by reading all of them, and the last one."""
    skipped, last = 0, None

    def values() -> Iterator[tuple[int, int, int, int, int]]:
        nonlocal skipped, last
        for number, packet in enumerate(whole_packets(container.demux(stream))):
            if number < _PROBED:
                skipped += _skip(packet)[0]
            time, place = packet.pts, packet.pos
            yield (
                -1 if place is None else place,
                packet.size,
                _NO_TIME if time is None else time,
                packet.duration or 0,
                int.from_bytes(bytes(memoryview(packet)[:2]), "big") if with_bytes else 0,
            )
            last = packet

    rows: npt.NDArray[np.int64] = np.fromiter(values(), np.dtype((np.int64, 5)))
    places, sizes, times, durations, first_bytes = np.ascontiguousarray(rows.T)
    padding = 0 if last is None else _skip(last)[1]
    return Listed(places, sizes, times, durations, first_bytes, skipped, padding), last


def are_adjacent(listed: Listed, size: int) -> bool:
    """Return whether packets follow each other without a byte between, and fill the file."""
    stops = listed.places + listed.sizes
    return listed.places[0] == 0 and stops[-1] == size and np.array_equal(listed.places[1:], stops[:-1])


def find_again(listed: Listed, packets: Iterable[Any], data: bytes) -> None:
    """Correct the places of packets by their bytes: behind damage, FFmpeg's places are off by the skipped bytes.

    Args:
        listed: the packets; their places become -1 if one is not found.
        packets: the same, demuxed again.
        data: bytes of the file.
    """
    stop = 0
    for number, packet in zip(range(len(listed)), whole_packets(packets), strict=False):
        place = data.find(bytes(packet), stop)
        if place < 0:
            listed.places[:] = -1
            return
        listed.places[number], stop = place, place + packet.size


def _skip(packet: Any) -> tuple[int, int]:
    """Return the samples of a packet that are delay, and those that are padding."""
    if not packet.has_sidedata("skip_samples"):
        return 0, 0
    data = bytes(packet.get_sidedata("skip_samples"))
    return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little")


def probe(container: Any, stream: Any, rule: CodecRule) -> Probed | None:
    """Return what the first packets of a stream decode to; None if none of them can be decoded."""
    decoder, counts, sizes = new_decoder(stream, rule), list[int](), list[int]()
    kinds: list[tuple[int, int]] = []
    for packet in whole_packets(container.demux(stream)):
        frames = decoded(decoder, packet) or []
        kinds += [(frame.sample_rate, len(frame.layout.channels)) for frame in frames]
        counts.append(sum(frame.samples for frame in frames))
        sizes.append(packet.size)
        is_enough = kinds and (len(counts) >= _PROBED or sum(counts) >= _PROBED_SAMPLES)
        if is_enough or len(counts) >= _MOST_PROBED:
            break
    if not kinds:
        return None
    rate, channels = max(set(kinds), key=kinds.count)
    return Probed(rate, channels, tuple(counts), tuple(sizes))


def decoded(decoder: Any, packet: Any) -> list[Any] | None:
    """Return the frames that a decoder has after a packet, or after the last one (None); None if it refuses it."""
    try:
        frames: list[Any] = decoder.decode(packet)
    except import_av().FFmpegError:
        return None
    return frames


def count_samples(listed: Listed, probed: Probed, codec: str, time_base: Any, last: int | None) -> Any:
    """Return the samples of each packet, int64; None if only decoding can tell.

    Args:
        listed: the packets.
        probed: the first of them, decoded.
        codec: FFmpeg's name of the codec.
        time_base: seconds in a unit of time, a fraction.
        last: samples of the last packet, decoded on its own; None if that is not known.
    """
    rule, usual = rule_of(codec, probed.packet_samples), probed.packet_samples
    as_many = np.full(len(listed), usual, np.int64)
    is_regular = set(probed.counts[: len(listed) - 1]) <= {usual, 0}  # 0: a damaged packet
    is_steady = _is_steady(listed, usual / probed.sample_rate, time_base)
    if rule.samples == ALL and is_regular and (codec != "eac3" or is_steady):
        return as_many
    if codec == "opus" and len(listed.first_bytes):
        return opus_samples(listed.first_bytes) * probed.sample_rate // _OPUS_RATE
    if codec.startswith("pcm_"):
        per_sample = probed.num_bytes[0] // max(probed.counts[0], 1)
        return listed.sizes // per_sample if per_sample else None
    scale = time_base * probed.sample_rate
    if scale.denominator == 1 or not np.any(listed.durations % scale.denominator):
        exact = listed.durations * scale.numerator // scale.denominator
        if np.array_equal(exact[: len(probed.counts)], probed.counts[: len(exact)]) and exact.min() > 0:
            return exact
    if rule.samples and last is not None and is_regular and is_steady:
        as_many[-1] = last
        return as_many
    return None


def _is_steady(listed: Listed, seconds: float, time_base: Any) -> bool:
    """Return whether time stamps are those of packets of one duration."""
    if not listed.are_in_order:
        return False
    expected = np.arange(len(listed)) * seconds
    return bool(np.all(np.abs((listed.times - listed.times[0]) * float(time_base) - expected) < _TOLERANCE_SECONDS))


def opus_samples(first_bytes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the samples of packets of Opus at 48 kHz, by their first two bytes (RFC 6716, 3.1 and 3.2).

    >>> opus_samples(np.array([0xFC00, 0x0300 | 3])).tolist()
    [960, 1440]
    """
    table, second = first_bytes >> 8, first_bytes & 0xFF
    config, code = table >> 3, table & 3
    silk = np.array([480, 960, 1_920, 2_880])[config & 3]
    hybrid = np.array([480, 960])[config & 1]
    celt = np.array([120, 240, 480, 960])[config & 3]
    frame = np.where(config < 12, silk, np.where(config < 16, hybrid, celt))
    samples: npt.NDArray[np.int64] = frame * np.where(code == 0, 1, np.where(code == 3, second & 63, 2))
    return samples


def count_by_decoding(container: Any, stream: Any, rule: CodecRule) -> tuple[npt.NDArray[np.int64], int]:
    """Decode all packets of a stream; return the samples of each, and those that come after the last one.

    A packet that is refused has as many samples as all others, which are silent, or none if the others differ.
    """
    decoder = new_decoder(stream, rule)
    found = list[int]()
    for packet in whole_packets(container.demux(stream)):
        frames = decoded(decoder, packet)
        found.append(_REFUSED if frames is None else sum(frame.samples for frame in frames))
    counts = np.array(found, np.int64)
    is_refused = counts == _REFUSED
    counts[is_refused] = 0
    usual = np.unique(counts[~is_refused])
    if len(usual) == 1:
        counts[is_refused] = usual[0]
    return counts, sum(frame.samples for frame in decoded(decoder, None) or ())
