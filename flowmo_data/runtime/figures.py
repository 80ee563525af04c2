"""Drawing to files, with matplotlib if it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowmo_data.errors import FlowmoDataError
from flowmo_data.runtime.extras import import_extra

COLORS = ("#1f6f8b", "#e07a5f", "#3d405b", "#81b29a", "#f2cc8f", "#9d4edd")


def import_figure() -> Any:
    """Import `matplotlib.figure.Figure`, which draws without a screen.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    figure = import_extra("matplotlib.figure", user="--plot")
    figure.mpl.rcParams["svg.hashsalt"] = "flowmo_data"
    return figure.Figure


def check_format(path: Path) -> None:
    """Raise before the work if a picture of this name could not be drawn.

    Raises:
        MissingPackageError: matplotlib is not installed.
        FlowmoDataError: its suffix is not that of a picture.
    """
    formats = import_figure()().canvas.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in formats:
        raise FlowmoDataError(f"--plot {path}: its name must end in one of {', '.join(f'.{name}' for name in formats)}")
