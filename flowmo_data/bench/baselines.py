"""Common loaders to measure for comparison. They share nothing with this package but the list of paths.

Two decode whole files, cut them up, and shuffle decoded frames; torchcodec seeks to random windows.
"""

from __future__ import annotations

import io
import queue
import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from flowmo_data.decoding.registry import choose_run_decoder
from flowmo_data.errors import MissingPackageError
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


class TorchcodecDataset(Dataset[torch.Tensor]):
    """Random windows `(2, samples_per_frame)` from torchcodec's `AudioDecoder`, as a map-style dataset.

    Item `i` opens the `i`-th file, round and round, and takes a window at a random time. The standard DataLoader
    shuffles the items. So a sample may come several times in an epoch, or never, and there is no shuffle buffer.

    FFmpeg guesses the length of some files. A window behind the real end of a file is replaced by the file's first.
    Zeros fill a window that is too short.
    """

    def __init__(self, paths: Sequence[str], *, samples_per_frame: int, num_windows: int, seed: int) -> None:
        self._paths, self._samples_per_frame = list(paths), samples_per_frame
        self._num_windows, self._seed = num_windows, seed

    def __len__(self) -> int:
        return self._num_windows

    def __getitem__(self, index: int) -> torch.Tensor:
        open_file = import_extra("torchcodec.decoders", user="the torchcodec baseline").AudioDecoder
        path = self._paths[index % len(self._paths)]
        decoder = open_file(path, sample_rate=_SAMPLE_RATE)
        seconds = self._samples_per_frame / _SAMPLE_RATE
        latest = max((decoder.metadata.duration_seconds or 0) - seconds, 0)
        start = random.Random(f"{self._seed} {index}").uniform(0, latest)
        try:
            samples = decoder.get_samples_played_in_range(start, start + seconds).data
        except RuntimeError:  # "No audio frames were decoded", after which the decoder stays at the end
            samples = open_file(path, sample_rate=_SAMPLE_RATE).get_samples_played_in_range(0, seconds).data
        window = torch.zeros(2, self._samples_per_frame)
        window[:, : samples.shape[1]] = samples[:2]  # mono is duplicated
        return window


def check_torchcodec() -> None:
    """Raise if torchcodec does not decode on this machine.

    It finds FFmpeg and fits torch, or does not, either when it is imported or when it is first used, and with different
    exceptions in different versions. So it is given a second of silence to decode.

    Raises:
        MissingPackageError: it is not installed, or FFmpeg is not, or it does not fit torch.
    """
    decoders = import_extra("torchcodec.decoders", user="the torchcodec baseline")
    file = io.BytesIO()
    soundfile.write(file, np.zeros(_SAMPLE_RATE, np.float32), _SAMPLE_RATE, format="WAV")
    try:
        decoders.AudioDecoder(file.getvalue()).get_all_samples()
    except Exception as error:
        raise MissingPackageError(
            f"the torchcodec baseline does not decode here ({str(error).partition(chr(10))[0]}): it needs the shared "
            "libraries of FFmpeg 4 or newer (apt install ffmpeg, conda install ffmpeg), and a version of torchcodec "
            f"for torch {torch.__version__} (pip install 'flowmo_data[torchcodec]')"
        ) from error


def own_decoder(loader: str) -> str:
    """Return the name of the decoder that a baseline uses, whatever the decoder of the loaders of this package is."""
    return {"librosa": "soundfile", "torchcodec": "torchcodec", "whole-file": choose_run_decoder("native")}[loader]


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
