"""Time the merge of the indexes of many parts, and its peak memory. The parts are synthetic: no audio is needed.

python docs/measure_merge.py
python docs/measure_merge.py --parts 100 --files 100 --minutes 1
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from flowmo_data.sources.corpus_parts.part import CorpusPart
from flowmo_data.tracks.index import AudioIndex
from flowmo_data.tracks.index.describing import NOTHING
from flowmo_data.tracks.index.schema import CONTAINER_NUMBERS, import_pyarrow, schema

_PACKETS_BETWEEN_POINTS = 64
_PACKET_BYTES = (500, 800)
"""mean length of the packets between two points, of VBR files"""


def write_parts(folder: Path, num_parts: int, num_files: int, minutes: float) -> None:
    """Write the parts of a corpus of MP3s."""
    random = np.random.default_rng(0)
    for number in range(1, num_parts + 1):
        names = [f"{index % 100:02d}/{index:06d}-{number:04d}.mp3" for index in range(num_files)]
        table = _table(names, round(minutes * 60 * 44_100 / 1_152 / _PACKETS_BETWEEN_POINTS), random)
        AudioIndex(table, str(folder), part=CorpusPart(number, num_parts, "synthetic")).save(
            folder / f"{number}.parquet"
        )


def _table(names: list[str], num_points: int, random: np.random.Generator) -> Any:
    """Return the table of an index of MP3s, each with `num_points` seek points."""
    pa = import_pyarrow()
    num_packets = num_points * _PACKETS_BETWEEN_POINTS
    steps = random.integers(*(each * _PACKETS_BETWEEN_POINTS for each in _PACKET_BYTES), (len(names), num_points))
    common = {
        "format": "MPEG-1 Layer III", "sample_rate": 44_100, "channels": 2, "num_samples": num_packets * 1_152,
        "delay": 1_105,
    }  # fmt: skip
    part = {
        **common, "header": 0xFFFBB064, "free_bytes": 0, "num_packets": num_packets, "stated_packets": num_packets,
        "end": 10_000_000, "lead": 0, "last_seek": 0, "excerpt_start": 0, "excerpt_first_sample": 0,
        "excerpt_head": b"", "gaps": [], **dict.fromkeys(CONTAINER_NUMBERS, 0),
    }  # fmt: skip
    kind = schema().field("parts").type.value_type
    points = pa.LargeListArray.from_arrays(np.arange(len(names) + 1) * num_points, np.cumsum(steps, axis=1).ravel())
    fields = [
        points if field.name == "points" else pa.array([part[field.name]] * len(names), field.type) for field in kind
    ]
    parts = pa.ListArray.from_arrays(
        np.arange(len(names) + 1, dtype=np.int32), pa.StructArray.from_arrays(fields, fields=list(kind))
    )
    values = {**NOTHING, **common, "size": 10_000_000}
    columns = {
        field.name: pa.array([values.get(field.name)] * len(names), field.type)
        for field in schema()
        if field.name != "parts"
    }
    columns |= {
        "path": pa.array(names),
        "mtime_ns": pa.array(random.integers(0, 1 << 60, len(names))),
        "digest": pa.array(random.integers(-(1 << 62), 1 << 62, len(names))),
        "parts": parts,
    }
    return pa.table([columns[name] for name in schema().names], schema=schema())


def merge(folder: Path) -> dict[str, float]:
    """Merge the parts, in a process of its own; return the seconds, and bytes."""
    import_pyarrow()
    before = _peak_bytes()
    start = perf_counter()
    merged = AudioIndex.merge(folder)
    seconds = perf_counter() - start
    merged.save(folder / "corpus.parquet")
    return {
        "files": len(merged),
        "seconds": perf_counter() - start,
        "seconds_to_read_and_sort": seconds,
        "index_bytes": (folder / "corpus.parquet").stat().st_size,
        "table_bytes": merged.table.nbytes,
        "peak_bytes": _peak_bytes() - before,
    }


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024  # Linux counts in KiB


def main() -> None:
    """Write the parts, merge them, and print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=1_000)
    parser.add_argument("--files", type=int, default=1_000, help="files of each part")
    parser.add_argument("--minutes", type=float, default=4.0, help="length of each file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_parts(Path(name), arguments.parts, arguments.files, arguments.minutes)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            sys.stdout.write(json.dumps({"parts": arguments.parts, **pool.submit(merge, Path(name)).result()}) + "\n")


if __name__ == "__main__":
    main()
