"""Fixtures that several modules of these tests share."""

import threading

import pytest
from native_stages import variants

from flowmo_data.decoding import native


@pytest.fixture(params=variants(), scope="module")
def variant(request):
    """Every test runs with every instruction set of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(native.VARIANT_VARIABLE, request.param)
        patch.setattr(native, "_local", threading.local())
        native._library.cache_clear()
        assert native.variant() == request.param
        yield request.param
    native._library.cache_clear()
