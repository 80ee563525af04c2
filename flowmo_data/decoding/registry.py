"""Which decoder there is, and which one is taken."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from flowmo_data.errors import MissingPackageError, OptionError
from flowmo_data.tracks.mpeg import Run

Decode = Callable[[Run], "npt.NDArray[np.float32]"]
"""What a decoder is: a function from a run to float32 samples of the shape `(run.num_samples, channels)`, nominally
in [-1, 1] (louder ones are not clipped). The array is valid until the thread decodes again. It is shorter where the
decoder refused a packet. It never raises because of the bytes."""

DECODERS = ("minimp3py", "soundfile")
"""the names that `decoder=` takes beside "auto", the first one preferred"""

_MODULES = {"minimp3py": "flowmo_data.decoding.minimp3", "soundfile": "flowmo_data.decoding.libsndfile"}


def choose_decoder(name: str) -> str:
    """The decoder that `name` means on this machine.

    Args:
        name: one of `DECODERS`, or "auto" for the first of them that is installed.

    Raises:
        OptionError: there is no decoder of this name.
        MissingPackageError: it is not installed.
    """
    if name == "auto":
        return next(decoder for decoder in DECODERS if find_spec(decoder) or decoder == DECODERS[-1])
    if name not in DECODERS:
        raise OptionError(f"decoder={name!r}: there is no such decoder; take one of {', '.join(('auto', *DECODERS))}")
    load_decoder(name)
    return name


def load_decoder(name: str) -> Decode:
    """The decoder's function. Imports the decoder's package.

    Raises:
        MissingPackageError: the package is not installed, or does not import.
    """
    try:
        decode: Decode = import_module(_MODULES[name]).decode
    except ImportError as error:
        raise MissingPackageError(
            f"decoder={name!r}: {name} cannot be imported ({error}). Install it with "
            "CFLAGS='-O3 -march=native' pip install 'flowmo_data[minimp3py]', or take decoder='soundfile'."
        ) from error
    return decode
