"""The decoders for MPEG audio: which there are, and which one is taken."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from flowmo_data.errors import FlowmoDataError, OptionError
from flowmo_data.runtime import library
from flowmo_data.runtime.extras import import_extra
from flowmo_data.tracks.mpeg import Run

DecodeRun = Callable[[Run], "npt.NDArray[np.float32]"]
"""A function from a run to float32 samples of the shape `(run.num_samples, channels)`, nominally in [-1, 1] (louder
samples are not clipped). The array is valid until the thread decodes again. It is shorter if the decoder refused a
packet. The function never raises because of the bytes."""

DECODERS = ("native", "minimp3py", "soundfile")
"""the names that `decoder=` takes beside "auto", the first one preferred"""

_RUN_DECODERS = {"minimp3py": "flowmo_data.decoding.minimp3", "soundfile": "flowmo_data.decoding.libsndfile"}
"""decoders that take a run and know nothing of windows or damage, with their modules"""


def choose_decoder(name: str) -> str:
    """Return the decoder that `name` means on this machine.

    Args:
        name: one of `DECODERS`, or "auto" for the first of them that is installed.

    Raises:
        OptionError: there is no decoder of this name.
        MissingPackageError: it is not installed.
    """
    if name == "auto":
        return "native" if library.is_available() else choose_run_decoder("native")
    if name not in DECODERS:
        raise OptionError(f"decoder={name!r}: there is no such decoder; use one of {', '.join(('auto', *DECODERS))}")
    if name == "native":
        library.variant()  # raises if it is not there
    else:
        load_run_decoder(name)
    return name


def choose_run_decoder(name: str) -> str:
    """Return the decoder of runs that `name` means: for "native", the one that it leaves Layers I and II to."""
    if name in _RUN_DECODERS:
        return name
    return next(decoder for decoder in _RUN_DECODERS if find_spec(decoder) or decoder == DECODERS[-1])


def load_run_decoder(name: str) -> DecodeRun:
    """Import a decoder of runs.

    Raises:
        MissingPackageError: its package is not installed, or does not import.
    """
    import_extra(name, user=f"decoder={name!r}")
    decode: DecodeRun = import_module(_RUN_DECODERS[name]).decode
    return decode


def explain_choice(name: str = "auto") -> str:
    """Return the decoder that `name` means on this machine, and why, in a few words. Never raises.

    The reason is the instruction set of "native", or the reason why "auto" does not mean "native".
    """
    try:
        chosen = choose_decoder(name)
        if chosen == "native":
            return f"native ({library.variant()})"
    except FlowmoDataError as error:
        return f"none, as {error}"
    return f"{chosen}, as {library.unavailable()}" if name == "auto" else chosen
