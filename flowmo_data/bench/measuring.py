"""Measure one setup, in its own process: `python -m flowmo_data.bench.measuring SETUP_AS_JSON`.

It writes a line of JSON for every batch (`{"batch": 3}`) and the measurement at the end (`{"measurement": {...}}`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from time import perf_counter
from typing import Any

import psutil
from torch.utils.data import DataLoader, Dataset

from flowmo_data.bench.limit import batches_in_memory, frames_in_memory
from flowmo_data.bench.setups import Measurement, Setup
from flowmo_data.datasets import AudioFrameDataset, StreamingAudioDataset
from flowmo_data.runtime.extras import import_extra
from flowmo_data.sources import find_sources
from flowmo_data.tracks import AudioIndex

_LAST_BATCHES = 4
"""batches after the timed ones, for measuring memory"""


class Recorder:
    """A recorder of the times and the memory of a loader's batches."""

    def __init__(self, setup: Setup, report: Callable[[dict[str, Any]], None]) -> None:
        self._setup, self._report = setup, report
        self._process = psutil.Process()
        self._peak_bytes = 0

    def measure(self, batch_sizes: Iterator[int], started: float, count_epochs: Callable[[], float]) -> Measurement:
        """Run through batches: the first, the warm-up, the timed ones.

        Args:
            batch_sizes: takes a batch at each step, and yields its number of frames.
            started: `perf_counter()` before the loader was made.
            count_epochs: returns the number of passes over the data so far.
        """
        next(batch_sizes)
        first = perf_counter()
        self._note(1)
        for number in range(1, self._setup.warmup):
            next(batch_sizes)
            self._note(number + 1)
        self._sample_memory()
        warm, cpu, frames, number = perf_counter(), self._cpu_seconds(), 0, self._setup.warmup
        while frames < self._setup.batches * self._setup.batch_size:
            frames += next(batch_sizes)
            number += 1
            self._note(number)
        steady, cpu = perf_counter() - warm, self._cpu_seconds() - cpu
        epochs = count_epochs()
        for _ in range(_LAST_BATCHES):  # the clock has stopped: measuring memory takes time
            self._sample_memory()
            next(batch_sizes)
        return Measurement(
            first_batch_seconds=first - started,
            warmup_seconds=warm - first,
            steady_seconds=steady,
            num_batches=frames / self._setup.batch_size,
            cpu_seconds=cpu,
            peak_bytes=self._peak_bytes,
            epochs=epochs,
        )

    def _note(self, batch: int) -> None:
        self._report({"batch": batch})

    def _family(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def _cpu_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._family())

    def _sample_memory(self) -> None:
        self._peak_bytes = max(self._peak_bytes, sum(map(_proportional_bytes, self._family())))


def _proportional_bytes(process: psutil.Process) -> int:
    """Return a process's memory, with shared memory divided among the sharers; its resident set if that is unknown."""
    memory = process.memory_full_info()
    return int(getattr(memory, "pss", memory.rss))


def measure(setup: Setup, report: Callable[[dict[str, Any]], None]) -> Measurement:
    """Measure one setup in this process, and report every batch."""
    return _LOADERS[setup.loader](setup, Recorder(setup, report))


def _measure_dataset(setup: Setup, recorder: Recorder) -> Measurement:
    started = perf_counter()
    in_place = setup.loader == "flowmo_data batches"
    dataset = _dataset(setup, decode_threads=setup.decode_threads, batch_size=setup.batch_size if in_place else None)
    return _measure_loader(setup, recorder, dataset, started, batch_size=None if in_place else setup.batch_size)


def _measure_map_style(setup: Setup, recorder: Recorder) -> Measurement:
    index = AudioIndex.build(setup.files)  # made once for all trainings: not part of the measurement
    started = perf_counter()
    dataset = AudioFrameDataset(
        index,
        samples_per_frame=setup.samples_per_frame,
        jitter=True,
        seed=setup.seed,
        channels=setup.channels,
        decoder=setup.decoder,
        decode_threads=setup.decode_threads,
    )
    return _measure_loader(setup, recorder, dataset, started, batch_size=setup.batch_size, shuffle=True)


