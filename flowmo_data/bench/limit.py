"""The limit of all loaders: a decoder alone, with the packets of many frames in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from flowmo_data.bench.setups import Setup
from flowmo_data.datasets import StreamingAudioDataset
from flowmo_data.decoding import native, read_window
from flowmo_data.decoding.mpeg_window import find_packets, find_run, is_native
from flowmo_data.decoding.registry import choose_run_decoder, load_run_decoder
from flowmo_data.epochs.progress import Progress
from flowmo_data.epochs.sharding import Shard
from flowmo_data.runtime.scratch import scratch
from flowmo_data.tracks.mpeg_part import MpegPart
from flowmo_data.tracks.parts import Part

_FRAMES = 192
"""frames that are decoded again and again; held in memory as packets, some 25 MB"""


class FrameInMemory(NamedTuple):
    """A frame that is ready to be decoded, without its padding."""

    windows: list[Callable[[], object]]
    """functions that decode its windows, into a buffer that is always the same"""
    num_samples: int
    """samples per channel of its windows"""

    def decode(self) -> None:
        """Decode all of it."""
        for decode in self.windows:
            decode()


def frames_in_memory(setup: Setup, *, only_layer_3: bool = False) -> list[FrameInMemory]:
    """Return frames of an epoch, with their packets in memory.

    They are taken at equal distances from those that a loader emits until it has been timed. So they have the same
    share of frames that are resampled, and of bitrates.

    Args:
        setup: the decoder, the files, and the number of batches. The frames do not depend on the decoder.
        only_layer_3: skip frames that have other windows than those of Layer III at the rate of the frames.
    """
    dataset = StreamingAudioDataset(
        setup.files,
        samples_per_frame=setup.samples_per_frame,
        shuffle_buffer_size=setup.shuffle_buffer_size,
        decoder=setup.decoder,
        seed=setup.seed,
        storage_options=setup.storage_options,
    )
    spans = dataset.spans(Progress(0, 0), Shard())
    frames = (
        [window for file in span.timeline.members for window in file.windows(span.start, span.stop)] for span in spans
    )
    if only_layer_3:
        frames = (windows for windows in frames if all(is_native(part, "native") for part, _, _ in windows))
    emitted = list(itertools.islice(frames, (setup.warmup + setup.batches) * setup.batch_size))
    apart = max(len(emitted) // _FRAMES, 1)
    return [_in_memory(windows, setup) for windows in emitted[::apart][:_FRAMES]]


def _in_memory(windows: list[tuple[Part, int, int]], setup: Setup) -> FrameInMemory:
    decoding = [_decoding(part, start, stop, setup) for part, start, stop in windows]
    return FrameInMemory(decoding, sum(stop - start for _, start, stop in windows))


def _decoding(part: Part, start: int, stop: int, setup: Setup) -> Callable[[], object]:
    """Return a function that decodes a window of a part; it includes the reading, except for MPEG audio."""
    if is_native(part, setup.decoder):
        first, packets = find_packets(part, start, stop)
        skip = start + part.section.delay - first * part.section.header.samples_per_packet
        out = scratch(setup.channels, stop - start)
        return partial(native.decode_window, packets.data, packets.starts, skip=skip, out=out)
    if isinstance(part, MpegPart):
        return partial(load_run_decoder(choose_run_decoder(setup.decoder)), find_run(part, start, stop))
    return partial(read_window, part, start, stop, setup.decoder)


def batches_in_memory(frames: list[FrameInMemory], batch_size: int) -> Iterator[list[FrameInMemory]]:
    """Yield batches of the frames without end, round and round."""
    endless = itertools.cycle(frames)
    while True:
        yield list(itertools.islice(endless, batch_size))
