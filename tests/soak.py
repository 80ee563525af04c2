#!/usr/bin/env python3
"""Epoch after epoch over odd files and music, with what the processes hold written down: `python tests/soak.py`.

Two persistent workers with two decode threads each go over the zoo, the corpus (the first half minute of every file)
where they lie beside the checkout, and files made here. What is held must not grow from epoch 10 on.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.utils.data import DataLoader

from flowmo_data import StreamingAudioDataset

sys.path.insert(0, str(Path(__file__).parent))
from builders import CORPUS, DATA, RATE, ZOO, make_mp3, make_wav

CORPUS_BYTES = 600_000
NAMES = ("open descriptors", "threads", "USS, MB", "PSS, MB", "shared memory, MB")


def make_folder(folder: Path) -> None:
    """Odd files and music."""
    for place in (ZOO, DATA):
        for path in place.iterdir() if place.is_dir() else ():
            if path.suffix not in (".json", ".md") and path.is_file():
                shutil.copy(path, folder / path.name)
    for path in CORPUS.glob("*.mp3") if CORPUS.is_dir() else ():
        (folder / path.name).write_bytes(path.read_bytes()[:CORPUS_BYTES])
    for index in range(4):
        make_mp3(folder / f"made_{index}.mp3", 10 * RATE, seed=index)
        make_wav(folder / f"made_{index}.wav", 5 * RATE, seed=index)


def held(loader: DataLoader[Any]) -> dict[str, float]:
    """What this process and its workers hold."""
    gc.collect()
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    memory = [process.memory_full_info() for process in processes]
    values = (
        sum(process.num_fds() for process in processes),
        sum(process.num_threads() for process in processes),
        sum(each.uss for each in memory) / 1e6,
        sum(each.pss for each in memory) / 1e6,
        sum(_shared_bytes(process.pid) for process in processes) / 1e6,
    )
    return dict(zip(NAMES, values, strict=True))


def least_held(loader: DataLoader) -> dict[str, float]:
    """The least of each within a second: on a busy machine, batches may still be on their way when an epoch ends."""
    looks = []
    for _ in range(5):
        looks.append(held(loader))
        sleep(0.2)
    return {name: min(look[name] for look in looks) for name in NAMES}


def _shared_bytes(pid: int) -> int:
    """Memory of /dev/shm and of files in memory that a process has mapped and touched."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("RssShmem:"))
    return int(line.split()[1]) * 1_024


def soak(epochs: int, decoder: str, noted: list[int]) -> Iterator[dict[str, float]]:
    """Run, and give what is held after the epochs that are to be noted, counted from 1."""
    with tempfile.TemporaryDirectory() as name:
        make_folder(Path(name))
        dataset = StreamingAudioDataset(name, samples_per_frame=65_536, decode_threads=2, decoder=decoder)
        loader = DataLoader(dataset, batch_size=8, num_workers=2, persistent_workers=True)
        begin = perf_counter()
        for epoch in track(range(1, epochs + 1), "epochs", console=Console(stderr=True)):
            frames = sum(len(batch) for batch in loader)
            if epoch in noted:
                report = dataset.report()
                yield {
                    "epoch": epoch,
                    **least_held(loader),
                    "frames": frames,
                    "files skipped": len(report.skipped),
                    "files damaged": len(report.damaged),
                    "seconds": perf_counter() - begin,
                }


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--decoder", default="auto")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    logging.getLogger("flowmo_data").setLevel(logging.ERROR)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libmpg123 tells of damage there
    noted = sorted({1, min(10, given.epochs), given.epochs // 2, given.epochs})
    rows = list(soak(given.epochs, given.decoder, noted))
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{value:,.1f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=160).print(table)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
