"""Memory that a thread decodes into, again and again.

A fresh 1.5 MB array costs a page fault every 4 kB, up to a fifth of the cost of decoding into it.
"""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

_local = threading.local()


def scratch(rows: int, columns: int, *, name: str = "decoded") -> npt.NDArray[np.float32]:
    """Return this thread's buffer of that name as an array `(rows, columns)`, contiguous, with arbitrary content.

    It overwrites the thread's last array of that name. To keep samples, copy them out first.
    """
    size = rows * columns
    buffer: npt.NDArray[np.float32] | None = getattr(_local, name, None)
    if buffer is None or len(buffer) < size:
        buffer = np.empty(size + size // 8, np.float32)
        setattr(_local, name, buffer)
    return buffer[:size].reshape(rows, columns)
