"""What can be read of a file: stretches of samples, each with a rate and a number of channels."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class Window(NamedTuple):
    """Samples that were read."""

    samples: npt.NDArray[np.float32]
    """`(num_samples, channels)`, nominally in [-1, 1], valid until the thread reads again"""
    num_lost: int = 0
    """how many of them are silence, because what stands there cannot be decoded"""


class Part(Protocol):
    """A stretch of a file with one sample rate and one number of channels."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def channels(self) -> int:
        """Channels as stored."""

    @property
    def num_samples(self) -> int:
        """Samples per channel, exact."""

    def read(self, start: int, stop: int) -> Window:
        """The samples `[start, stop)`, which lie inside the part.

        Raises:
            AudioFileError: the file cannot be read any more, or is another than was opened.
        """
