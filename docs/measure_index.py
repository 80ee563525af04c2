"""Measure the cost and the gain of an index: `python docs/measure_index.py FOLDER`.

The measurements are: indexing FOLDER with one and two processes, the size of the index, reading a random frame of a
random file with and without the index, by `AudioFrameDataset`, and by torchcodec if it is installed, and planning and
resuming an epoch of 10,000,000 frames. The output is a line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from flowmo_data.datasets import AudioFrameDataset, StreamingAudioDataset
from flowmo_data.decoding import choose_decoder, fill_frame
from flowmo_data.epochs.progress import Progress
from flowmo_data.epochs.sharding import Shard
from flowmo_data.sources import LocalFile, find_sources
from flowmo_data.tracks.index import AudioIndex
from flowmo_data.tracks.index.columns import one_chunk
from flowmo_data.tracks.index.schema import import_pyarrow, schema
from flowmo_data.tracks.track import Timeline, open_track

_SAMPLES_PER_FRAME = 196_608
_SAMPLE_RATE = 44_100
_FRAMES = 200
_SYNTHETIC_FILES = 1_000_000
_SYNTHETIC_SAMPLES = (1_500_000, 2_220_000)
"""of a file: about ten frames"""


def measure_building(folder: str) -> dict[str, float]:
    """Measure the seconds to index a folder with one process, with two, and again unchanged; and the index's size."""
    values: dict[str, float] = {}
    for name, num_workers in (("one", 0), ("two", 2)):
        started = perf_counter()
        index = AudioIndex.build(folder, num_workers=num_workers)
        values[f"seconds_with_{name}"] = perf_counter() - started
    started = perf_counter()
    AudioIndex.build(folder, previous=index)
    values["seconds_unchanged"] = perf_counter() - started
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "index.parquet"
        index.save(path)
        hours = float(index.columns.seconds().sum()) / 3_600
        return {"files": len(index), "hours": hours, "index_bytes": path.stat().st_size, **values}


def measure_reading(folder: str) -> dict[str, float]:
    """Measure the median seconds to read a random frame of a random file: already open, with the index, and walked.

    Also as an item of the map-style dataset, and by torchcodec.
    """
    paths = list(find_sources(folder))
    index = AudioIndex.build(folder)
    columns = index.columns
    opened = [Timeline(path, open_track(LocalFile.at(path)).parts) for path in paths]
    long_enough = [
        file
        for file, timeline in enumerate(opened)
        if timeline.num_samples > _SAMPLES_PER_FRAME and timeline.parts[0].sample_rate == _SAMPLE_RATE
    ]
    draw = random.Random(0)
    places = []
    for _ in range(_FRAMES):
        file = draw.choice(long_enough)
        places.append((file, draw.randrange(opened[file].num_samples - _SAMPLES_PER_FRAME)))
    ways: dict[str, Callable[[int], Timeline]] = {
        "open": opened.__getitem__,
        "index": lambda file: Timeline(paths[file], columns.track(file).parts),
        "walk": lambda file: Timeline(paths[file], open_track(LocalFile.at(paths[file])).parts),
    }
    frame = torch.empty(2, _SAMPLES_PER_FRAME)
    dataset = AudioFrameDataset(index, samples_per_frame=_SAMPLES_PER_FRAME, hop=1, framing="drop")
    before = np.cumsum(dataset.frames_per_file()) - dataset.frames_per_file()
    numbers = [int(before[file]) + start for file, start in places]
    reads: dict[str, Callable[[int], object]] = {
        name: lambda place, timeline=timeline: _read(timeline, *places[place], frame) for name, timeline in ways.items()
    }
    reads["item"] = lambda place: dataset[numbers[place]]
    if find_spec("torchcodec") is not None:
        decoders = import_module("torchcodec.decoders")
        reads["torchcodec"] = lambda place: _read_torchcodec(decoders, paths[places[place][0]], places[place][1])
    seconds: dict[str, list[float]] = {name: [] for name in reads}
    for place in range(_FRAMES):
        for name, read in reads.items():
            seconds[name].append(_seconds(partial(read, place)))
    return {f"seconds_{name}": statistics.median(values) for name, values in seconds.items()}


def _read_torchcodec(decoders: Any, path: str, start: int) -> None:
    begin = start / _SAMPLE_RATE
    decoder = decoders.AudioDecoder(path, sample_rate=_SAMPLE_RATE)
    decoder.get_samples_played_in_range(begin, begin + _SAMPLES_PER_FRAME / _SAMPLE_RATE)


def _read(timeline: Callable[[int], Timeline], file: int, start: int, frame: torch.Tensor) -> None:
    fill_frame(timeline(file), start, frame, choose_decoder("auto"))


def _seconds(work: Callable[[], object]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started


def measure_planning(folder: str) -> dict[str, float]:
    """Measure time and memory to find the first span at a random place of an epoch.

    The index of a million files is in memory already.
    """
    index = _synthetic_index(folder)
    started = perf_counter()
    frames = _resume(index)
    seconds = perf_counter() - started
    index = AudioIndex(index.table, index.root)  # nothing is computed yet
    tracemalloc.start()
    _resume(index)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"planned_frames": frames, "planning_seconds": seconds, "planning_bytes": peak_bytes}


def _resume(index: AudioIndex) -> int:
    """Find the first span after a random place of an epoch, and return the epoch's number of frames."""
    dataset = StreamingAudioDataset(index, shuffle_buffer_size=None)
    frames = len(dataset)
    next(dataset.spans(Progress(3, 0, random.Random(0).randrange(frames)), Shard()))
    return frames


def _synthetic_index(folder: str) -> AudioIndex:
    """Return an index of a million files that do not exist: copies of the folder's first file, with random lengths."""
    pa = import_pyarrow()
    row = AudioIndex.build(folder).table.slice(0, 1).to_pylist()[0]
    lengths = np.random.default_rng(0).integers(*_SYNTHETIC_SAMPLES, _SYNTHETIC_FILES)
    one = pa.Table.from_pylist([row], schema=schema())
    table = one.take(pa.array(np.zeros(_SYNTHETIC_FILES, np.int64)))
    part = one_chunk(table["parts"])
    fields = {field.name: part.values.field(field.name) for field in part.type.value_type}
    fields["num_samples"] = pa.array(lengths)
    struct = pa.StructArray.from_arrays(list(fields.values()), fields=list(part.type.value_type))
    parts = pa.ListArray.from_arrays(part.offsets, struct)
    names = pa.array([f"{number // 1_000:05d}/{number:08d}.mp3" for number in range(_SYNTHETIC_FILES)])
    columns = {"path": names, "num_samples": pa.array(lengths), "parts": parts}
    table = pa.table([columns.get(name, table[name]) for name in schema().names], schema=schema())
    return AudioIndex(table, os.path.abspath(folder))


def measure(folder: str) -> dict[str, Any]:
    """Return all measurements."""
    return {**measure_building(folder), **measure_reading(folder), **measure_planning(folder)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1])) + "\n")
