"""From a track's samples to a frame's: channels and dtype."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

_INT16_SCALE = 32_768.0
_FLOAT16_MOST = 65_504.0


def write_channels(samples: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None:
    """Copy samples into their place in a frame.

    Args:
        samples: `(num_samples, channels)` as stored.
        out: `(1 or 2, num_samples)`. Mono is copied to both rows of two. One row gets the mean of all channels. Two
            rows get the first two of more channels: front left and front right in every format with an order.
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
            For float16, samples are clipped at its largest number, which no undamaged file comes near.
    """
    if out.dtype == torch.int16:
        np.clip(samples, -1, 1, out=samples)
        np.multiply(samples, _INT16_SCALE, out=samples)
        np.rint(samples, out=samples)
        np.minimum(samples, _INT16_SCALE - 1, out=samples)
    elif out.dtype == torch.float16:
        np.clip(samples, -_FLOAT16_MOST, _FLOAT16_MOST, out=samples)
    out.copy_(torch.from_numpy(samples))
