"""What the tests of Layer III decoders share: vectors with their samples, and runs of packets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import soundfile
from builders import SHARED, packets
from layer3_tables import DATA

from flowmo_data.tracks.mpeg import Run
from flowmo_data.tracks.mpeg.headers import parse_header

VECTORS = {  # stretches of the ISO bitstreams -> packets before the samples of the same name
    "compl": 0, "he_32khz": 0, "he_48khz": 0, "he_free": 0, "he_mode": 4, "lsf_bitrate_16_all": 0,
    "lsf_bitrate_24_all": 0, "lsf_compl24": 0, "si": 0, "si_huff": 0, "sin1k0db": 2, "test46": 4,
}  # fmt: skip
WHOLE_VECTORS = SHARED / "native" / "vectors"
FULL_ACCURACY = 2**-15 / 12**0.5
"""RMS that ISO/IEC 11172-4 asks of a decoder; rounding the reference to 16 bits alone makes as much"""
ROUNDING = 1.1
"""what the clipping and the rounding of the 16-bit reference add to `FULL_ACCURACY`"""


@cache
def load_vector(name: str) -> tuple[list[bytes], npt.NDArray[np.float64]]:
    """Return the packets of a vector in `tests/data/layer3`, and its samples as `(channels, samples)`."""
    samples, _ = soundfile.read(DATA / f"{name}.flac", always_2d=True)
    return packets((DATA / f"{name}.mp3").read_bytes()), samples.T


def vector_error(name: str, decoded: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return what a decoder's samples of a vector differ by, after clipping."""
    run, expected = load_vector(name)
    header = parse_header(run[0])
    assert header is not None
    skipped = VECTORS[name] * header.samples_per_packet
    loudest = 32_767 / 32_768
    return np.clip(decoded[:, skipped:], -loudest, loudest) - expected


def run_of(run: Sequence[bytes]) -> Run:
    """Return packets as a run."""
    header = parse_header(run[0])
    assert header is not None
    starts = np.cumsum([0, *map(len, run)]).tolist()
    return Run(header, bytearray(b"".join(run)), starts, 0)
