"""Compare members of tars with the same files beside them: `python docs/measure_tars.py FILE`.

FILE is an MP3 of a minute or more. A WAV, a FLAC and an Ogg Vorbis file are made of its first minute. Then windows of
196,608 samples are read, and files are opened, in turns from the file and from a tar that holds it. Last, the members
of a tar of 1,000 are listed. Times are medians of processor time. The output is a table in Markdown.
"""

from __future__ import annotations

import random
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import soundfile

from flowmo_data.decoding import choose_decoder, read_window
from flowmo_data.sources import find_sources, source_at
from flowmo_data.tracks import open_track

_LENGTH = 196_608
_ROUNDS = 100


def milliseconds(call: Callable[[], Any]) -> float:
    """Return the processor time of a call."""
    started = time.process_time()
    call()
    return (time.process_time() - started) * 1e3


def compare(path: Path, tar: str) -> str:
    """Return the table's row of a file."""
    places = str(path), f"tar://{path.name}::{tar}"
    generator = random.Random(0)
    parts = [open_track(source_at(place)).parts[0] for place in places]
    opening: list[list[float]] = [[], []]
    reading: list[list[float]] = [[], []]
    for _ in range(_ROUNDS):
        start = generator.randrange(parts[0].num_samples - _LENGTH)
        for which, place in enumerate(places):
            opening[which].append(milliseconds(lambda place=place: open_track(source_at(place))))
            window = parts[which], start, start + _LENGTH, choose_decoder("auto")
            reading[which].append(milliseconds(lambda window=window: read_window(*window)))
    cells = (f"{median(each):.2f}" for each in (*reading, *opening))
    return f"| {path.suffix[1:].upper()} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    sys.stdout.write(
        "| | window, beside | in a tar | opening, beside | in a tar |\n| --- | ---: | ---: | ---: | ---: |\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open(sys.argv[1], "rb") as source, (folder / "a.mp3").open("wb") as copy:
            shutil.copyfileobj(source, copy, 16_384)  # as tarfile does: large pieces would be in larger pages
        samples, rate = soundfile.read(sys.argv[1], frames=60 * 44_100, dtype="float32")
        for suffix in ("wav", "flac", "ogg"):
            channels = samples.shape[1] if samples.ndim > 1 else 1
            with soundfile.SoundFile(folder / f"a.{suffix}", "w", rate, channels) as file:
                for start in range(0, len(samples), 4_096):  # libvorbis takes no minute at once
                    file.write(samples[start : start + 4_096])
        paths = sorted(folder.iterdir())
        for path in paths:
            with tarfile.open(folder / f"{path.name}.tar", "w") as tar:
                tar.add(path, path.name)
            sys.stdout.write(compare(path, str(folder / f"{path.name}.tar")) + "\n")
        with tarfile.open(folder / "many.tar", "w") as tar:
            for number in range(1_000):
                tar.add(folder / "a.mp3", f"{number:04d}.mp3")
        took = median(milliseconds(lambda: find_sources(folder / "many.tar")) for _ in range(5))
        sys.stdout.write(f"\nlisting a tar of 1,000 members: {took:.0f} ms\n")


if __name__ == "__main__":
    main()
