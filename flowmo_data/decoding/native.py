"""Decode windows of Layer III with the decoder in `layer3`, which is written in C and optional.

Each thread has a decoder state of its own, of a fixed size.
"""

from __future__ import annotations

import ctypes
import threading
from functools import cache
from typing import Any, Union

import numpy as np
import numpy.typing as npt
import torch

from flowmo_data.runtime import library

VERDICTS = (
    "decoded",
    "its header is not of this stream",
    "its side information has values that are not allowed",
    "its main data starts in packets that are not there",
    "its granules claim more bits than it has",
    "its scale factors end behind their granule",
    "its Huffman codes end behind their granule",
    "it is louder than any signal",
)
"""what the numbers in the result of `decode_window` mean: why a packet is silent"""

Samples = Union["torch.Tensor", "npt.NDArray[Any]"]
"""memory for samples"""
_DTYPES = {"float32": 0, "float16": 1, "bfloat16": 2, "int16": 3}
_CALL_ERRORS = {
    1: "starts must ascend, and end within data",
    2: "the window is not within the run",
    3: "the first packet has no header of Layer III",
    4: "out must have one or two rows",
}
_FLOAT_BYTES = 4
_CACHED_BYTES = 1 << 19
"""32 frames of this size are 16 MB"""
_local = threading.local()

Buffer = bytes | bytearray | memoryview | npt.NDArray[Any]


class _Decoder:
    """The decoder of the instruction set in use."""

    def __init__(self, opened: library.Library) -> None:
        size, pointer, long = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int64
        state_bytes = opened.functions[f"layer3_state_bytes_{opened.variant}"]
        state_bytes.restype = size
        self.state_bytes: int = state_bytes()
        self.decode = opened.functions[f"layer3_decode_{opened.variant}"]
        self.stream = opened.functions[f"layer3_stream_{opened.variant}"]
        self.stream.argtypes = (pointer, pointer, size)
        self.decode.argtypes = (
            *(pointer, pointer, size, pointer, pointer, ctypes.c_uint32),  # state, data, size, starts, breaks, packets
            *(long, long),  # skip, count
            *(pointer, long, ctypes.c_int, ctypes.c_int),  # out, plane bytes, planes, dtype
            *(ctypes.c_bool, pointer),  # streamed, verdicts
        )


_decoder = cache(_Decoder)


def decode_window(
    data: Buffer,
    starts: npt.NDArray[np.uint32],
    *,
    skip: int,
    out: Samples,
    breaks: npt.NDArray[np.uint8] | None = None,
    streamed: bool = False,
) -> npt.NDArray[np.uint8]:
    """Decode a window of a run of packets.

    Args:
        data: whole packets of one stream, one right after the other.
        starts: byte at which each packet starts, and at the end where the last one ends.
        skip: samples per channel of the run before the window.
        out: where the window goes: a tensor or an array of the shape `(1 or 2, num_samples)`, each row contiguous. Its
            dtype is float32, float16, bfloat16 or int16. One row of a stereo stream is the mean of both channels; two
            rows of a mono stream are alike.
        breaks: for each packet, not 0 if bytes were lost before it.
        streamed: write float32 past the processor's caches: faster if `out` is not in them, and is read much later.

    Returns:
        For each packet, why it is silent: an index of `VERDICTS`. Packets that the window does not depend on have 0.

    Raises:
        ValueError: an argument does not fit the others.
        MissingPackageError: there is no native decoder.
    """
    decoder = _decoder(library.open_library())
    planes, count = out.shape
    place, plane_bytes = _rows(out)
    verdicts = np.empty(len(starts) - 1, np.uint8)
    error = decoder.decode(
        _state(decoder),
        _pointer(data),
        len(data),
        _pointer(np.ascontiguousarray(starts, np.uint32)),
        None if breaks is None else _pointer(np.ascontiguousarray(breaks, np.uint8)),
        len(verdicts),
        skip,
        count,
        place,
        plane_bytes,
        planes,
        _dtype_number(out.dtype),
        streamed,
        _pointer(verdicts),
    )
    if error:
        raise ValueError(_CALL_ERRORS[error])
    return verdicts


def is_streamed(samples: torch.Tensor) -> bool:
    """Return whether a frame's samples are best written past the caches: a batch of such frames does not fit them."""
    return samples.dtype == torch.float32 and samples.nbytes > _CACHED_BYTES and library.is_available()


def copy_streamed(out: npt.NDArray[Any], source: npt.NDArray[Any]) -> None:
    """Copy contiguous samples of 4 bytes past the processor's caches: see `decode_window`.

    Args:
        out: where they go.
        source: of the same shape.

    Raises:
        ValueError: they are something else.
    """
    if out.shape != source.shape or not out.itemsize == source.itemsize == _FLOAT_BYTES:
        raise ValueError(f"{source.shape} of {source.dtype} do not fit {out.shape} of {out.dtype}")
    _decoder(library.open_library()).stream(_pointer(source), _pointer(out), out.size)


def _pointer(buffer: Buffer) -> Any:
    """Return what ctypes passes as the address of a buffer, and keeps alive until the call is over."""
    try:
        return ctypes.byref(ctypes.c_char.from_buffer(buffer))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # it is read-only, or empty
        return buffer if isinstance(buffer, bytes) else np.frombuffer(buffer, np.uint8).ctypes


def _rows(out: torch.Tensor | npt.NDArray[Any]) -> tuple[int, int]:
    """Return the address of the first row, and how many bytes further on the second one starts."""
    writable = out.flags.writeable if isinstance(out, np.ndarray) else out.is_cpu
    if not writable:
        raise ValueError("out must be writable, and in the memory of the CPU")
    if isinstance(out, np.ndarray):
        place, (row_bytes, sample_bytes) = out.__array_interface__["data"][0], out.strides
    else:
        (row, sample), size = out.stride(), out.itemsize
        place, row_bytes, sample_bytes = out.data_ptr(), row * size, sample * size
    if sample_bytes != out.itemsize and out.shape[1] > 1:
        raise ValueError(f"the rows of out are not contiguous; it must have rows of {', '.join(_DTYPES)}")
    return place, row_bytes


@cache
def _dtype_number(dtype: Any) -> int:
    """Return the number of a NumPy or torch dtype in the library."""
    number = _DTYPES.get(str(dtype).removeprefix("torch."))
    if number is None:
        raise ValueError(f"out is {dtype}; it must be {', '.join(_DTYPES)}")
    return number


def _state(decoder: _Decoder) -> ctypes.Array[ctypes.c_char]:
    """Return the calling thread's decoder state."""
    state: ctypes.Array[ctypes.c_char] | None = getattr(_local, "state", None)
    if state is None:
        state = _local.state = ctypes.create_string_buffer(decoder.state_bytes)
    return state
