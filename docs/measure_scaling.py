"""Measure the cost of a million files: `python docs/measure_scaling.py [FILES ...]`.

For each number FILES, the script fills a folder with that many links to one small MP3. It measures making the dataset,
the first batch, and the memory of two workers while they read all files. The output is a line of JSON for each number.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import psutil
from torch.utils.data import DataLoader

from flowmo_data.bench.demo import synthetic_music, write_mp3
from flowmo_data.datasets import StreamingAudioDataset

_LINKS_PER_FOLDER = 1_000
_BATCH = 100
_WORKERS = 2
_MARKS = (0.1, 0.95)
"""shares of the files after which memory is measured, while both workers run"""


def measure_scale(num_files: int, folder: Path) -> dict[str, float]:
    """Fill `folder` with `num_files` links and measure.

    Returns:
        Seconds to list the files (`os.walk` alone), to make the dataset, and to the first batch; private bytes of a
        worker (the larger of two) after a tenth of the files, and near the end.
    """
    _make_links(num_files, folder)
    started = perf_counter()
    for _ in os.walk(folder):
        pass
    listing_seconds = perf_counter() - started
    started = perf_counter()
    dataset = StreamingAudioDataset(folder, samples_per_frame=4_096, shuffle_buffer_size=100)
    making_seconds = perf_counter() - started
    private_bytes: list[int] = []
    loader = DataLoader(dataset, batch_size=_BATCH, num_workers=_WORKERS)
    started, first_batch_seconds, frames = perf_counter(), 0.0, 0
    for batch in loader:
        first_batch_seconds = first_batch_seconds or perf_counter() - started
        frames += len(batch)
        if len(private_bytes) < len(_MARKS) and frames >= _MARKS[len(private_bytes)] * num_files:
            private_bytes.append(_worker_bytes())
    return {
        "files": num_files,
        "frames": frames,
        "listing_seconds": listing_seconds,
        "making_seconds": making_seconds,
        "first_batch_seconds": first_batch_seconds,
        "worker_bytes_at_a_tenth": private_bytes[0],
        "worker_bytes_near_the_end": private_bytes[-1],
    }


def _make_links(num_files: int, folder: Path) -> None:
    target = folder / "target.audio"
    write_mp3(target, synthetic_music(3_000, seed=0))
    for index in range(num_files):
        if index % _LINKS_PER_FOLDER == 0:
            inside = folder / f"{index // _LINKS_PER_FOLDER:05d}"
            inside.mkdir()
        (inside / f"{index:08d}.mp3").symlink_to(target)


def _worker_bytes() -> int:
    return max(int(child.memory_full_info().uss) for child in psutil.Process().children())


def main() -> None:
    """Measure for each given number of files, or for 1,000, 100,000 and 1,000,000."""
    for argument in sys.argv[1:] or ["1000", "100000", "1000000"]:
        with tempfile.TemporaryDirectory() as folder:
            sys.stdout.write(json.dumps(measure_scale(int(argument), Path(folder))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
