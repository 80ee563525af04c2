"""Fixtures that several modules of tests share."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import programs
import pytest
import torch
import torch.utils.data
from builders import make_mp3

import flowmo_data


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


@pytest.fixture(scope="session", autouse=True)
def _short_waits():
    """A DataLoader that is dropped after a worker's exception waits so long for each of its workers: 5 s otherwise."""
    patch = pytest.MonkeyPatch()
    patch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.5)
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def _one_thread_for_each_process_of_tests():
    """Under pytest-xdist, processes of tests share the cores: threads of torch that wait for each other waste them."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _programs_import_the_package_under_test():
    """And not one that is installed: those that tests start, and those that these start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(flowmo_data.__file__).parents[1]), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_forkserver():
    """The server that workers are forked from, by the start method of that name, imports torch once for all of them."""
    multiprocessing.set_forkserver_preload(["torch"])


@pytest.fixture(autouse=True)
def _no_program_outlives_its_test():
    yield
    programs.end_all()


@pytest.fixture(scope="session", autouse=True)
def _interpreters_end_with_the_session():
    yield
    programs.close_interpreters()
