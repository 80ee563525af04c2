"""FLAC streams: as their headers describe them, and otherwise."""

import os
import time

import numpy as np
import pytest
import soundfile
from builders import RATE, music, opened, read
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmo_data import AudioFileError, AudioIndex
from flowmo_data.tracks.flac import is_as_stated, walk_flac
from flowmo_data.tracks.flac_headers import FrameHeader, StreamInfo, parse_frame_header


def make_flac(path, num_samples, *, seed=0, channels=2, rate=RATE, subtype="PCM_16"):
    """A FLAC file; gives what soundfile reads from it."""
    soundfile.write(path, music(num_samples, seed=seed, channels=channels), rate, format="FLAC", subtype=subtype)
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


def unstate(path, num_samples=0):
    """Write another length into the header: 0 for one that was not known when the header was written."""
    data = bytearray(path.read_bytes())
    data[21] = data[21] & 0xF0 | num_samples >> 32
    data[22:26] = (num_samples & 0xFFFF_FFFF).to_bytes(4, "big")
    path.write_bytes(data)


def assert_reads(parts, *signals):
    assert [part.num_samples for part in parts] == [len(signal) for signal in signals]
    for part, signal in zip(parts, signals, strict=True):
        assert np.array_equal(read(part, 0, part.num_samples).samples, signal)
        draw = np.random.default_rng(0)
        for start, stop in np.sort(draw.integers(0, part.num_samples + 1, (10, 2))).tolist():
            assert np.array_equal(read(part, start, stop).samples, signal[start:stop])


def walk(path):
    data = path.read_bytes()
    return walk_flac(lambda start, stop: data[start:stop], 0, len(data))


@pytest.mark.parametrize("num_samples", [1, 16, 3_000, 4_096, 4_097, 100_000])
@pytest.mark.parametrize(
    ("channels", "rate", "subtype"),
    [(2, RATE, "PCM_16"), (1, 8_000, "PCM_S8"), (2, 96_000, "PCM_24"), (1, 12_345, "PCM_16")],
)
def test_a_length_that_is_not_stated_is_found(tmp_path, num_samples, channels, rate, subtype):
    path = tmp_path / "a.flac"
    signal = make_flac(path, num_samples, channels=channels, rate=rate, subtype=subtype)
    unstate(path)
    track = opened(path)
    assert (track.damage, track.losses) == ("", ())
    assert_reads(track.parts, signal)
    assert track.parts[0].format.startswith("FLAC/")


@pytest.mark.parametrize("stated", [1, 5_000, 40_000, 3_000_000])
def test_a_length_that_is_stated_wrong_is_reported_and_all_is_read(tmp_path, stated):
    path = tmp_path / "a.flac"
    signal = make_flac(path, 100_000)
    unstate(path, stated)
    track = opened(path)
    assert track.damage == f"its header states {stated} samples, but the file has 100000"
    assert track.losses[0].seconds == pytest.approx(max(stated - 100_000, 0) / RATE)
    assert_reads(track.parts, signal)


@pytest.mark.parametrize("is_stated", [True, False])
@pytest.mark.parametrize("share", [0.3, 0.55, 0.999])
def test_a_stream_that_is_cut_off_is_reported(tmp_path, share, is_stated):
    path = tmp_path / "a.flac"
    signal = make_flac(path, 100_000)
    if not is_stated:
        unstate(path)
    os.truncate(path, int(path.stat().st_size * share))
    track = opened(path)
    (part,) = track.parts
    assert share * 100_000 - 10_000 < part.num_samples < 100_000
    assert_reads(track.parts, signal[: part.num_samples])
    (loss,) = track.losses
    if is_stated:
        assert track.damage == f"its header states 100000 samples, but the file has {part.num_samples}"
        assert loss.seconds == pytest.approx((100_000 - part.num_samples) / RATE)
    else:
        assert track.damage == "it is cut off: its last frame is not whole"
        assert 0 < loss.seconds <= 4_096 / RATE


def test_a_stream_that_is_cut_off_in_its_first_frame_has_no_samples(tmp_path):
    path = tmp_path / "a.flac"
    make_flac(path, 100_000)
    unstate(path)
    os.truncate(path, 9_000)
    with pytest.raises(AudioFileError, match="the header of an audio file, but no samples"):
        opened(path)


