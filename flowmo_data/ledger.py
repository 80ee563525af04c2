"""What went wrong with files: raised or warned of, whichever was asked for; each kind once for each file."""

from __future__ import annotations

import logging

from flowmo_data.errors import AudioFileError, SampleRateError
from flowmo_data.options import Options

logger = logging.getLogger(__name__)


class Ledger:
    """Is told of everything that is wrong with files. There is one in each process."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._told: set[tuple[str, str]] = set()

    def refuse(self, error: AudioFileError) -> None:
        """A file, or a frame of it, cannot be read: raise the error, or warn of it."""
        options = self._options
        if (options.on_other_rate if isinstance(error, SampleRateError) else options.on_error) == "raise":
            raise error
        self._warn("skipped", error.path, f"skipped {error}")

    def note_damage(self, path: str, damage: str) -> None:
        """Something inside a file is wrong or left out."""
        self._warn("damage", path, f"{path}: {damage}; the rest is read")

    def note_silence(self, path: str, start: int, num_lost: int) -> None:
        """Samples are silence because what stands there cannot be decoded."""
        self._warn(
            "silence",
            path,
            f"{path}: {num_lost} samples from {max(start, 0)} on cannot be decoded and are silence; more of it may be",
        )

    def _warn(self, kind: str, path: str, message: str) -> None:
        if (kind, path) not in self._told:
            self._told.add((kind, path))
            logger.warning("%s", message)
