"""Fixtures that several modules of these tests share."""

import threading

import pytest
from native_stages import variants

from flowmo_data import AudioIndex
from flowmo_data.decoding import native
from flowmo_data.runtime import library


@pytest.fixture(params=variants(), scope="module")
def variant(request):
    """Every test runs with every instruction set of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(library.VARIANT_VARIABLE, request.param)
        patch.setattr(native, "_local", threading.local())
        library.open_library.cache_clear()
        assert library.variant() == request.param
        yield request.param
    library.open_library.cache_clear()


@pytest.fixture(scope="module")
def index(folder):
    """The index of a module's folder."""
    pytest.importorskip("pyarrow", reason="the extra index is not installed")
    return AudioIndex.build(folder)


@pytest.fixture(params=["files", "index"])
def files(request, folder):
    """A module's folder, and its index."""
    return request.getfixturevalue("folder" if request.param == "files" else "index")
