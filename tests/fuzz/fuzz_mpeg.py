#!/usr/bin/env python3
"""Coverage-guided fuzzing of `flowmo_data.tracks.mpeg`, with atheris: `fuzz_mpeg.py SEEDS -max_total_time=180`.

What atheris 3.0.0 instruments grows by some 200 kB a run, so an hour is many short turns, with `-rss_limit_mb=0`. The
arguments are libFuzzer's: SEEDS is a folder of files to start from, to which new ones are added. `--seeds FOLDER`
fills a folder with small files of every kind that the tests know, and ends.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(Path(__file__).parent)]

with atheris.instrument_imports(include=["flowmo_data.tracks.mpeg"]):
    from invariants import check_walk

MOST_SEED_BYTES = 20_000


def write_seeds(folder: Path) -> None:
    """The beginnings and ends of the small files that the tests use."""
    folder.mkdir(parents=True, exist_ok=True)
    zoo = TESTS.parents[1] / "shared" / "zoo"
    for path in [*(TESTS / "data").iterdir(), *(zoo.iterdir() if zoo.is_dir() else ())]:
        data = path.read_bytes()
        (folder / f"{path.name}.head").write_bytes(data[:MOST_SEED_BYTES])
        (folder / f"{path.name}.tail").write_bytes(data[-MOST_SEED_BYTES // 4 :])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--seeds"]:
        write_seeds(Path(sys.argv[2]))
    else:
        atheris.Setup(sys.argv, lambda data: check_walk(bytes(data)))
        atheris.Fuzz()
