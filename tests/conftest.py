"""Fixtures that several modules of tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import make_mp3


@pytest.fixture(scope="session")
def mp3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds of stereo."""
    return make_mp3(tmp_path_factory.mktemp("mp3") / "music.mp3", 12 * 44_100 + 123)


@pytest.fixture(scope="session")
def mp3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven MP3s of different lengths."""
    folder = tmp_path_factory.mktemp("folder")
    for index in range(7):
        make_mp3(folder / f"{index}.mp3", 30_000 + 17_000 * index, seed=index)
    return folder
