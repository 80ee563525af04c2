"""A small synthetic corpus, to try things without real audio."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from flowmo_data.runtime.processes import num_cores
from flowmo_data.runtime.threads import ordered_map

SAMPLE_RATE = 44_100
NUM_FILES = 24
SECONDS_PER_FILE = 40
_BLOCK_SAMPLES = SAMPLE_RATE


def default_folder() -> Path:
    """Return the folder of the demo corpus, in this user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("flowmo_data") / f"demo-{NUM_FILES}x{SECONDS_PER_FILE}s"


def make_demo(folder: Path, *, num_files: int = NUM_FILES, seconds: int = SECONDS_PER_FILE) -> Iterator[Path]:
    """Write the missing stereo MP3s at 44.1 kHz into a folder, in threads; yield the path of each when it exists.

    Each file has chords of decaying tones over noise, so that an encoder has as much to do as with music. It is written
    under a temporary name and then renamed, so that a file that exists is complete.

    Args:
        folder: created if it does not exist.
        num_files: number of files.
        seconds: length of each file.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def make(index: int) -> Path:
        path = folder / f"demo_{index:03d}.mp3"
        if not path.exists():
            unfinished = path.with_suffix(f".{os.getpid()}.part")
            try:
                write_mp3(unfinished, synthetic_music(seconds * SAMPLE_RATE, seed=index))
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
        return path

    return ordered_map(make, range(num_files), threads=num_cores())  # LAME runs without Python's lock


def write_mp3(path: Path, samples: npt.NDArray[np.float32], sample_rate: int = SAMPLE_RATE) -> None:
    """Write `(num_samples, channels)` samples as an MP3, with LAME through libsndfile."""
    data = io.BytesIO()  # libsndfile does not report the cause of a disk error
    with soundfile.SoundFile(data, "w", sample_rate, samples.shape[1], format="MP3") as opened:
        for start in range(0, len(samples), _BLOCK_SAMPLES):
            opened.write(samples[start : start + _BLOCK_SAMPLES])
    path.write_bytes(data.getbuffer())


def synthetic_music(num_samples: int, *, seed: int) -> npt.NDArray[np.float32]:
    """Return stereo samples `(num_samples, 2)` at 44.1 kHz: four decaying tones every half second, over noise."""
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((num_samples, 2), dtype=np.float32)
    samples: npt.NDArray[np.float32] = noise * np.float32(0.02)
    note_samples = SAMPLE_RATE // 2
    time = np.arange(note_samples, dtype=np.float32) / SAMPLE_RATE
    for start in range(0, num_samples, note_samples):
        length = min(note_samples, num_samples - start)
        for semitone in generator.integers(-24, 36, 4):
            tone = np.sin(2 * np.pi * 220 * 2 ** (semitone / 12) * time) * np.exp(-4 * time)
            pan = generator.random(dtype=np.float32)
            samples[start : start + length, 0] += (0.2 * (1 - pan) * tone[:length]).astype(np.float32)
            samples[start : start + length, 1] += (0.2 * pan * tone[:length]).astype(np.float32)
    return samples
