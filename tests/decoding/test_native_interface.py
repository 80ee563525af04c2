"""How the decoder in C is called: arguments, threads, instruction sets, and following packets."""

import re
import threading

import numpy as np
import pytest
import torch
from layer3_cases import load_vector, run_of
from layer3_random import random_stream
from layer3_writer import (
    STEREO,
    Format,
)
from native_cases import (
    stream_once,
    window,
)
from native_stages import variants

from flowmo_data import MissingPackageError, OptionError
from flowmo_data.decoding import native
from flowmo_data.decoding.registry import explain_choice
from flowmo_data.runtime import library

pytestmark = [
    pytest.mark.skipif(not variants(), reason="the decoder in C is not built; it is optional"),
    pytest.mark.usefixtures("variant"),
]


def test_nothing_but_the_window_is_written():
    stream = stream_once(1, Format(44_100, STEREO))
    whole, _ = window(stream)
    starts = np.cumsum([0, *map(len, stream)]).astype(np.uint32)
    for dtype in (np.float32, np.int16):
        memory = np.full((2, 400), 77, dtype)
        native.decode_window(b"".join(stream), starts, skip=1_000, out=memory[:, 100:301])
        assert (memory[:, :100] == 77).all()
        assert (memory[:, 301:] == 77).all()
        if dtype is np.float32:
            assert np.array_equal(memory[:, 100:301], whole[:, 1_000:1_201].numpy())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("num_rows", [1, 2])
def test_past_the_caches_goes_the_same(dtype, num_rows):
    stream = stream_once(1, Format(44_100, STEREO))
    data, starts = b"".join(stream), np.cumsum([0, *map(len, stream)]).astype(np.uint32)
    for skip, length in ((0, 4_000), (1_003, 1), (1_003, 15), (700, 2_221), (5, 16), (1_151, 3_001)):
        for shift in (0, 1, 13):
            memory = [torch.full((num_rows, 5_000), 7, dtype=dtype) for _ in range(2)]
            for streamed, samples in enumerate(memory):
                out = samples[:, shift : shift + length]
                native.decode_window(data, starts, skip=skip, out=out, streamed=bool(streamed))
            assert torch.equal(*memory)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 100, 1_000])
def test_copies_past_the_caches_are_copies(length):
    for shift in range(17):
        source, out = np.arange(2_000, dtype=np.int32), np.zeros(2_000, np.int32)
        native.copy_streamed(out[shift : shift + length], source[3 : 3 + length])
        assert np.array_equal(out[shift : shift + length], source[3 : 3 + length])
        assert not out[:shift].any()
        assert not out[shift + length :].any()
    with pytest.raises(ValueError, match="do not fit"):
        native.copy_streamed(out[:3], source[:4])


def test_threads_do_not_disturb_each_other():
    streams = [random_stream(seed, Format(44_100, STEREO), num_packets=6) for seed in range(4)]
    expected = [window(stream)[0] for stream in streams]
    wrong = []

    def work(number):
        for _ in range(50):
            if not torch.equal(window(streams[number])[0], expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_arrays_are_taken_as_tensors_are():
    stream = stream_once(0, Format(44_100, STEREO))
    data, starts = b"".join(stream), np.cumsum([0, *map(len, stream)])
    for given_data in (data, bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
        out = np.empty((2, 3_000), np.float32)
        native.decode_window(given_data, starts.astype(np.uint32), skip=500, out=out)
        assert np.array_equal(out, window(stream, 500, 3_500)[0].numpy())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"skip": -1}, "window is not within the run"),
        ({"skip": 5 * 1_152 - 9}, "window is not within the run"),
        ({"starts": [0, 400, 300, 1_000]}, "starts must ascend"),
        ({"starts": [0, 400, 10**8]}, "starts must ascend, and end within data"),
        ({"starts": [0]}, "starts must ascend, and end within data"),
        ({"starts": [1, 400]}, "the first packet has no header of Layer III"),
        ({"starts": [0, 3]}, "the first packet has no header of Layer III"),
        ({"out": torch.zeros(3, 10)}, "one or two rows"),
        ({"out": torch.zeros(0, 10)}, "one or two rows"),
        ({"out": torch.zeros(2, 10, dtype=torch.float64)}, "out is torch.float64"),
        ({"out": torch.zeros(10, 2).T}, "rows of out are not contiguous"),
    ],
)
def test_what_does_not_fit_is_an_error(change, message):
    stream = stream_once(0, Format(44_100, STEREO))
    arguments = {"starts": np.cumsum([0, *map(len, stream)]), "skip": 0, "out": torch.zeros(2, 10), **change}
    starts = np.array(arguments.pop("starts"), np.uint32)
    with pytest.raises(ValueError, match=message):
        native.decode_window(b"".join(stream), starts, **arguments)


def test_an_instruction_set_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setenv(library.VARIANT_VARIABLE, "avx1024")
    library.open_library.cache_clear()
    with pytest.raises(OptionError, match=r"FLOWMO_DATA_SIMD='avx1024'.*take one of .*baseline"):
        library.variant()
    library.open_library.cache_clear()


def test_without_the_library_it_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "none.so")
    library.open_library.cache_clear()
    assert not library.is_available()
    assert library.unavailable() == "the decoder in C is not built"
    assert explain_choice().endswith(", as the decoder in C is not built")
    with pytest.raises(MissingPackageError, match="Install a C compiler"):
        native.decode_window(b"", np.zeros(1, np.uint32), skip=0, out=np.zeros((1, 1), np.float32))
    library.open_library.cache_clear()


def test_a_library_that_does_not_load_is_not_taken(monkeypatch, tmp_path):
    file = tmp_path / "text.so"
    file.write_text("no library")
    monkeypatch.setattr(library, "LIBRARY", file)
    library.open_library.cache_clear()
    assert not library.is_available()
    assert re.search(r"as the decoder in C does not load \(.*text\.so", explain_choice())
    library.open_library.cache_clear()


def test_the_fastest_instruction_set_is_taken(monkeypatch):
    monkeypatch.delenv(library.VARIANT_VARIABLE)
    library.open_library.cache_clear()
    assert library.variant() == variants()[0]
    library.open_library.cache_clear()


def test_runs_of_the_package_are_taken_as_they_are():
    stream = load_vector("test46")[0]
    run = run_of(stream)
    out = torch.empty(2, run.num_samples)
    native.decode_window(run.data, np.array(run.starts, np.uint32), skip=0, out=out)
    assert torch.equal(out, window(stream)[0])
