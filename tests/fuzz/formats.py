"""Small files of the formats that are no MPEG audio, and the places in them that decode on their own.

A file is seen as a header and units behind it:

    header | unit | unit | unit ...        a unit: some samples of PCM, a FLAC frame, an Ogg page

A unit is *whole* in a mutated file if all of its bytes are there, one after the other.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
from builders import music
from ogg_writer import page_starts, repaged

from flowmo_data.tracks.flac import frame_headers
from flowmo_data.tracks.ogg import walk_ogg

PCM_UNIT_SAMPLES = 16
PCM_BYTES = {"PCM_U8": 1, "PCM_S8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8, "ULAW": 1}


class Unit(NamedTuple):
    """Bytes that decode on their own, or nearly so."""

    start: int
    """its first byte"""
    stop: int
    """one past its last byte"""
    first: int
    """its first sample"""
    last: int
    """one past its last sample"""


@dataclass(frozen=True, slots=True)
class FormatBase:
    """A file to mutate."""

    format: str
    """one of `FORMATS`"""
    name: str
    data: bytes
    rate: int
    """Hz"""
    channels: int
    samples: npt.NDArray[np.float32]
    """`(num_samples, channels)`, as soundfile reads them"""
    header_stop: int
    """byte at which the first unit starts"""
    units: list[Unit]
    places: list[int]
    """bytes at which damage is more interesting than elsewhere: headers of all kinds"""
    overlap: int = 0
    """samples behind damage that may differ, since the decoder remembers"""
    tolerance: float = 0
    """difference of samples behind damage that is allowed"""


def _encode(container: str, codec: str, samples: npt.NDArray[np.float32], rate: int) -> bytes:
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, samples.shape[1], format=container, subtype=codec) as out:
        for start in range(0, len(samples), 4_096):
            out.write(samples[start : start + 4_096])
    return file.getvalue()


def _pcm(name: str, container: str, codec: str, rate: int, channels: int) -> FormatBase:
    data = _encode(container, codec, music(6_000, seed=rate, channels=channels), rate)
    samples, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    width = PCM_BYTES[codec] * channels
    marker = {"AIFF": b"SSND", "AU": b".snd"}.get(container, b"data")
    after = {"AIFF": 16, "AU": int.from_bytes(data[4:8], "big"), "CAF": 16, "W64": 24}.get(container, 8)
    start = data.index(marker) + after
    edges = range(0, len(samples) + 1, PCM_UNIT_SAMPLES)
    units = [Unit(start + first * width, start + last * width, first, last) for first, last in pairwise(edges)]
    names = (b"RIFF", b"riff", b"FORM", b".snd", b"caff", b"desc", b"COMM", b"SSND", b"fmt ", b"data", b"fact", b"PEAK")
    places = sorted({data.find(name) for name in names} - {-1})
    return FormatBase(name, f"{codec} {rate} {channels}", data, rate, channels, samples, start, units, places)


def _flac(codec: str, rate: int, channels: int) -> FormatBase:
    data = _encode("FLAC", codec, music(40_000, seed=rate, channels=channels), rate)
    samples, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)

    def read(start: int, stop: int) -> bytes:
        return data[start:stop]

    frames = frame_headers(read, 0, len(data))
    stops = [*(frame.offset for frame in frames[1:]), len(data)]
    units = [
        Unit(frame.offset, stop, frame.start, min(frame.stop, len(samples)))
        for frame, stop in zip(frames, stops, strict=True)
    ]
    places = [0, 4, 8, 18, 42, *(unit.start for unit in units)]
    return FormatBase(
        "FLAC", f"{codec} {rate} {channels}", data, rate, channels, samples, units[0].start, units, places
    )


def _ogg(codec: str, rate: int, channels: int, *, packets_a_page: int = 0) -> FormatBase:
    num_samples = 3 * rate // 2
    data = _encode("OGG", codec, music(num_samples, seed=rate + channels, channels=channels), rate)
    if packets_a_page:
        data = repaged(data, packets_a_page)
    samples, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    (link,) = walk_ogg(lambda start, stop: data[start:stop], 0, len(data)).links
    (stream,) = link.streams.values()
    starts = page_starts(data)
    pages = [(start, stop, int.from_bytes(data[start + 6 : start + 14], "little", signed=True))
             for start, stop in pairwise([*starts, len(data)])]  # fmt: skip
    factor = stream.rate // rate  # positions of Opus are at 48 kHz
    skip = max(pages[-1][2] // factor - len(samples), 0)
    units, before = [], 0
    for start, stop, granule in pages:
        if granule > 0:
            position = min(max(granule // factor - skip, 0), len(samples))
            units.append(Unit(start, stop, before, position))
            before = position
    name = {"VORBIS": "Ogg Vorbis", "OPUS": "Ogg Opus"}[codec]
    overlap, tolerance = (24_000 // factor, 1e-4) if codec == "OPUS" else (8_192, 0.0)
    return FormatBase(
        name, f"{rate} {channels} {packets_a_page}", data, rate, channels, samples, units[0].start, units, starts,
        overlap, tolerance,
    )  # fmt: skip


FORMATS = ("WAV", "FLAC", "Ogg Vorbis", "Ogg Opus", "AIFF", "CAF", "W64", "AU")


def format_bases(name: str) -> list[FormatBase]:
    """Small files of a format, which soundfile writes."""
    if name == "FLAC":
        return [_flac("PCM_16", 44_100, 2), _flac("PCM_24", 48_000, 1), _flac("PCM_S8", 8_000, 2)]
    if name == "Ogg Vorbis":
        return [
            _ogg("VORBIS", 44_100, 2),
            _ogg("VORBIS", 22_050, 1, packets_a_page=6),
            _ogg("VORBIS", 44_100, 1, packets_a_page=30),
        ]
    if name == "Ogg Opus":
        return [
            _ogg("OPUS", 48_000, 2),
            _ogg("OPUS", 48_000, 1, packets_a_page=10),
            _ogg("OPUS", 24_000, 2, packets_a_page=25),
        ]
    codecs = {
        "WAV": ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "ULAW"], "AIFF": ["PCM_S8", "PCM_16", "PCM_24", "FLOAT", "ULAW"],
        "CAF": ["PCM_S8", "PCM_16", "PCM_24", "FLOAT", "ULAW"], "W64": ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "ULAW"],
        "AU": ["PCM_S8", "PCM_16", "PCM_24", "FLOAT", "ULAW"],
    }[name]  # fmt: skip
    kinds = zip(codecs, (8_000, 44_100, 48_000, 96_000, 8_000), (1, 2, 2, 1, 2), strict=True)
    return [_pcm(name, name, codec, rate, channels) for codec, rate, channels in kinds]
