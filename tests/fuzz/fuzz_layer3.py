#!/usr/bin/env python3
"""Coverage-guided fuzzing of the Layer III decoder in C, with libFuzzer, ASan and UBSan: it takes clang.

    fuzz_layer3.py SEEDS -max_total_time=600

SEEDS is a folder, filled with beginnings of files and random streams if it is empty; what is found is added to it.
The other arguments are libFuzzer's. `--build PROGRAM` compiles only.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parents[1]
LAYER3 = TESTS.parent / "flowmo_data" / "decoding" / "layer3"
MOST_SEED_BYTES = 4_000
SANITIZERS = "fuzzer,address,undefined"


def sources() -> list[Path]:
    """Return the files of the decoder that are compiled: those that no other includes."""
    files = sorted(LAYER3.glob("*.c"))
    included = {name for file in files for name in re.findall(r'#include "(\w+\.c)"', file.read_text())}
    return [file for file in files if file.name not in included]


def build(program: Path) -> None:
    """Compile the target. The other sanitizers' errors end the program too."""
    command = [
        "clang", "-g", "-O2", f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all", f"-I{LAYER3}",
        str(Path(__file__).with_suffix(".c")), *map(str, sources()), "-lm", "-o", str(program),
    ]  # fmt: skip
    subprocess.run(command, check=True)


def write_seeds(folder: Path) -> None:
    """Write the beginnings of the tests' files, and random streams of every format."""
    sys.path[:0] = [str(TESTS), str(TESTS / "decoding"), str(TESTS.parent)]
    from builders import DATA, ZOO, walk_bytes
    from layer3_random import random_stream
    from layer3_tables import SAMPLE_RATES
    from layer3_writer import Format

    folder.mkdir(parents=True, exist_ok=True)
    streams = {}
    for path in [*DATA.rglob("*.mp3"), *ZOO.glob("*.mp3")]:
        data = path.read_bytes()
        for section in walk_bytes(data).sections[:1]:
            streams[path.stem] = data[section.offsets[0] :]
            streams[f"{path.stem}_inside"] = data[section.offsets[len(section.offsets) // 2] :]
    for rate in SAMPLE_RATES:
        for mode in range(4):
            for extension in range(4 if mode == 1 else 1):
                stream = random_stream(rate, Format(rate, mode), mode_extension=extension, fitting=False)
                streams[f"random_{rate}_{mode}_{extension}"] = b"".join(stream)
    for number, (name, data) in enumerate(streams.items()):
        prefix = bytes((number * 37 % 256, 0x39, number % 7, 0x77, number % 5))
        (folder / name).write_bytes(prefix + data[:MOST_SEED_BYTES])


def main(arguments: list[str]) -> int:
    """Build and run."""
    if arguments[:1] == ["--build"]:
        build(Path(arguments[1]))
        return 0
    seeds = Path(arguments[0])
    if not seeds.is_dir() or not any(seeds.iterdir()):
        write_seeds(seeds)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "fuzz_layer3"
        build(program)
        return subprocess.run([program, "-max_len=8192", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
