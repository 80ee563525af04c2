"""An audio stream of a container, or a stretch of it, that FFmpeg reads through PyAV."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from flowmo_data.errors import AudioFileError
from flowmo_data.runtime.extras import import_extra
from flowmo_data.sources import OpenedSource, Source
from flowmo_data.tracks.containers.codecs import CodecRule, rule_of
from flowmo_data.tracks.containers.kinds import BARE, LABELS
from flowmo_data.tracks.excerpt import Excerpt

_BUFFER_BYTES = 1 << 16
_SAMPLES_PER_POINT = 1 << 16
_MOST_PACKETS_PER_POINT = 1_024
_SKIP_MANUAL = 1 << 29
"""AV_CODEC_FLAG2_SKIP_MANUAL: delay and padding are cut off here, and not by the decoder"""


class PacketsMovedError(Exception):
    """Packets that are not where they were when the points were taken: this is another file."""


def import_av() -> Any:
    """Import PyAV.

    Raises:
        MissingPackageError: it is not installed.
    """
    return import_extra("av", user="this format")


@dataclass(frozen=True)
class ContainerPart:
    """An audio stream of a container, or a stretch of it: a `Part`.

    packets       0 . . . . . . 64 . . . . . . 128 . . . .
    points        ▲             ▲              ▲
    decoded       [ delay )[ num_samples            )[ padding )
    """

    source: Source
    sample_rate: int
    """sample rate, Hz, as decoded"""
    channels: int
    """channels as decoded"""
    num_samples: int
    """samples per channel, without the encoder's delay and padding"""
    format: str
    """container and codec: "MP4/aac\""""
    stream: int
    """number of the stream in the container"""
    delay: int
    """samples that are decoded before the first one of the part"""
    num_packets: int
    """packets of the stream"""
    packet_samples: int
    """samples of each packet, of which the last may have fewer; 0 if others differ too"""
    packets_per_point: int
    """packets from one point to the next"""
    points: Sequence[int]
    """byte (ADTS and the like) or timestamp of every such packet; empty if reading begins at the start of the file"""
    point_samples: Sequence[int]
    """samples that are decoded before each point; empty if all packets have as many"""
    excerpt: Excerpt
    """bytes that FFmpeg gets"""

    @property
    def demuxer(self) -> str:
        """FFmpeg's name of the container."""
        label = self.format.partition("/")[0]
        return next(name for name, each in LABELS.items() if each == label)

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec."""
        return self.format.partition("/")[2]

    @cached_property
    def rule(self) -> CodecRule:
        """The needs of the decoder."""
        return rule_of(self.codec, self.packet_samples)

    @property
    def preroll(self) -> int:
        """Packets to decode before a window."""
        per_packet = self.packet_samples or max(_SAMPLES_PER_POINT // self.packets_per_point, 1)
        return max(self.rule.preroll, -(-self.rule.preroll_samples // per_packet))

    @contextmanager
    def open(self) -> Iterator[tuple[Any, Any]]:
        """Open the container; yield it and the stream. Raises as `open_container`."""
        with open_demuxer(self.source, self.demuxer, self.excerpt) as container:
            if self.stream >= len(container.streams):
                raise PacketsMovedError
            yield container, only(container, container.streams[self.stream])

    def packets(self, first: int, stop: int) -> list[Any]:
        """Return the packets `[first, stop)`. Of a file that has become shorter, there are fewer.

        Raises:
            PacketsMovedError: it is another file.
            Exception: PyAV's errors.
        """
        if first and len(self.points):
            found = self._from_point(first, stop)
            if found is not None:
                return found
        with self.open() as (container, stream):
            return list(_numbered(container.demux(stream), 0, first, stop))

    def _from_point(self, first: int, stop: int) -> list[Any] | None:
        """Return the packets `[first, stop)`, by way of the last point before them; None if it is not found."""
        number = first // self.packets_per_point
        key, at_point = int(self.points[number]), number * self.packets_per_point
        if self.demuxer in BARE:
            place = Excerpt(b"", self.excerpt.start + key, self.excerpt.stop)
            with open_demuxer(self.source, self.demuxer, place) as container:
                stream = only(container, container.streams.audio[0])
                return list(_numbered(container.demux(stream), at_point, first, stop))
        with self.open() as (container, stream):
            try:
                container.seek(key, stream=stream)
            except import_av().FFmpegError:
                return None
            found, here = [], -1
            for packet in whole_packets(container.demux(stream)):
                time = packet.pts
                if here < 0 and (time is None or time > key):
                    return None
                if time == key:
                    here = at_point
                if here >= first:
                    found.append(packet)
                if here >= 0:
                    here += 1
                if here == stop:
                    return found
            return found if here >= 0 else None

    def new_decoder(self, stream: Any) -> Any:
        """Return a decoder for packets of a stream, without a state."""
        return new_decoder(stream, self.rule)


def whole_packets(packets: Iterable[Any]) -> Iterator[Any]:
    """Yield packets up to the end, or to where the file is so damaged that FFmpeg stops."""
    errors = import_av().FFmpegError
    iterator = iter(packets)
    while True:
        try:
            packet = next(iterator)
        except (StopIteration, errors):
            return
        if not packet.size:
            return
        yield packet


def _numbered(packets: Iterable[Any], number: int, first: int, stop: int) -> Iterator[Any]:
    """Yield the packets `[first, stop)`, the next of which has a number."""
    for packet in whole_packets(packets):
        if number >= stop:
            return
        if number >= first:
            yield packet
        number += 1


def per_point(mean_samples: float) -> int:
    """Return the packets from one point to the next, by the mean number of samples of a packet.

    >>> per_point(1024), per_point(46_080), per_point(120)
    (64, 1, 546)
    """
    return min(max(int(_SAMPLES_PER_POINT // max(mean_samples, 1)), 1), _MOST_PACKETS_PER_POINT)


@contextmanager
def open_demuxer(source: Source, demuxer: str, excerpt: Excerpt) -> Iterator[Any]:
    """Open a file, or an excerpt of it, for FFmpeg.

    Raises:
        AudioFileError: the file cannot be opened, or read.
        MissingPackageError: PyAV is not installed.
        Exception: PyAV's errors.
    """
    av, file = import_av(), source.open()
    pread = file.pread if isinstance(file, OpenedSource) else partial(os.pread, file)
    try:
        with av.open(
            excerpt.file(pread),
            "r",
            format=demuxer,
            options={"ignore_editlist": "1"} if demuxer == "mov" else {},
            metadata_errors="ignore",
            buffer_size=_BUFFER_BYTES,
        ) as container:
            yield container
    finally:
        if not isinstance(file, OpenedSource):
            os.close(file)
        else:
            file.close()
            if file.failure is not None:
                raise file.failure


def only(container: Any, stream: Any) -> Any:
    """Return a stream of a container, after all others have been made to be passed over."""
    for other in container.streams:
        if other is not stream:
            other.discard = import_av().stream.Discard.all
    return stream


def new_decoder(stream: Any, rule: CodecRule) -> Any:
    """Return a decoder for packets of a stream, without a state. One that is not self-contained is the stream's own."""
    context = stream.codec_context
    if rule.is_self_contained:
        own = import_av().CodecContext.create(rule.decoder or context.codec.name, "r")
        own.extradata, own.sample_rate, own.layout = context.extradata, context.sample_rate, context.layout
        own.options = dict(rule.options)
        context = own
    context.thread_count = 1  # one worker is one core
    context.flags2 |= _SKIP_MANUAL
    return context


def refused(source: Source, demuxer: str, error: Exception) -> AudioFileError:
    """Return the error for a file that FFmpeg refuses."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return AudioFileError.of(
        source.path, f"FFmpeg, chosen by its first bytes ({LABELS[demuxer]}), reports: {reason}; is the file complete?"
    )
