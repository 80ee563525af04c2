"""Open a file that FFmpeg reads: its audio stream, the exact length, and its problems."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flowmo_data.errors import AudioFileError, MissingPackageError, counted, shown
from flowmo_data.runtime.extras import import_extra
from flowmo_data.sources import Source
from flowmo_data.tracks.containers.codecs import ALL_BUT_LAST, FROM_START, decoder_delay, rule_of
from flowmo_data.tracks.containers.kinds import BARE, LABELS, dolby_length
from flowmo_data.tracks.containers.losses import missing_at_end, missing_packets
from flowmo_data.tracks.containers.mp4_edits import parse_smpb, read_edits
from flowmo_data.tracks.containers.packets import (
    Listed,
    Probed,
    are_adjacent,
    count_by_decoding,
    count_samples,
    decoded,
    find_again,
    list_by_demuxing,
    list_by_index,
    probe,
)
from flowmo_data.tracks.containers.part import ContainerPart, new_decoder, only, open_demuxer, per_point, refused
from flowmo_data.tracks.excerpt import Excerpt
from flowmo_data.tracks.mpeg.tags import audio_end
from flowmo_data.tracks.parts import Loss

_BY_TABLES = ("aac", "alac", "opus")
"""codecs of which FFmpeg gives the packets as the tables of an MP4 file have them; others it divides anew"""
logger = logging.getLogger(__name__)
_TAGGED_AT_END = (*BARE, "ape", "tta")
"""formats with tags behind the audio that FFmpeg would take for audio, or search in vain"""


class Found(NamedTuple):
    """An opened container."""

    parts: tuple[ContainerPart, ...]
    """one part, or one for each edit"""
    damage: str
    """problems inside the file, in words; empty if there are none"""
    losses: tuple[Loss, ...]
    """missing audio"""


class _Stream(NamedTuple):
    """The numbers of a stream."""

    codec: str
    number: int
    track_id: int
    time_base: Any
    stated_seconds: float
    smpb: str
    probed: Probed
    num_missing: int


def open_container(source: Source, start: int, demuxer: str, *, compressed: bool = False) -> Found:
    """Read a file's headers and, in most containers, all of its packets. Decode a few.

    Args:
        source: the file.
        start: byte at which the tags in front of it end.
        demuxer: FFmpeg's name of the container.
        compressed: whether samples without a codec are refused.

    Raises:
        AudioFileError: it has no audio that can be read, or PyAV is not installed.
    """
    size = source.stamp.size
    stop = audio_end(source.read, size) if demuxer in _TAGGED_AT_END else size
    excerpt = Excerpt(b"", start, stop)
    try:
        av = import_extra("av", user=f"reading {LABELS[demuxer]}")
    except MissingPackageError as error:
        raise AudioFileError.of(source.path, str(error)) from error
    try:
        stream, listed, counts, tail = _read(source, demuxer, excerpt)
    except (av.FFmpegError, ValueError) as error:
        source.check_unchanged()
        raise refused(source, demuxer, error) from error
    source.check_unchanged()
    if compressed and stream.codec.startswith("pcm_"):
        raise AudioFileError.of(source.path, "its samples are not compressed, and another reader has refused them")
    total = int(counts.sum()) + tail
    if not total:
        raise AudioFileError.of(source.path, f"FFmpeg decodes no packet of its {stream.codec}; is it damaged?")
    parts = tuple(_parts(source, demuxer, excerpt, stream, listed, counts, total))
    seconds = counts / stream.probed.sample_rate
    if stream.num_missing:
        missing = missing_at_end(len(listed), stream.num_missing, seconds)
    elif len(listed) == len(counts):
        size = excerpt.stop - excerpt.start
        missing = missing_packets(listed, seconds, demuxer, float(stream.time_base), stream.stated_seconds, size)
    else:
        missing = []
    return Found(parts, "; ".join(each for each, _ in missing), tuple(loss for _, losses in missing for loss in losses))


def _read(source: Source, demuxer: str, excerpt: Excerpt) -> tuple[_Stream, Listed, npt.NDArray[np.int64], int]:
    """Return the stream, its packets, their samples, and the samples that come after the last packet."""
    listed, num_missing = None, 0
    with open_demuxer(source, demuxer, excerpt) as container:
        chosen = _choose(source, container)
        codec = chosen.codec_context.codec.canonical_name
        if demuxer == "mov" and (codec in _BY_TABLES or codec.startswith("pcm_")):
            listed = list_by_index(chosen, excerpt.stop - excerpt.start)
            num_missing = chosen.frames - len(listed) if listed is not None else 0
        probed = probe(container, chosen, rule_of(codec, 0))
        if probed is None:
            raise AudioFileError.of(
                source.path, f"FFmpeg decodes no packet of its {codec}; is it damaged, or encrypted?"
            )
        stream = _Stream(
            codec,
            chosen.index,
            chosen.id,
            chosen.time_base,
            _stated_seconds(container, chosen),
            container.metadata.get("iTunSMPB", ""),
            probed,
            num_missing,
        )
    rule = rule_of(codec, probed.packet_samples)
    last = probed.packet_samples if rule.samples else None
    if listed is None:
        with open_demuxer(source, demuxer, excerpt) as container:
            chosen = only(container, container.streams[stream.number])
            listed, packet = list_by_demuxing(container, chosen, with_bytes=codec == "opus")
            if rule.samples and packet is not None:
                is_cut = packet.is_corrupt or packet.size < dolby_length(bytes(packet), demuxer)
                frames = None if is_cut else decoded(new_decoder(chosen, rule), packet)
                if frames is None:  # the file is cut off inside of it
                    listed = listed.without_last()
                elif rule.samples == ALL_BUT_LAST:
                    last = sum(frame.samples for frame in frames)
    if demuxer in BARE and len(listed) and not are_adjacent(listed, excerpt.stop - excerpt.start):
        with open_demuxer(source, demuxer, excerpt) as container:
            chosen = only(container, container.streams[stream.number])
            find_again(listed, container.demux(chosen), source.read(excerpt.start, excerpt.stop))
    counts = count_samples(listed, probed, codec, stream.time_base, last) if len(listed) else None
    tail = 0
    if counts is None:
        with open_demuxer(source, demuxer, excerpt) as container:
            chosen = only(container, container.streams[stream.number])
            counts, tail = count_by_decoding(container, chosen, rule)
    return stream, listed, counts, tail


def _choose(source: Source, container: Any) -> Any:
    """Return the audio stream to read, with all others passed over."""
    streams = container.streams.audio
    if not streams:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise AudioFileError.of(source.path, f"it has no audio, only {kinds}")
    readable = [stream for stream in streams if stream.codec_context is not None]
    if not readable:
        raise AudioFileError.of(source.path, "FFmpeg knows no decoder for its audio")
    best = container.streams.best("audio")
    chosen = best if best in readable else readable[0]
    if len(streams) > 1:
        others = counted(len(streams) - 1, "other audio stream")
        logger.info("%s: stream %d is read; %s", shown(source.path), chosen.index, f"it has {others}")
    return only(container, chosen)


def _stated_seconds(container: Any, stream: Any) -> float:
    """Return the duration that the header of a file states; 0 if it states none."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return 0.0 if container.duration is None else container.duration / 1e6


