import random

import numpy as np
import pytest
from builders import DATA, EVERY_RUN_DECODER, make_mp3, packets, walk_bytes

from flowmo_data.decoding.recovery import decode_run
from flowmo_data.decoding.registry import load_run_decoder
from flowmo_data.tracks.mpeg import build_run, packet_range

FILES = sorted(path.name for path in DATA.glob("*.mp3"))


def reader(data):
    return lambda start, stop: data[start:stop]


def whole_decode(data, section, decode):
    return decode(build_run(section, 0, section.num_packets, reader(data))).copy()


def window(data, section, decode, start, stop):
    run = build_run(section, *packet_range(section, start, stop), reader(data))
    samples = decode(run)
    assert len(samples) == run.num_samples
    skipped = start + section.delay - run.first * section.header.samples_per_packet
    return samples[skipped : skipped + stop - start]


@pytest.fixture(scope="module", params=[*FILES, "stereo", "mono", "48000", "22050 mono"])
def data(request, tmp_path_factory):
    if request.param.endswith(".mp3"):
        return (DATA / request.param).read_bytes()
    rate = {"48000": 48_000, "22050 mono": 22_050}.get(request.param, 44_100)
    path = tmp_path_factory.mktemp("runs") / "a.mp3"
    return make_mp3(path, 4 * rate, rate=rate, channels=1 if "mono" in request.param else 2).read_bytes()


@pytest.mark.parametrize("decoder", EVERY_RUN_DECODER)
def test_every_window_is_a_slice_of_the_whole(data, decoder):
    decode = load_run_decoder(decoder)
    (section,) = walk_bytes(data).sections
    whole = whole_decode(data, section, decode)[section.delay :]
    draw = random.Random(1)
    edges = [(0, min(100, section.num_samples)), (section.num_samples - 1, section.num_samples)]
    for _ in range(25):
        start = draw.randrange(section.num_samples)
        edges.append((start, draw.randint(start + 1, section.num_samples)))
    for start, stop in edges:
        assert np.array_equal(window(data, section, decode, start, stop), whole[start:stop]), (start, stop)


@pytest.mark.parametrize("decoder", EVERY_RUN_DECODER)
def test_a_stream_joined_midway_keeps_its_length(data, decoder):
    """Its first packets want main data from packets that are not there: they are silent, and nothing shifts."""
    decode = load_run_decoder(decoder)
    whole = packets(data)
    if len(whole) < 40:
        return
    (section,) = walk_bytes(data).sections
    (late,) = walk_bytes(b"".join(whole[20:])).sections
    late_data = b"".join(whole[20:])
    late_samples = whole_decode(late_data, late, decode)
    per_packet = section.header.samples_per_packet
    assert len(late_samples) == late.num_packets * per_packet
    expected = whole_decode(data, section, decode)[20 * per_packet :]
    assert np.allclose(late_samples[12 * per_packet :], expected[12 * per_packet :], atol=1e-6)


def test_a_run_is_about_ten_packets_longer_than_its_window(data):
    (section,) = walk_bytes(data).sections
    per_packet = section.header.samples_per_packet
    for packet in range(0, section.num_packets - 2, 7):
        start = max(packet * per_packet - section.delay, 0)
        first, stop = packet_range(section, start, min(start + per_packet, section.num_samples))
        assert stop - first <= 24
        assert first <= packet


@pytest.mark.parametrize("decoder", EVERY_RUN_DECODER)
def test_a_gap_is_closed_and_what_dangles_is_silent(mp3, decoder):
    data = mp3.read_bytes()
    (section,) = walk_bytes(data).sections
    decode = load_run_decoder(decoder)
    whole = whole_decode(data, section, decode)
    at = section.offsets[50] + 100
    hurt = data[:at] + random.Random(0).randbytes(1_000) + data[at:]
    (damaged,) = walk_bytes(hurt).sections
    samples = decode_run(build_run(damaged, 0, damaged.num_packets, reader(hurt)), decode)
    assert len(samples) == len(whole)
    assert np.array_equal(samples[: 50 * 1_152], whole[: 50 * 1_152])
    assert np.allclose(samples[55 * 1_152 :], whole[55 * 1_152 :], atol=1e-6)
    samples = samples.copy()
    assert np.array_equal(
        window(hurt, damaged, lambda run: decode_run(run, decode), 40_000, 90_000),
        samples[damaged.delay :][40_000:90_000],
    )


@pytest.mark.parametrize("decoder", EVERY_RUN_DECODER)
def test_packets_that_a_decoder_refuses_are_silent_and_the_others_right(mp3, decoder):
    data = bytearray(mp3.read_bytes())
    decode = load_run_decoder(decoder)
    (section,) = walk_bytes(bytes(data)).sections
    whole = whole_decode(bytes(data), section, decode)
    for packet in (60, 61, 90):  # big_values past 288 in every granule: no decoder can decode it
        start = section.offsets[packet] + 4
        data[start + 2 : start + 32] = b"\xff" * 30
    run = build_run(section, 0, section.num_packets, reader(bytes(data)))
    samples = decode_run(run, decode)
    assert len(samples) == len(whole)
    assert run.muted <= {60, 61, 62, 90, 91}
    for start, stop in ((0, 60), (70, 90), (100, section.num_packets)):
        assert np.allclose(samples[start * 1_152 : stop * 1_152], whole[start * 1_152 : stop * 1_152], atol=1e-6)


def test_a_decoder_that_gives_nothing_gives_silence():
    data = (DATA / "mpeg25_8000_mono.mp3").read_bytes()
    (section,) = walk_bytes(data).sections
    run = build_run(section, 0, 12, reader(data))
    samples = decode_run(run, lambda run: np.empty((0, run.header.channels), np.float32))
    assert samples.shape == (run.num_samples, 1)
    assert not samples.any()
    assert run.muted == set(range(12))
