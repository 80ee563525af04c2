"""What tests are made of: signals, files in every state, and what is right for them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from flowmo_data.bench.demo import synthetic_music, write_mp3
from flowmo_data.decoding import DECODERS, read_window
from flowmo_data.decoding.window import Window
from flowmo_data.runtime import library
from flowmo_data.sources import LocalFile
from flowmo_data.tracks import Part, Track, open_track
from flowmo_data.tracks.mpeg import Section, Walk, walk

DATA = Path(__file__).parent / "data"
SHARED = Path(__file__).parents[2] / "shared"
ZOO = SHARED / "zoo"
CORPUS = SHARED / "corpus"


def _is_installed(decoder: str) -> bool:
    return library.is_available() if decoder == "native" else find_spec(decoder) is not None


def _each(decoders: Iterable[str]) -> list[Any]:
    reason = "it is not installed; it is optional"
    return [pytest.param(name, marks=pytest.mark.skipif(not _is_installed(name), reason=reason)) for name in decoders]


EVERY_DECODER = _each(DECODERS)
EVERY_RUN_DECODER = _each(name for name in DECODERS if name != "native")
"""those that decode a run, and know nothing of damage"""
needs_zoo = pytest.mark.skipif(not ZOO.is_dir(), reason="the zoo of odd files lies beside the checkout, not in it")
needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of music lies beside the checkout, not in it")

RATE = 44_100


def expected_zoo() -> dict[str, Any]:
    """What is right for each file of the zoo; empty where there is none."""
    path = ZOO / "expected.json"
    return json.loads(path.read_text()) if path.exists() else {}


def music(num_samples: int, *, seed: int = 0, channels: int = 2) -> npt.NDArray[np.float32]:
    """`(num_samples, channels)` samples."""
    return synthetic_music(num_samples, seed=seed)[:, :channels]


def make_mp3(path: Path, num_samples: int, *, seed: int = 0, channels: int = 2, rate: int = RATE) -> Path:
    """An MP3 of `num_samples` samples."""
    write_mp3(path, music(num_samples, seed=seed, channels=channels), rate)
    return path


def make_wav(path: Path, num_samples: int, *, seed: int = 0, channels: int = 2, rate: int = RATE) -> Path:
    """A 16-bit WAV file."""
    soundfile.write(path, music(num_samples, seed=seed, channels=channels), rate, subtype="PCM_16")
    return path


def make_ramp(path: Path, first: int, num_samples: int, rate: int = RATE) -> Path:
    """A mono WAV of floats that count up from `first`, so that every sample of several files is another number."""
    samples = np.arange(first, first + num_samples, dtype=np.float32)
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def make_ramps(folder: Path, lengths: Iterable[int]) -> int:
    """A folder of ramps that go on from file to file; gives the number of samples, which count from 1."""
    folder.mkdir(exist_ok=True)
    first = 1
    for index, length in enumerate(lengths):
        make_ramp(folder / f"ramp_{index:03d}.wav", first, length)
        first += length
    return first - 1


def opened(path: Path | str) -> Track:
    """The track of a file."""
    return open_track(LocalFile.at(str(path)))


def read(part: Part, start: int, stop: int, decoder: str = "soundfile") -> Window:
    """A window of a part."""
    return read_window(part, start, stop, decoder)


def walk_bytes(data: bytes) -> Walk:
    """Walk bytes in memory."""
    return walk(lambda start, stop: data[start:stop], len(data))


def walk_file(path: Path) -> Walk:
    """Walk a file."""
    source = LocalFile.at(str(path))
    return walk(source.read, source.stamp.size)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings, without those that sum up an epoch."""
    messages = [record.message for record in caplog.records]
    return [message for message in messages if not re.match(r"(rank \d+, )?epoch \d+: ", message)]


def packets(data: bytes) -> list[bytes]:
    """The audio packets of a file that has one section without gaps."""
    (section,) = walk_bytes(data).sections
    return packets_of(data, section)


def packets_of(data: bytes, section: Section) -> list[bytes]:
    """The packets of a section without gaps."""
    stops = [*section.offsets[1:], section.end]
    return [data[start:stop] for start, stop in zip(section.offsets, stops, strict=True)]


def make_folder(folder):
    """Write five MP3s and other formats, named by number; return the folder."""
    for number in range(5):
        make_mp3(folder / f"{number}.mp3", 70_000 + 11_000 * number, seed=number)
    make_wav(folder / "5.wav", 80_000, seed=5, rate=48_000)
    make_wav(folder / "6.flac", 100_000, seed=6)
    return folder