def _parts(
    source: Source,
    demuxer: str,
    excerpt: Excerpt,
    stream: _Stream,
    listed: Listed,
    counts: npt.NDArray[np.int64],
    total: int,
) -> Iterator[ContainerPart]:
    usual = int(counts[0])
    are_equal = bool(np.all(counts[:-1] == usual)) and 0 < counts[-1] <= usual
    step = per_point(float(counts.mean()))
    keys = listed.places if demuxer in BARE else listed.times
    can_seek = len(listed) == len(counts) and (listed.are_in_order if demuxer not in BARE else bool(keys.min() >= 0))
    if rule_of(stream.codec, usual if are_equal else 0).preroll == FROM_START:
        can_seek = False
    before = np.concatenate([[0], np.cumsum(counts)[:-1]])
    for first, stop in _ranges(source, demuxer, stream, listed, counts, total):
        yield ContainerPart(
            source,
            stream.probed.sample_rate,
            stream.probed.channels,
            stop - first,
            f"{LABELS[demuxer]}/{stream.codec}",
            stream.number,
            first,
            len(counts),
            usual if are_equal else 0,
            step,
            keys[::step].tolist() if can_seek else [],
            before[::step].tolist() if can_seek and not are_equal else [],
            excerpt,
        )


def _ranges(
    source: Source,
    demuxer: str,
    stream: _Stream,
    listed: Listed,
    counts: npt.NDArray[np.int64],
    total: int,
) -> Sequence[tuple[int, int]]:
    """Return the half-open ranges of decoded samples that are the signal."""
    if demuxer != "mov":
        delay = decoder_delay(stream.codec, stream.probed.sample_rate)
        is_short = counts[-1] < counts[0]  # a codec that ends at the signal's end has no padding, whatever CAF says
        first, stop = listed.skipped + delay, total - (0 if is_short else listed.padding)
        return [(first, stop) if first < stop else (0, total)]
    signal = parse_smpb(stream.smpb, total)
    if signal is not None:
        return [signal]
    end = _media_end(stream, listed, counts, total)
    edits = read_edits(source.read, source.stamp.size, stream.track_id)
    ranges = []
    for edit in edits.edits:
        first = round(edit.start * stream.probed.sample_rate / edits.timescale)
        stop = first + round(edit.duration * stream.probed.sample_rate / edits.movie_timescale)
        unit = stream.probed.sample_rate / edits.movie_timescale
        if not edit.duration or stop + max(unit, 1) > end:  # rounded, or as long as the track
            stop = end
        if first < stop:
            ranges.append((first, stop))
    return ranges or [(0, end)]


def _media_end(stream: _Stream, listed: Listed, counts: npt.NDArray[np.int64], total: int) -> int:
    """Return the sample at which the media ends: the duration of the last packet may leave out its padding."""
    durations = listed.durations[: len(counts)] * float(stream.time_base * stream.probed.sample_rate)
    if len(durations) != len(counts) or not np.array_equal(durations[:-1], counts[:-1]):
        return total
    short = total - round(stream.stated_seconds * stream.probed.sample_rate)
    return total - short if 0 < short < counts[-1] else total
