"""The answer to `flowmo-data --version`. It needs no package of the extra `cli`."""

from __future__ import annotations

from flowmo_data import __version__
from flowmo_data.decoding.registry import explain_choice


def version_text() -> str:
    """Return two lines: the version, and the decoder in use with the reason."""
    return f"flowmo-data, version {__version__}\ndecoder: {explain_choice()}"
