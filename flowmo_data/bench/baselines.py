"""Common loaders to measure for comparison. They share nothing with this package but the list of paths.

Both decode whole files, cut them up, and shuffle decoded frames.
"""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torch.utils.data import IterableDataset, get_worker_info

from flowmo_data.decoding.registry import choose_run_decoder
from flowmo_data.runtime.extras import import_extra

T = TypeVar("T")

_FILES_AHEAD = 4
_SAMPLE_RATE = 44_100


class LibrosaDataset(IterableDataset[torch.Tensor]):
    """Frames `(2, samples_per_frame)` from `librosa.load`, as in a tutorial.

    Every file is loaded whole at 44.1 kHz in stereo. It gets a random number of zeros in front, and zeros behind up to
    whole frames. Its frames go through a shuffle buffer. Workers take every n-th file.
    """

    def __init__(self, paths: Sequence[str], *, samples_per_frame: int, shuffle_buffer_size: int, seed: int) -> None:
        self._paths, self._samples_per_frame = list(paths), samples_per_frame
        self._shuffle_buffer_size, self._seed = shuffle_buffer_size, seed

    def __iter__(self) -> Iterator[torch.Tensor]:
        info = get_worker_info()
        worker, num_workers = (0, 1) if info is None else (info.id, info.num_workers)
        generator = random.Random(self._seed)
        paths = generator.sample(self._paths, len(self._paths))[worker::num_workers]
        frames = (torch.from_numpy(frame) for path in paths for frame in self._frames(path, generator))
        return _shuffled(frames, self._shuffle_buffer_size, generator)

    def _frames(self, path: str, generator: random.Random) -> Iterator[npt.NDArray[np.float32]]:
        samples, _ = import_extra("librosa", user="the librosa baseline").load(path, sr=_SAMPLE_RATE, mono=False)
        samples = np.broadcast_to(np.atleast_2d(samples), (2, samples.shape[-1]))
        return _cut(samples, self._samples_per_frame, generator)


def own_decoder(loader: str) -> str:
    """Return the name of the decoder that a baseline uses, whatever the decoder of the loaders of this package is."""
    return {"librosa": "soundfile", "whole-file": choose_run_decoder("native")}[loader]


def whole_file_batches(
    paths: Sequence[str],
    *,
    decoder: str,
    samples_per_frame: int,
    shuffle_buffer_size: int,
    batch_size: int,
    seed: int,
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield batches `(batch_size, 2, samples_per_frame)` without end, from whole files that a thread decodes ahead.

    Args:
        paths: the files.
        decoder: "minimp3py" or "soundfile".
        samples_per_frame: length of a frame.
        shuffle_buffer_size: decoded frames in the shuffle buffer.
        batch_size: frames in a batch.
        seed: seed of the order and of the zeros in front.
    """
    generator = random.Random(seed)
    frames = (
        frame
        for samples in _decoded_ahead(paths, decoder, generator)
        for frame in _cut(np.broadcast_to(samples.T, (2, len(samples))), samples_per_frame, generator)
    )
    shuffled = _shuffled(frames, shuffle_buffer_size, generator)
    while True:
        yield np.stack([next(shuffled) for _ in range(batch_size)])


def _decoded_ahead(paths: Sequence[str], decoder: str, generator: random.Random) -> Iterator[npt.NDArray[np.float32]]:
    """Yield all files, epoch after epoch, each decoded whole in a thread."""
    ready: queue.Queue[npt.NDArray[np.float32]] = queue.Queue(maxsize=_FILES_AHEAD)

    def decode_all() -> None:
        while True:
            for path in generator.sample(list(paths), len(paths)):
                ready.put(_decode_file(path, decoder))

    threading.Thread(target=decode_all, daemon=True).start()
    while True:
        yield ready.get()


def _decode_file(path: str, decoder: str) -> npt.NDArray[np.float32]:
    if decoder == "minimp3py":
        import minimp3py

        samples: npt.NDArray[np.float32] = minimp3py.read(path)[0]
        return samples
    decoded: npt.NDArray[np.float32] = soundfile.read(path, dtype="float32", always_2d=True)[0]
    return decoded


def _cut(
    samples: npt.NDArray[np.float32], samples_per_frame: int, generator: random.Random
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield frames of `(2, num_samples)` samples, after a random number of zeros; zeros fill the last frame."""
    phase = generator.randrange(samples_per_frame)
    num_frames = -(-(phase + samples.shape[1]) // samples_per_frame)
    padded = np.zeros((2, num_frames * samples_per_frame), np.float32)
    padded[:, phase : phase + samples.shape[1]] = samples
    for start in range(0, padded.shape[1], samples_per_frame):
        yield padded[:, start : start + samples_per_frame].copy()


def _shuffled(items: Iterable[T], buffer_size: int, generator: random.Random) -> Iterator[T]:
    """Yield all items from a textbook shuffle buffer: it fills up before anything comes out."""
    buffer: list[T] = []
    for item in items:
        if len(buffer) < buffer_size:
            buffer.append(item)
        else:
            place = generator.randrange(buffer_size)
            yield buffer[place]
            buffer[place] = item
    generator.shuffle(buffer)
    yield from buffer
