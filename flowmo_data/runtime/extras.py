"""Packages that only some uses need, imported when they are."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from flowmo_data.errors import MissingPackageError


def import_extra(module: str, *, user: str, install: str) -> Any:
    """A module of a package that the base install does not bring.

    Args:
        module: its whole name.
        user: what needs it, for the message.
        install: what `pip install` is to be given.

    Raises:
        MissingPackageError: it is not installed, or does not import.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingPackageError(f"{user} needs {package} ({error}): pip install {install}") from error