@pytest.mark.parametrize("is_stated", [True, False])
@pytest.mark.parametrize(
    "pieces",
    [
        [(50_000, 2, RATE), (50_000, 2, RATE)],  # as many samples: the header agrees with the last frame
        [(50_000, 2, RATE), (20_000, 2, RATE), (90_000, 2, RATE)],
        [(900_000, 2, RATE), (900_000, 2, RATE), (900_000, 2, RATE)],
        [(50_000, 2, RATE), (20_000, 1, 48_000), (3_000, 2, 8_000)],
    ],
    ids=["same", "three", "long", "other rates"],
)
def test_joined_streams_are_all_read(tmp_path, pieces, is_stated):
    signals, joined = [], b""
    for seed, (num_samples, channels, rate) in enumerate(pieces):
        signals.append(make_flac(tmp_path / "a.flac", num_samples, seed=seed, channels=channels, rate=rate))
        if not is_stated:
            unstate(tmp_path / "a.flac")
        joined += (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(joined)
    track = opened(tmp_path / "a.flac")
    assert (track.damage, track.losses) == ("", ())
    assert [(part.channels, part.sample_rate) for part in track.parts] == [each[1:] for each in pieces]
    assert_reads(track.parts, *signals)


def test_silence_behind_music_is_noticed(tmp_path):
    signal = make_flac(tmp_path / "a.flac", 900_000)
    soundfile.write(tmp_path / "b.flac", np.zeros((900_000, 2)), RATE)
    (tmp_path / "c.flac").write_bytes((tmp_path / "a.flac").read_bytes() + (tmp_path / "b.flac").read_bytes())
    assert_reads(opened(tmp_path / "c.flac").parts, signal, np.zeros((900_000, 2), np.float32))


def test_a_stream_cut_out_of_another_is_read(tmp_path):
    path = tmp_path / "a.flac"
    signal = make_flac(path, 100_000)
    data, (stream,) = path.read_bytes(), walk(path)
    frame = data.index(data[stream.frames_start : stream.frames_start + 4] + b"\x05", stream.frames_start)
    path.write_bytes(data[: stream.frames_start] + data[frame:])
    assert_reads(opened(path).parts, signal[5 * 4_096 :])


def test_what_is_found_is_in_an_index(tmp_path):
    one, other = make_flac(tmp_path / "a.flac", 50_000), make_flac(tmp_path / "b.flac", 30_000, seed=1)
    unstate(tmp_path / "b.flac")
    with (tmp_path / "a.flac").open("ab") as file:
        file.write((tmp_path / "b.flac").read_bytes())
    AudioIndex.build(tmp_path).save(tmp_path / "a.parquet")
    columns = AudioIndex.load(tmp_path / "a.parquet").columns
    assert_reads(columns.track(0).parts, one, other)
    assert_reads(columns.track(1).parts, other)


def test_opening_takes_milliseconds(tmp_path):
    path = tmp_path / "a.flac"
    make_flac(path, 60 * RATE)
    times = []
    for _ in range(2):
        start = time.process_time()
        (part,) = opened(path).parts
        times.append(time.process_time() - start)
        assert part.num_samples == 60 * RATE
        unstate(path)
    assert times[0] < 0.1
    assert times[1] < 0.5  # 0.03 s; decoding it takes 0.2 s


def test_frames_that_are_lost_inside_keep_the_length(tmp_path):
    path = tmp_path / "a.flac"
    make_flac(path, 200_000)
    unstate(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 30_000] = bytes(30_000)
    path.write_bytes(data)
    (stream,) = walk(path)
    assert stream.num_samples == 200_000
    ((start, stop),) = stream.lost
    assert 0 < stop - start <= 5 * 4_096


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=600), st.integers(0, 3))
def test_any_bytes_have_streams_of_some_length(data, keep):
    head = bytes.fromhex("664c614380000022100010000000000000000ac442f000000000") + bytes(16)
    data = (head + data) if keep else data
    for stream in walk_flac(lambda start, stop: data[start:stop], 0, len(data)):
        assert 0 <= stream.start < stream.frames_start <= stream.stop <= len(data)
        assert stream.num_samples >= 0
    is_as_stated(lambda start, stop: data[start:stop], 0, len(data))


INFO = StreamInfo(4_096, 44_100, 2, 16, 0)


@pytest.mark.parametrize(
    ("head", "start", "stop"),
    [
        ("fff8c9a800", 0, 4_096),  # a code for each: 4,096 samples, 44.1 kHz
        ("fff8c9a87f", 127 * 4_096, 128 * 4_096),
        ("fff8c9a8c280", 128 * 4_096, 129 * 4_096),  # a number of two bytes
        ("fff979a8e0a0800000", 2_048, 2_049),  # a number of a sample, 16 bits of length
        ("fff869a801ff", 4_096, 4_096 + 256),  # 8 bits of length
        ("fff86da801ffac44", 4_096, 4_096 + 256),  # the rate, too
        ("fff819a800", 0, 192),
        ("fff829a800", 0, 576),
    ],
)
def test_frame_headers_are_parsed(head, start, stop):
    data = bytes.fromhex(head)
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
    assert parse_frame_header(data + bytes([crc]), INFO) == FrameHeader(0, start, stop)
    assert parse_frame_header(data + bytes([crc ^ 1]), INFO) is None
    assert parse_frame_header(data, INFO) is None
