#!/usr/bin/env python3
"""What it costs to look for packets in files that are made to be slow: `python tests/fuzz/hostile_sizes.py`.

Each file is walked in a process of its own, once at each size; seconds are of CPU. Where the time is linear in the
size, the last column is the ratio of the sizes.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

_MEGABYTE = 1_000_000
_SHORTEST = b"\xff\xf3\x14\xc4" + bytes(20)  # MPEG-2 Layer III, 8 kbit/s at 24 kHz: 24 bytes
_SHORTEST_OTHER = b"\xff\xf3\x10\xc4" + bytes(22)  # at 22.05 kHz: 26 bytes
_ID3V2 = b"ID3\x04\x00\x00\x00\x00\x00\x00"
_APE = b"APETAGEX" + (2_000).to_bytes(4, "little") + (32).to_bytes(4, "little") + bytes(16)
_LYRICS = b"LYRICSBEGIN000011LYRICS200"

HOSTILE: dict[str, Callable[[int], bytes]] = {
    "zeros": bytes,
    "noise": lambda size: random.Random(0).randbytes(size),
    "0xFF": lambda size: b"\xff" * size,
    "headers without packets": lambda size: _repeat(b"\xff\xfb\x90\x64", size),
    "headers of free format": lambda size: _repeat(b"\xff\xfb\x00\x64", size),
    "headers of all kinds": lambda size: _repeat(_all_headers(), size),
    "ID3v2 tags of 10 bytes": lambda size: _repeat(_ID3V2, size),
    "ID3v1 tags of 128 bytes": lambda size: _repeat(b"TAG" + bytes(125), size),
    "APE tags of 32 bytes": lambda size: _repeat(_APE, size),
    "Lyrics3 tags of 26 bytes": lambda size: _repeat(_LYRICS, size),
    "packets of 24 bytes": lambda size: _repeat(_SHORTEST, size),
    "a byte behind three packets": lambda size: _repeat(_SHORTEST * 3 + b"\x00", size),
    "a tag behind three packets": lambda size: _repeat(_SHORTEST * 3 + _ID3V2, size),
    "a section of three packets": lambda size: _repeat(_SHORTEST * 3 + _SHORTEST_OTHER * 3, size),
}


def _repeat(unit: bytes, size: int) -> bytes:
    return unit * (size // len(unit))


def _all_headers() -> bytes:
    draw = random.Random(0)
    seconds = [second for second in range(0xE0, 0x100) if second >> 3 & 3 != 1 and second >> 1 & 3]
    return b"".join(bytes((0xFF, draw.choice(seconds), draw.randrange(240), draw.randrange(256))) for _ in range(999))


def measure(path: Path) -> dict[str, Any]:
    """Walk a file; gives seconds of CPU, bytes of memory at most, and reads."""
    from flowmo_data.sources import LocalFile
    from flowmo_data.tracks.mpeg import walk

    source, num_reads, num_bytes = LocalFile.at(str(path)), 0, 0

    def read(start: int, stop: int) -> bytes:
        nonlocal num_reads, num_bytes
        data = source.read(start, stop)
        num_reads += 1
        num_bytes += len(data)
        return data

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    found = walk(read, source.stamp.size)
    seconds = time.process_time() - began
    return {
        "seconds": seconds,
        "memory_bytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024,
        "reads": num_reads,
        "read_bytes": num_bytes,
        "sections": len(found.sections),
        "packets": sum(section.num_packets for section in found.sections),
        "gaps": sum(len(section.gaps) for section in found.sections),
    }


@click.command(help=__doc__)
@click.option("--megabytes", nargs=2, default=(10, 100), show_default=True, type=click.IntRange(1))
@click.option("--limit-seconds", default=300.0, show_default=True, help="A walk that takes longer is given up.")
@click.option("--only", multiple=True, type=click.Choice(list(HOSTILE)), help="These files.  [default: all]")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures there.")
@click.option("--child", type=click.Path(path_type=Path), hidden=True)
def main(
    megabytes: tuple[int, int], limit_seconds: float, only: tuple[str, ...], json_path: Path | None, child: Path | None
) -> None:
    """See the top of this file."""
    if child:
        click.echo(json.dumps(measure(child)))
        return
    results: dict[str, list[dict[str, Any] | None]] = {}
    runs = [(name, size) for name in only or HOSTILE for size in megabytes]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        path = Path(folder) / "hostile.mp3"
        for name, size in track(runs, console=Console(stderr=True)):
            path.write_bytes(HOSTILE[name](size * _MEGABYTE))
            command = [sys.executable, __file__, "--child", str(path)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=limit_seconds)
                results.setdefault(name, []).append(json.loads(done.stdout))
            except subprocess.TimeoutExpired:
                results.setdefault(name, []).append(None)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("a file of", no_wrap=True)
    for size in megabytes:
        for title in (f"{size} MB, s", "MB", "reads", "read/size"):
            table.add_column(title, justify="right")
    table.add_column("time", justify="right")
    for name, measured in results.items():
        cells: list[str] = []
        for size, result in zip(megabytes, measured, strict=True):
            cells += _cells(result, size) if result else [f"> {limit_seconds:.0f}", "", "", ""]
        first, last = measured
        cells.append(f"x {last['seconds'] / first['seconds']:.1f}" if first and last else "")
        table.add_row(name, *cells)
    Console(width=110).print(table)
    if json_path:
        json_path.write_text(json.dumps(results, indent=1) + "\n")


def _cells(result: dict[str, Any], megabytes: int) -> list[str]:
    share = result["read_bytes"] / (megabytes * _MEGABYTE)
    memory = result["memory_bytes"] / _MEGABYTE
    return [f"{result['seconds']:.2f}", f"{memory:,.0f}", f"{result['reads']:,}", f"{share:.2f}"]


if __name__ == "__main__":
    main()
