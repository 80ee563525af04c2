"""A window of a part at another sample rate, resampled so that windows and the whole file agree."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from flowmo_data.decoding.window import Window, within
from flowmo_data.errors import MissingPackageError
from flowmo_data.tracks.parts import Part, ResampledPart

FILTER = {
    "lowpass_filter_width": 64,
    "rolloff": 0.9475937167399596,
    "resampling_method": "sinc_interp_kaiser",
    "beta": 14.769656459379492,
}
"""torchaudio's counterpart of resampy's "kaiser_best", by its tutorial on audio resampling. From 48 to 44.1 kHz, its
default is 2.6 dB down at 20 kHz and mirrors 23 kHz to 21.1 kHz at -9 dB; this one 0.1 dB, and -148 dB"""
_PIECE_SAMPLES = 1 << 15
"""samples that are resampled at a time, always as many: torch compiles a convolution for every length that it meets,
and keeps a thousand of them, at some 100 kB each"""


def read_resampled(part: ResampledPart, start: int, stop: int, read: Callable[[Part, int, int], Window]) -> Window:
    """Read the samples `[start, stop)` of a resampled part.

    torchaudio resamples with a windowed sinc: with both rates divided by their greatest common divisor, every `old`
    samples in give `new` samples out, from these and `width` samples on either side (torchaudio.functional.resample,
    https://ccrma.stanford.edu/~jos/resample). So a piece that starts at a multiple of `old`, with `width` samples of
    context before and behind, gives what resampling the whole file gives.

    Args:
        part: the part.
        start: first sample, at the new rate.
        stop: one past the last sample.
        read: reads a window of the part at its own rate.
    """
    old, new = part.reduced_rates
    resampler = _resampler(old, new)
    context = -(-resampler.width // old)  # blocks of `old` samples
    first, last = start // new, -(-stop // new)  # the blocks that are wanted
    begin = max((first - context) * old, 0)
    window = read(part.part, begin, min((last + context) * old, part.part.num_samples))
    out = np.empty((part.channels, (last - first) * new), np.float32)
    blocks = -(-_PIECE_SAMPLES // old)  # at a time
    piece = torch.empty(part.channels, (blocks + 2 * context) * old)
    for block in range(first, last, blocks):
        _fill(piece, window.samples, (block - context) * old - begin)
        with torch.inference_mode():
            resampled = resampler(piece)[:, context * new : (context + blocks) * new]
        place = (block - first) * new
        out[:, place : place + blocks * new] = resampled[:, : out.shape[1] - place].numpy()
    lost = (
        ((begin + left) * new // old - start, -(-(begin + right) * new // old) - start) for left, right in window.lost
    )
    skipped = start - first * new
    return Window(out[:, skipped : skipped + stop - start].T, within(lost, stop - start))


def _fill(piece: torch.Tensor, samples: npt.NDArray[np.float32], start: int) -> None:
    """Copy samples from `start` on into a piece of the shape `(channels, length)`; zeros where there are none."""
    piece.zero_()
    there = samples[max(start, 0) : start + piece.shape[1]]
    before = max(-start, 0)
    piece[:, before : before + len(there)] = torch.from_numpy(there).T


@lru_cache(maxsize=16)
def _resampler(old: int, new: int) -> Any:
    return import_resample()(old, new, **FILTER)


def import_resample() -> Any:
    """The class `torchaudio.transforms.Resample`.

    Raises:
        MissingPackageError: torchaudio is not installed, or refuses this build of torch.
    """
    try:
        from torchaudio.transforms import Resample
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise MissingPackageError(
            f"torchaudio cannot be imported beside torch {torch.__version__} ({error}). It resamples files whose rate "
            "is not sr=, and its wheels want the build of torch that they were made for, not a CPU-only one: install "
            "the pair that is tested, pip install torch==2.14.1 torchaudio==2.11.0, or set sr= to the files' own rate, "
            "or on_other_rate='skip'."
        ) from error
    return Resample
