"""From a track's samples to what is emitted: sample rate, channels, padding, dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from flowmo_data.errors import MissingPackageError, OptionError
from flowmo_data.parts import Part, Window, within

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int16)
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
_INT16_SCALE = 32_768.0
_FLOAT16_MOST = 65_504.0


@dataclass(frozen=True, slots=True)
class ResampledPart:
    """A part at another sample rate, resampled window by window; a `Part` itself.

    torchaudio resamples with a windowed sinc: with both rates divided by their greatest common divisor, every `old`
    samples in give `new` samples out, from these and `width` samples on either side (torchaudio.functional.resample,
    https://ccrma.stanford.edu/~jos/resample). So a piece that starts at a multiple of `old`, with `width` samples of
    context before and behind, gives what resampling the whole file gives.
    """

    part: Part
    sample_rate: int
    """Hz of what comes out"""
    channels: int = field(init=False)
    """channels as stored"""
    num_samples: int = field(init=False)
    """samples per channel at `sample_rate`"""

    def __post_init__(self) -> None:
        old, new = self._reduced_rates()
        object.__setattr__(self, "channels", self.part.channels)
        object.__setattr__(self, "num_samples", -(-self.part.num_samples * new // old))

    def _reduced_rates(self) -> tuple[int, int]:
        divisor = math.gcd(self.part.sample_rate, self.sample_rate)
        return self.part.sample_rate // divisor, self.sample_rate // divisor

    def read(self, start: int, stop: int) -> Window:
        """See `parts.Part.read`."""
        old, new = self._reduced_rates()
        resampler = _resampler(old, new)
        context = -(-resampler.width // old)  # blocks of `old` samples
        first, last = start // new, -(-stop // new)  # the blocks that are wanted
        begin = max((first - context) * old, 0)
        window = self.part.read(begin, min((last + context) * old, self.part.num_samples))
        out = np.empty((self.channels, (last - first) * new), np.float32)
        blocks = -(-_PIECE_SAMPLES // old)  # at a time
        piece = torch.empty(self.channels, (blocks + 2 * context) * old)
        for block in range(first, last, blocks):
            _fill(piece, window.samples, (block - context) * old - begin)
            with torch.inference_mode():
                resampled = resampler(piece)[:, context * new : (context + blocks) * new]
            place = (block - first) * new
            out[:, place : place + blocks * new] = resampled[:, : out.shape[1] - place].numpy()
        lost = (
            ((begin + left) * new // old - start, -(-(begin + right) * new // old) - start)
            for left, right in window.lost
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


def write_channels(samples: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None:
    """Copy samples into their place in a frame.

    Args:
        samples: `(num_samples, channels)` as stored.
        out: `(1 or 2, num_samples)`. One channel is copied to both of two; for one, all are averaged. Of more than
            two, the first two are taken for two: front left and front right in every format that has an order.
    """
    if len(out) == 1 and samples.shape[1] > 1:
        np.mean(samples, axis=1, out=out[0])
    else:
        np.copyto(out, samples.T[: len(out)])


def write_dtype(samples: npt.NDArray[np.float32], out: torch.Tensor) -> None:
    """Write float32 samples as another dtype.

    Args:
        samples: of any shape; overwritten.
        out: of the same shape and one of `DTYPES`. For int16, samples times 32,768, rounded half to even, and clipped.
            For float16 they are clipped at its largest number, which no undamaged file comes near.
    """
    if out.dtype == torch.int16:
        np.clip(samples, -1, 1, out=samples)
        np.multiply(samples, _INT16_SCALE, out=samples)
        np.rint(samples, out=samples)
        np.minimum(samples, _INT16_SCALE - 1, out=samples)
    elif out.dtype == torch.float16:
        np.clip(samples, -_FLOAT16_MOST, _FLOAT16_MOST, out=samples)
    out.copy_(torch.from_numpy(samples))


def check_dtype(dtype: object) -> None:
    """Raise `OptionError` if this is none of `DTYPES`."""
    if dtype not in DTYPES:
        raise OptionError(f"dtype={dtype!r}: take one of {', '.join(map(str, DTYPES))}")
