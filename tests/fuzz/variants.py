"""One mutated file, streamed and held against the file that it was: for the tests and for the study."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from builders import CORPUS, DATA, ZOO, expected_zoo, music, opened, packets_of, read, walk_bytes
from invariants import check_walk
from mutations import Mutation, mutate

from flowmo_data import AudioFileError, StreamingAudioDataset
from flowmo_data.decoding import fill_frame
from flowmo_data.tracks.mpeg import Section
from flowmo_data.tracks.mpeg.tags import audio_end, tag_end
from flowmo_data.tracks.mpeg_part import MpegPart
from flowmo_data.tracks.track import Timeline, Track, at_sample_rate

MOST_PACKETS = 48
"""of a file that is mutated: about a second"""
_OVERLAP_PACKETS = 2
"""before a packet that synthesis remembers"""
_ROUNDING = {"minimp3py": 0.0, "soundfile": 1e-6}
"""of the loudest sample: mpg123 adds the same floats in another order where it has met damage before, or the packet's
number has changed"""


@dataclass(frozen=True, slots=True)
class Base:
    """A file to mutate."""

    name: str
    data: bytes
    section: Section
    samples: npt.NDArray[np.float32]
    """`(num_samples, channels)`, what the decoder makes of it"""
    needed: list[int]
    """for each packet, how many before it must be whole for it to decode as it did"""

    @property
    def starts(self) -> list[int]:
        """Byte at which each packet starts."""
        return list(self.section.offsets)

    @property
    def kind(self) -> tuple[int, int]:
        """Sample rate in Hz, and channels."""
        return self.section.header.sample_rate, self.section.header.channels

    def packet_samples(self, packet: int) -> range:
        """The samples of the file that a packet decodes to."""
        return _packet_samples(self.section, packet)


@dataclass(slots=True)
class Outcome:
    """What became of a mutated file."""

    kind: str
    what: str
    base: str
    ideal_seconds: float = 0
    """of the packets that are whole in it"""
    seconds: float = 0
    """that were streamed and are not silence for want of a packet"""
    right_seconds: float = 0
    """of packets that must be as in the file before, and are to the bit"""
    concealed_seconds: float = 0
    """of packets that are whole, and inside what claims to be a tag or a longer packet"""
    rounded_seconds: float = 0
    """of such packets that are but for rounding"""
    loudest: float = 0
    problems: list[str] = field(default_factory=list)
    """promises that were not kept"""


def base_files() -> dict[str, bytes]:
    """Short files of every version, layer, way of coding and number of channels, by name."""
    files = {"layer1_48000_stereo": layer_one(b"\xff\xff\xc4\x04"), "layer1_22050_mono": layer_one(b"\xff\xf7\xc0\xc4")}
    for rate in (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000):
        for channels in (1, 2):
            for mode in ("CONSTANT", "VARIABLE"):
                file = io.BytesIO()
                samples = music(rate, seed=rate, channels=channels)
                soundfile.write(file, samples, rate, format="MP3", bitrate_mode=mode, compression_level=0.5)
                files[f"{mode.lower()}_{rate}_{channels}"] = file.getvalue()
    whole = [name for name, expected in expected_zoo().items() if expected["verdict"] == "whole"]
    for path in sorted([*DATA.glob("*.mp3"), *(ZOO / name for name in whole)]):
        if walk_bytes(path.read_bytes()).sections:
            files[path.stem] = _shortened(path.read_bytes(), 0)
    for path in sorted(CORPUS.glob("*.mp3")):
        data = path.read_bytes()[: 1 << 18]
        files[path.stem] = _shortened(data, 0)
        files[f"{path.stem}_inside"] = _shortened(data, 100)
    return files


def layer_one(header: bytes) -> bytes:
    """A Layer I file of loud noise: no encoder of it is at hand."""
    draw, packets = np.random.default_rng(0), []
    section = walk_bytes((header + bytes(walk_length(header) - 4)) * 3).sections[0]
    channels, size = section.header.channels, walk_length(header)
    for _ in range(MOST_PACKETS):
        allocation = draw.integers(0, 3, 32 * channels)  # 4 bits for each subband: samples of 0, 2 or 3 bits
        scale_factors = draw.integers(10, 40, np.count_nonzero(allocation))
        bits = "".join(f"{value:04b}" for value in allocation) + "".join(f"{value:06b}" for value in scale_factors)
        noise = draw.integers(0, 2, size * 8 - 32 - len(bits))
        bits += "".join(map(str, noise))
        packets.append(header + int(bits, 2).to_bytes(size - 4, "big"))
    return b"".join(packets)


def walk_length(header: bytes) -> int:
    """Bytes of a packet with this header."""
    from flowmo_data.tracks.mpeg.headers import parse_header

    parsed = parse_header(header)
    assert parsed is not None
    return parsed.packet_bytes


def _shortened(data: bytes, first: int) -> bytes:
    """At most `MOST_PACKETS` packets of a file, from the first on with all that stands before it."""
    offsets = walk_bytes(data).sections[0].offsets
    stop = offsets[first + MOST_PACKETS] if len(offsets) > first + MOST_PACKETS else len(data)
    return data[offsets[first] if first else 0 : stop]


def load_bases(folder: Path, decoder: str) -> list[Base]:
    """The files to mutate, decoded; `folder` is written to."""
    bases = []
    for name, data in base_files().items():
        path = folder / "base.mp3"
        path.write_bytes(data)
        (part,) = opened(path).parts
        assert isinstance(part, MpegPart)
        assert not part.section.gaps
        window = read(part, 0, part.num_samples, decoder)
        bases.append(Base(name, data, part.section, window.samples.copy(), packets_needed(data, part.section)))
    return bases


def make_variant(bases: list[Base], seed: int) -> tuple[Mutation, Base, Base]:
    """The mutated file of a seed, and the two that it was made of."""
    draw = Random(f"base {seed}")
    base, other = draw.choice(bases), draw.choice(bases)
    if draw.random() < 0.5:  # splices of one stream with another of its kind
        other = draw.choice([other for other in bases if other.kind == base.kind])
    return mutate(base.data, seed, places=base.starts, other=other.data), base, other


def check_variant(bases: list[Base], seed: int, path: Path, decoder: str) -> Outcome:
    """Write the mutated file of a seed to `path`, stream it, and see whether every promise is kept."""
    mutation, base, other = make_variant(bases, seed)
    outcome = Outcome(mutation.kind, mutation.what, base.name)
    path.write_bytes(mutation.data)
    outcome.ideal_seconds = sum(
        len(origin.packet_samples(packet)) / origin.section.header.sample_rate
        for origin, packet, _, _ in intact_packets(mutation, (base, other))
    )
    try:
        check_walk(mutation.data)
    except AssertionError as error:
        outcome.problems.append(f"table: {error!r}")
    samples_per_frame = Random(f"frame {seed}").choice((3_000, 12_000, 50_000))
    options = {"samples_per_frame": samples_per_frame, "seed": seed, "decoder": decoder}
    frames, lost = stream(path, sr=base.kind[0], channels=base.kind[1], **options)
    track = _opened(path, decoder)
    timeline = at_sample_rate(track, base.kind[0], on_other_rate="resample") if track else Timeline(str(path), ())
    outcome.problems += frame_problems(frames, timeline.num_samples, samples_per_frame, base.kind[1])
    outcome.seconds = (sum(frame["num_valid"] for frame in frames) - lost) / base.kind[0]
    outcome.loudest = max((float(frame["audio"].abs().max()) for frame in frames), default=0)
    audio = torch.cat([torch.zeros(base.kind[1], 0), *(frame["audio"] for frame in frames)], dim=1)
    first = frames[0]["start"] if frames else 0
    signal = audio[:, -first:].T.numpy()  # a frame begins at or before the file's first sample
    if track and not outcome.problems:
        _check_intact(outcome, mutation, (base, other), track, timeline, signal, decoder)
    if seed % 8 == 0:
        dtype = (torch.float16, torch.bfloat16, torch.int16)[seed // 8 % 3]
        others, _ = stream(path, sr=32_000, channels=1 + seed // 8 % 2, dtype=dtype, framing="drop", **options)
        if not all(frame["audio"].isfinite().all() for frame in others):
            outcome.problems.append(f"not finite as {dtype}; the loudest sample is {outcome.loudest:g}")
        if any(frame["audio"].dtype != dtype or frame["num_valid"] != samples_per_frame for frame in others):
            outcome.problems.append(f"a frame of the wrong kind as {dtype}")
    return outcome


def stream(path: Path, **options: Any) -> tuple[list[dict[str, Any]], int]:
    """All frames of a file from its first to its last, and how many of their samples are lost and so silence."""
    dataset = StreamingAudioDataset(path, return_info=True, **options)
    warned = _Warned(logging.WARNING)
    logger = logging.getLogger("flowmo_data")
    logger.addHandler(warned)
    try:
        frames = sorted(dataset, key=itemgetter("start"))
    except AudioFileError:  # the only file, and it cannot be read
        return [], 0
    finally:
        logger.removeHandler(warned)
    if not warned.some:
        return frames, 0
    track = opened(path)
    timeline = at_sample_rate(track, options["sr"], on_other_rate="resample")
    frame = torch.empty(options["channels"], options["samples_per_frame"])
    return frames, sum(fill_frame(timeline, emitted["start"], frame, options["decoder"]).num_lost for emitted in frames)


class _Warned(logging.Handler):
    """Takes note of whether anything was told of a file."""

    some = False

    def emit(self, record: logging.LogRecord) -> None:
        self.some = True


def _opened(path: Path, decoder: str) -> Track | None:
    try:
        return opened(path)
    except AudioFileError:
        return None


def frame_problems(frames: list[dict[str, Any]], num_samples: int, samples_per_frame: int, channels: int) -> list[str]:
    problems = []
    for frame in frames:
        audio = frame["audio"]
        if audio.shape != (channels, samples_per_frame) or audio.dtype != torch.float32:
            problems.append(f"a frame is {audio.dtype}, {tuple(audio.shape)}")
        if not audio.isfinite().all():
            problems.append("a sample is not finite")
        begin, end = max(-frame["start"], 0), min(num_samples - frame["start"], samples_per_frame)
        if frame["num_valid"] != end - begin:
            problems.append(f"num_valid is {frame['num_valid']} of samples {begin} to {end}")
        if audio[:, :begin].any() or audio[:, end:].any():
            problems.append("padding is not zero")
    starts = [frame["start"] for frame in frames]
    if starts and starts != list(range(starts[0], num_samples, samples_per_frame)):
        problems.append(f"frames start at {starts}")
    if starts and not -samples_per_frame < starts[0] <= 0:
        problems.append(f"the first frame starts at {starts[0]}")
    if bool(frames) != bool(num_samples):
        problems.append(f"{len(frames)} frames of {num_samples} samples")
    return problems


def intact_packets(mutation: Mutation, bases: tuple[Base, Base]) -> Iterator[tuple[Base, int, int, int]]:
    """The packets that are whole in a mutated file.

    Yields:
        The file of the packet, its number in it, the byte of the mutated file at which it starts, and how many packets
        before it are whole and in their place.
    """
    pos = 0
    for data, file, start in mutation.pieces:
        if file >= 0:
            base, before = bases[file], 0
            stops = [*base.starts[1:], base.section.end]
            for packet, (first, stop) in enumerate(zip(base.starts, stops, strict=True)):
                if start <= first and stop <= start + len(data):
                    yield base, packet, pos + first - start, before
                    before += 1
        pos += len(data)


def packets_needed(data: bytes, section: Section) -> list[int]:
    """For each packet, how many before it must be whole for it to decode as it did; more than there are if too few.

    Those are what synthesis remembers, their reservoir, and one more that a header in the damage before may swallow.
    """
    sizes = [len(packet) - section.header.main_data_offset for packet in packets_of(data, section)]
    needed = []
    for packet in range(len(sizes)):
        missing, first = section.header.reservoir_bytes, max(packet - _OVERLAP_PACKETS, 0)
        while missing > 0 and first > 0:
            first -= 1
            missing -= sizes[first]
        needed.append(packet - first + 1)
    return needed


def _check_intact(
    outcome: Outcome,
    mutation: Mutation,
    bases: tuple[Base, Base],
    track: Track,
    timeline: Timeline,
    signal: npt.NDArray[np.float32],
    decoder: str,
) -> None:
    """See that each packet is there, with its samples, that is whole and has what it needs before it."""
    sections = [part.section for part in track.parts if isinstance(part, MpegPart)]
    concealed = _Concealed(mutation.data, sections, {0, *(base.section.free_bytes for base in bases)})
    table, first, again = {}, 0, 0
    for section, resampled in zip(sections, timeline.parts, strict=True):
        table |= {offset: (section, number, first) for number, offset in enumerate(section.offsets)}
        first += resampled.num_samples
    missing, wrong = [], []
    for base, packet, pos, before in intact_packets(mutation, bases):
        if before == 0:
            again = 0
        if pos not in table and concealed.touches(pos, pos + base.section.lengths[mutation.data[pos + 2]]):
            again = before + 1  # what is behind must do without this one
            outcome.concealed_seconds += base.section.header.samples_per_packet / base.kind[0]
        if before - again < base.needed[packet]:
            continue
        if pos not in table:
            missing.append(pos)
        elif base.kind == bases[0].kind and not _is_right(outcome, base, packet, *table[pos], signal, decoder):
            wrong.append(pos)
    for places, what in ((missing, "are not found"), (wrong, "decode to other samples")):
        if places:
            outcome.problems.append(f"{len(places)} whole packets {what}, the first at byte {places[0]}")


def _is_right(
    outcome: Outcome,
    base: Base,
    packet: int,
    section: Section,
    number: int,
    first: int,
    signal: npt.NDArray[np.float32],
    decoder: str,
) -> bool:
    """Whether a packet has the samples that it had.

    Args:
        outcome: counts them.
        base: the file that the packet is of.
        packet: its number there.
        section: the section of the mutated file that it is found in.
        number: its number there.
        first: the sample of the signal at which the section starts.
        signal: the mutated file's samples.
        decoder: name of the decoder.
    """
    if (section.header.sample_rate, section.header.channels) != base.kind:  # a damaged header brought it there
        return True
    mine, theirs = _packet_samples(section, number), base.packet_samples(packet)
    shift = (packet - number) * section.header.samples_per_packet - base.section.delay + section.delay
    start = max(mine.start, theirs.start - shift)
    stop = max(min(mine.stop, theirs.stop - shift), start)
    found, expected = signal[first + start : first + stop], base.samples[start + shift : stop + shift]
    if np.array_equal(found, expected):
        outcome.right_seconds += len(found) / base.kind[0]
        return True
    if found.shape != expected.shape:
        return False
    outcome.rounded_seconds += len(found) / base.kind[0]
    return bool(np.abs(found - expected).max() <= _ROUNDING[decoder] * max(outcome.loudest, 1))


class _Concealed:
    """The bytes of a file of which it says itself, and nothing contradicts it, that no packet starts there.

    These are the insides of tags, which may state any size; the insides of packets that end where another starts, one
    of which may be what a header in the damage makes of several; and sections of free format whose first headers, from
    which the length of packets is found, are damaged.
    """

    def __init__(self, data: bytes, sections: list[Section], free_bytes: set[int]) -> None:
        def read(start: int, stop: int) -> bytes:
            return data[start:stop]

        end = audio_end(read, len(data))
        after = [0, *(gap.start for section in sections for gap in section.gaps), *(s.end for s in sections)]
        self._ranges = [(end, len(data)), *((start, tag_end(read, start, end)) for start in after)]
        starts = {offset for section in sections for offset in section.offsets}
        for section in sections:
            ends = ((offset, offset + section.lengths[data[offset + 2]]) for offset in section.offsets)
            self._ranges += [(start, stop) for start, stop in ends if stop in starts]
            if section.free_bytes not in free_bytes:
                self._ranges.append((section.offsets[0], section.end))

    def touches(self, start: int, stop: int) -> bool:
        """Whether some of the bytes `[start, stop)` are of them."""
        return any(first < stop and start < end for first, end in self._ranges)


def _packet_samples(section: Section, packet: int) -> range:
    """The samples of a section that a packet decodes to: none where all are delay or padding."""
    size = section.header.samples_per_packet
    start = packet * size - section.delay
    return range(max(start, 0), min(start + size, section.num_samples))
