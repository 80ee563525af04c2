import sys

import numpy as np
import pytest
import soundfile
from builders import DATA, EVERY_DECODER, EVERY_RUN_DECODER, make_mp3, opened, read, walk_bytes

from flowmo_data import MissingPackageError, OptionError
from flowmo_data.decoding import choose_decoder
from flowmo_data.decoding.registry import load_run_decoder
from flowmo_data.runtime import library
from flowmo_data.runtime.scratch import scratch
from flowmo_data.tracks.mpeg import build_run


def whole(data, decoder):
    (section,) = walk_bytes(data).sections
    run = build_run(section, 0, section.num_packets, lambda start, stop: data[start:stop])
    return load_run_decoder(decoder)(run)[section.delay :][: section.num_samples].copy()


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.mp3")))
def test_decoders_agree(name):
    if any(parameter.marks and parameter.marks[0].args[0] for parameter in EVERY_RUN_DECODER):
        pytest.skip("only one decoder is installed")
    data = (DATA / name).read_bytes()
    one, other = (whole(data, decoder) for decoder in ("minimp3py", "soundfile"))
    assert np.abs(one - other).max() < 1e-5


@pytest.mark.parametrize("decoder", EVERY_RUN_DECODER)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_run_of_a_whole_file_is_what_the_decoder_makes_of_the_file(tmp_path, decoder, channels):
    path = make_mp3(tmp_path / "a.mp3", 100_000, channels=channels)
    if decoder == "minimp3py":
        import minimp3py

        expected = minimp3py.read(str(path))[0]
    else:
        expected = soundfile.read(path, dtype="float32", always_2d=True)[0]
    assert np.array_equal(whole(path.read_bytes(), decoder), expected)


@pytest.mark.parametrize("decoder", EVERY_RUN_DECODER)
def test_layer_one_is_decoded(decoder):
    packet = bytes.fromhex("ffffc404") + bytes(12 * 384_000 // 48_000 * 4 - 4)
    samples = whole(packet * 25, decoder)
    assert samples.shape == (25 * 384, 2)
    assert not samples.any()


@pytest.mark.parametrize("decoder", EVERY_RUN_DECODER)
@pytest.mark.parametrize("name", ["layer2_named_mp3.mp3", "cbr32_low_bitrate.mp3", "freeformat_400k.mp3"])
def test_one_packet_alone_is_decoded(decoder, name):
    data = (DATA / name).read_bytes()
    (section,) = walk_bytes(data).sections
    run = build_run(section, 7, 8, lambda start, stop: data[start:stop])
    assert load_run_decoder(decoder)(run).shape == (1_152, 2)


def test_auto_is_the_first_that_is_installed():
    expected = next(p.values[0] for p in EVERY_DECODER if not p.marks[0].args[0])
    assert choose_decoder("auto") == expected


def test_an_unknown_decoder_names_those_there_are():
    with pytest.raises(
        OptionError, match="decoder='ffmpeg': there is no such decoder; use one of auto, native, minimp3py"
    ):
        choose_decoder("ffmpeg")


def test_a_decoder_that_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "minimp3py", None)
    monkeypatch.delitem(sys.modules, "flowmo_data.decoding.minimp3", raising=False)
    with pytest.raises(MissingPackageError, match=r"pip install 'flowmo_data\[minimp3py\]'"):
        choose_decoder("minimp3py")
    assert issubclass(MissingPackageError, ImportError)


def test_auto_does_without_minimp3py(monkeypatch):
    monkeypatch.setattr("flowmo_data.decoding.registry.find_spec", lambda name: None)
    monkeypatch.setattr(library, "is_available", lambda: False)
    assert choose_decoder("auto") == "soundfile"


def test_scratch_is_the_same_memory_again():
    first = scratch(1_000, 2)
    assert scratch(500, 1).ctypes.data == first.ctypes.data
    assert scratch(10, 2).flags.c_contiguous


@pytest.mark.parametrize("decoder", EVERY_RUN_DECODER)
def test_decoding_leaks_nothing(decoder):
    import tracemalloc

    data = (DATA / "mpeg25_8000_mono.mp3").read_bytes()
    (section,) = walk_bytes(data).sections
    run = build_run(section, 5, 8, lambda start, stop: data[start:stop])
    decode = load_run_decoder(decoder)
    for _ in range(10):
        decode(run)
    tracemalloc.start()
    for _ in range(1_000):
        decode(run)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 20_000  # minimp3py alone leaks 64 bytes a call


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("delay", [None, 0, 40, 1_000, 1_151, 1_600, 2_345])
@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 24_000, 44_100])
def test_soundfile_decodes_windows_as_the_whole_of_any_delay(tmp_path, rate, delay, channels):
    path = make_mp3(tmp_path / "a.mp3", 40_000, rate=rate, channels=channels)
    data = bytearray(path.read_bytes())
    at = data.index(b"LAME") + 21
    if delay is not None:
        both = int.from_bytes(data[at : at + 3], "big") & 0xFFF | delay << 12
        data[at : at + 3] = both.to_bytes(3, "big")
        path.write_bytes(data)
    whole = soundfile.read(path, dtype="float32", always_2d=True)[0]
    (part,) = opened(path).parts
    assert part.num_samples == len(whole)
    for start, stop in [(0, len(whole)), (0, 100), (700, 5_000), (12_345, 30_000), (len(whole) - 99, len(whole))]:
        assert np.array_equal(read(part, start, stop, "soundfile").samples, whole[start:stop])
