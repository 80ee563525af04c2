"""Packages that only some features need, imported on demand."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from flowmo_data.errors import MissingPackageError

_INSTALL = {
    "av": "pip install 'flowmo_data[av]'",
    "librosa": "pip install librosa",
    "matplotlib": "pip install 'flowmo_data[plot]'",
    "minimp3py": "CFLAGS='-O3 -march=native' pip install 'flowmo_data[minimp3py]'",
    "torchcodec": "pip install 'flowmo_data[torchcodec]', and FFmpeg",
    "fsspec": "pip install 'flowmo_data[remote]'",
    "aiohttp": "pip install 'flowmo_data[remote]'",
    "botocore": "pip install 'flowmo_data[remote]'",
    "pyarrow": "pip install 'flowmo_data[index]'",
}


def import_extra(module: str, *, user: str) -> Any:
    """Import a module that the base install does not include.

    Args:
        module: its full name.
        user: the feature that needs it, for the message.

    Raises:
        MissingPackageError: its package is not installed, or does not import.
    """
    try:
        return import_module(module)
    except (ImportError, OSError, RuntimeError) as error:  # the latter two: a shared library does not load
        package = module.partition(".")[0]
        raise MissingPackageError(f"{user} needs {package} ({error}): {_INSTALL[package]}") from error


@cache
def is_installed(module: str) -> bool:
    """Return whether a module that the base install does not include is there. It is not imported."""
    return find_spec(module) is not None
