"""The package's library in C, which is optional: opened, with the functions of one instruction set.

The library is plain C, called through ctypes: it needs no Python headers, fits all versions of Python, and runs without
the GIL.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Any

from flowmo_data.errors import MissingPackageError, OptionError

LIBRARY = Path(__file__).parents[1] / "_native.so"
VARIANT_VARIABLE = "FLOWMO_DATA_SIMD"

_NEEDED = ("layer3_decode_baseline", "resample_by_rows_baseline", "mpeg_follow")
"""functions that an older build may lack"""


class Library:
    """The library, opened."""

    def __init__(self) -> None:
        self.functions = ctypes.CDLL(str(LIBRARY))
        for name in _NEEDED:
            self.functions[name]
        self.functions.layer3_open.restype = ctypes.c_char_p
        self.variants: tuple[str, ...] = tuple(self.functions.layer3_open().decode().split())
        """the names of the instruction sets that this processor has, the fastest first"""
        self.variant = os.environ.get(VARIANT_VARIABLE) or self.variants[0]
        """the one in use"""
        if self.variant not in self.variants:
            raise OptionError(
                f"{VARIANT_VARIABLE}={self.variant!r}: this processor, or this build, does not have it; "
                f"take one of {', '.join(self.variants)}"
            )


@cache
def open_library() -> Library:
    """Return the library.

    Raises:
        MissingPackageError: it has not been built, or does not load.
        OptionError: the environment variable FLOWMO_DATA_SIMD names an instruction set that there is not.
    """
    try:
        return Library()
    except (OSError, AttributeError) as error:  # AttributeError: a function is missing, as in an older build
        raise MissingPackageError(
            f"decoder='native': the decoder in C is not there ({error}). Install a C compiler and flowmo_data again, "
            "or take decoder='soundfile'."
        ) from error


def unavailable() -> str:
    """Return in a few words why there is no library on this machine; an empty string if there is one."""
    try:
        open_library()
    except MissingPackageError as error:
        return (
            f"the decoder in C does not load ({error.__cause__})"
            if LIBRARY.exists()
            else "the decoder in C is not built"
        )
    return ""


def is_available() -> bool:
    """Return whether the library has been built, and loads."""
    return not unavailable()


def variant() -> str:
    """Return the name of the instruction set in use. Raises as `open_library`."""
    return open_library().variant


def variants() -> tuple[str, ...]:
    """Return the names of the instruction sets that this processor has, the fastest first; none without a library."""
    return open_library().variants if is_available() else ()


def function(name: str) -> Any:
    """Return a function of the library. Raises as `open_library`, and AttributeError if it has no such function."""
    return open_library().functions[name]
