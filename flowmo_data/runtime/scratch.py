"""Memory that a thread decodes into, again and again.

A fresh 1.5 MB array costs a page fault every 4 kB, which is up to a fifth of what decoding into it costs.
"""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

_local = threading.local()


def scratch(rows: int, columns: int, *, name: str = "decoded") -> npt.NDArray[np.float32]:
    """This thread's buffer of that name as an array of the shape `(rows, columns)`, contiguous, its content arbitrary.

    What the thread was given under that name before is overwritten: who wants to keep samples copies them out first.
    """
    size = rows * columns
    buffer: npt.NDArray[np.float32] | None = getattr(_local, name, None)
    if buffer is None or len(buffer) < size:
        buffer = np.empty(size + size // 8, np.float32)
        setattr(_local, name, buffer)
    return buffer[:size].reshape(rows, columns)
