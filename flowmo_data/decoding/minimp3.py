"""Decode a run with minimp3, through minimp3py (https://github.com/f0k/minimp3py)."""

from __future__ import annotations

import ctypes
import sys
from importlib.metadata import version

import minimp3py
import numpy as np
import numpy.typing as npt
from minimp3py import backend

from flowmo_data.runtime.scratch import scratch
from flowmo_data.tracks.mpeg import Run
from flowmo_data.tracks.mpeg.tags import parse_info_packet

_LEAKS = version("minimp3py") == "0.2.3"
_REFERENCES = 3
"""to a number in `_release_leaked`, if none is leaked: the tuple's, the loop's and `getrefcount`'s own"""


def decode(run: Run) -> npt.NDArray[np.float32]:
    """Decode a run: see `registry.DecodeRun`."""
    # minimp3 needs three packets to find the length of free format.
    num_behind = 0 if run.header.bitrate else 2 * run.header.samples_per_packet
    out = scratch(run.num_samples + num_behind, run.header.channels)
    data = run.data + run.silent_packet() * 2 if num_behind else run.data
    if parse_info_packet(bytes(data[: run.starts[1]]), run.header):  # of a file that was joined to another
        data = bytearray(run.silent_packet()) + data[run.starts[1] :]
    try:
        result = backend.read_buffer(data, 0, 0, out)
    except minimp3py.Mp3Error:
        return out[:0]
    if _LEAKS:
        _release_leaked(result)
    return out[: max(result[0] - num_behind, 0)]


def _release_leaked(result: tuple[int, ...]) -> None:
    """Give back the numbers that minimp3py 0.2.3 leaks: it keeps a reference to each, 64 bytes a call."""
    for number in result:
        if sys.getrefcount(number) == _REFERENCES + 1:
            ctypes.pythonapi.Py_DecRef(ctypes.py_object(number))
