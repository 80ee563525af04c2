"""Measure the cost of a million files: `python docs/measure_scaling.py [FILES ...] [--metadata] [--first N]`.

For each number FILES, the script fills a folder with that many links to one small MP3. It measures making the dataset,
the first batch, and the memory of two workers while they read all files, or N of them with `--first N`. With
`--metadata`, frames come with their rows of a table in JSON lines, which has a row for each file. The output is a line
of JSON for each number.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil
from torch.utils.data import DataLoader

from flowmo_data.bench.demo import synthetic_music, write_mp3
from flowmo_data.datasets import StreamingAudioDataset

_LINKS_PER_FOLDER = 1_000
_BATCH = 100
_WORKERS = 2
_MARKS = (0.1, 0.95)
"""shares of the files after which memory is measured, while both workers run"""


def measure_scale(
    num_files: int, folder: Path, *, with_metadata: bool = False, first: int | None = None
) -> dict[str, float]:
    """Fill `folder` with `num_files` links and measure.

    Args:
        num_files: number of links.
        folder: an empty folder.
        with_metadata: emit the rows of a table.
        first: number of frames to read; None for all files.

    Returns:
        Seconds to list the files (`os.walk` alone), to make the dataset, and to the first batch; private bytes of a
        worker (the larger of two) after a tenth of the files, and near the end.
    """
    _make_links(num_files, folder)
    table = folder / "labels.jsonl"
    if with_metadata:
        _write_table(num_files, table)
    started = perf_counter()
    for _ in os.walk(folder):
        pass
    listing_seconds = perf_counter() - started
    started = perf_counter()
    options: dict[str, Any] = {"return_info": True, "metadata": table} if with_metadata else {}
    dataset = StreamingAudioDataset(folder, samples_per_frame=4_096, shuffle_buffer_size=100, **options)
    making_seconds = perf_counter() - started
    private_bytes: list[int] = []
    wanted = num_files if first is None else first
    loader = DataLoader(dataset, batch_size=_BATCH, num_workers=_WORKERS)
    started, first_batch_seconds, frames = perf_counter(), 0.0, 0
    for batch in loader:
        first_batch_seconds = first_batch_seconds or perf_counter() - started
        frames += len(batch["audio"] if with_metadata else batch)
        if len(private_bytes) < len(_MARKS) and frames >= _MARKS[len(private_bytes)] * wanted:
            private_bytes.append(_worker_bytes())
        if first is not None and frames >= first:
            break
    return {
        "files": num_files,
        "frames": frames,
        "listing_seconds": listing_seconds,
        "making_seconds": making_seconds,
        "first_batch_seconds": first_batch_seconds,
        "worker_bytes_at_a_tenth": private_bytes[0],
        "worker_bytes_near_the_end": private_bytes[-1],
    }


def _link(index: int) -> str:
    return f"{index // _LINKS_PER_FOLDER:05d}/{index:08d}.mp3"


def _write_table(num_files: int, table: Path) -> None:
    """Write a table with a caption of 50 characters, a number and a list for each file."""
    with table.open("w") as opened:
        for index in range(num_files):
            row = {
                "file_name": _link(index),
                "text": f"caption number {index:035d}",
                "bpm": index % 97,
                "tags": ["a", "b"],
            }
            opened.write(json.dumps(row) + "\n")


def _make_links(num_files: int, folder: Path) -> None:
    target = folder / "target.audio"
    write_mp3(target, synthetic_music(3_000, seed=0))
    for index in range(num_files):
        link = folder / _link(index)
        if index % _LINKS_PER_FOLDER == 0:
            link.parent.mkdir()
        link.symlink_to(target)


def _worker_bytes() -> int:
    return max(int(child.memory_full_info().uss) for child in psutil.Process().children())


def main() -> None:
    """Measure for each given number of files, or for 1,000, 100,000 and 1,000,000."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=int, default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--metadata", action="store_true", help="emit the rows of a table, one for each file")
    parser.add_argument("--first", type=int, help="read so many frames, and not all")
    given = parser.parse_args()
    for num_files in given.files:
        with tempfile.TemporaryDirectory() as folder:
            figures = measure_scale(num_files, Path(folder), with_metadata=given.metadata, first=given.first)
            sys.stdout.write(json.dumps(figures) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