def _measure_librosa(setup: Setup, recorder: Recorder) -> Measurement:
    from flowmo_data.bench.baselines import LibrosaDataset

    paths = list(find_sources(setup.files))
    import_extra("librosa", user="the librosa baseline").load(
        paths[0], duration=0.1
    )  # its first imports and compilations are not part of the measurement
    started = perf_counter()
    dataset = LibrosaDataset(
        paths,
        samples_per_frame=setup.samples_per_frame,
        shuffle_buffer_size=setup.shuffle_buffer_size,
        seed=setup.seed,
    )
    return _measure_loader(setup, recorder, dataset, started, batch_size=setup.batch_size)


def _measure_torchcodec(setup: Setup, recorder: Recorder) -> Measurement:
    from flowmo_data.bench.baselines import TorchcodecDataset, check_torchcodec

    paths = list(find_sources(setup.files))
    check_torchcodec()  # its imports are not part of the measurement
    started = perf_counter()
    dataset = TorchcodecDataset(
        paths,
        samples_per_frame=setup.samples_per_frame,
        num_windows=(setup.warmup + setup.batches + _LAST_BATCHES) * setup.batch_size,
        seed=setup.seed,
    )
    return _measure_loader(setup, recorder, dataset, started, batch_size=setup.batch_size, shuffle=True)


def _measure_whole_file(setup: Setup, recorder: Recorder) -> Measurement:
    from flowmo_data.bench.baselines import whole_file_batches

    paths = list(find_sources(setup.files))
    started = perf_counter()
    batches = whole_file_batches(
        paths,
        decoder=setup.decoder,
        samples_per_frame=setup.samples_per_frame,
        shuffle_buffer_size=setup.shuffle_buffer_size,
        batch_size=setup.batch_size,
        seed=setup.seed,
    )
    return recorder.measure(map(len, batches), started, lambda: 0)


def _measure_loader(
    setup: Setup,
    recorder: Recorder,
    dataset: Dataset[Any],
    started: float,
    *,
    batch_size: int | None,
    shuffle: bool | None = None,
) -> Measurement:
    loader = DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=shuffle,
        num_workers=setup.num_workers,
        persistent_workers=setup.num_workers > 0,
    )
    epochs = 0

    def batch_sizes() -> Iterator[int]:
        nonlocal epochs
        while True:
            epochs += 1
            for batch in loader:
                yield len(batch)

    return recorder.measure(batch_sizes(), started, lambda: epochs)


def _measure_decoder(setup: Setup, recorder: Recorder) -> Measurement:
    """Measure the decoder alone: the limit."""
    batches = batches_in_memory(frames_in_memory(setup), setup.batch_size)
    started = perf_counter()

    def batch_sizes() -> Iterator[int]:
        for batch in batches:
            for frame in batch:
                frame.decode()
            yield len(batch)

    return recorder.measure(batch_sizes(), started, lambda: 0)


def _dataset(setup: Setup, **options: Any) -> StreamingAudioDataset:
    return StreamingAudioDataset(
        setup.files[0] if len(setup.files) == 1 else setup.files,  # an index is no part of a sequence
        samples_per_frame=setup.samples_per_frame,
        shuffle_buffer_size=setup.shuffle_buffer_size,
        channels=setup.channels,
        decoder=setup.decoder,
        seed=setup.seed,
        storage_options=setup.storage_options,
        **options,
    )


_LOADERS = {
    "flowmo_data": _measure_dataset,
    "flowmo_data batches": _measure_dataset,
    "flowmo_data map-style": _measure_map_style,
    "whole-file": _measure_whole_file,
    "librosa": _measure_librosa,
    "torchcodec": _measure_torchcodec,
    "decoder": _measure_decoder,
}


def _write_line(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _write_line({"measurement": asdict(measure(Setup.from_json(sys.argv[1]), _write_line))})
