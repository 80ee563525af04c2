"""Windows of every container and codec, held against a whole decode by FFmpeg."""

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
from builders import DATA, opened, read
from containers import FORMATS, as_stored, encode, make, whole_decode

from flowmo_data import AudioFileError
from flowmo_data.sources import LocalFile

EXACT_LENGTH = (
    "AAC in MP4", "AAC without noise", "ALAC", "ALAC of 24 bits", "ALAC in CAF", "FLAC in Matroska", "FLAC in MP4",
    "Opus in WebM", "Opus in MP4", "Opus of 2.5 ms", "WavPack", "WavPack of floats", "TTA", "MP3 in MP4",
    "MP3 in Matroska", "PCM in MOV", "PCM in Matroska",
)  # fmt: skip
"""what gives the length of the signal that was encoded; the others have no place for it, and end with padding"""
LOSSLESS = (
    "ALAC", "ALAC of 24 bits", "ALAC in CAF", "FLAC in Matroska", "FLAC in MP4", "WavPack", "WavPack of floats", "TTA",
    "PCM in MOV", "PCM in Matroska",
)  # fmt: skip
NOISE = {
    "AAC in MP4": 0.1, "AAC in Matroska": 0.1, "AAC in ADTS": 0.1, "WMA 2 with noise": 0.02, "MP2 in Matroska": 5e-5,
}  # fmt: skip
"""largest difference from a decode in one go: noise from a generator, and FFmpeg's MP2 decoder of whole numbers"""
DECODER_OPTIONS = {name: {"cons_noisegen": "1"} for name in ("AC-3", "AC-3 in Matroska", "E-AC-3")}
DELAYED = {
    "AAC in ADTS": 1_024,
    "AC-3": 256,
    "E-AC-3": 256,
    "WMA 2": -2_048,
    "WMA 2 with noise": -2_048,
    "WMA 1": -2_048,
}
"""samples by which the signal comes late where nothing states the delay. FFmpeg drops 4,096 samples of WMA, and its own
encoder adds 2,048"""
OF_ANOTHER_RATE = ("Opus for speech", "AMR-NB")
"""Opus is decoded at 48 kHz, and AMR is not the signal any more"""
ENCODED_ELSEWHERE = sorted((DATA / "containers").iterdir())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Every file once, with the samples that were encoded."""
    folder, files = tmp_path_factory.mktemp("containers"), {}

    def file(name):
        if name not in files:
            files[name] = make(folder, name)
        return files[name]

    return file


def the_part(path):
    track = opened(path)
    assert not track.damage
    assert not track.losses
    (part,) = track.parts
    return part


def check_windows(part, whole, seed=0):
    """Windows anywhere, at both ends and over the joints of packets, equal the slice of the whole."""
    length, random = len(whole), np.random.default_rng(seed)
    windows = [(0, 1), (0, length), (length - 1, length), (length // 2, length)]
    for first in random.integers(0, length, 12).tolist():
        windows.append((first, min(first + int(random.integers(1, 100_000)), length)))
    step = (part.packet_samples or 1_000) * part.packets_per_point
    windows += [(at - 1, at + 1) for at in range(step, length, step)][:4]
    for start, stop in windows:
        window = read(part, start, stop)
        assert not window.lost, (start, stop)
        assert np.array_equal(window.samples, whole[start:stop]), (start, stop)


def lag(signal, late):
    """Samples by which a signal comes late in another."""
    length = min(len(signal), len(late))
    size = 1 << (2 * length - 1).bit_length()
    spectra = [np.fft.rfft(each[:length, 0], size) for each in (signal, late)]
    place = int(np.argmax(np.fft.irfft(spectra[0].conj() * spectra[1], size)))
    return place - size if place > size // 2 else place


@pytest.mark.parametrize("name", FORMATS)
def test_windows_equal_the_slice_of_a_whole_decode(made, name):
    path, encoded = made(name)
    part = the_part(path)
    window = read(part, 0, part.num_samples)
    whole = window.samples.copy()
    assert whole.shape == (part.num_samples, encoded.shape[1])
    assert not window.lost
    by_ffmpeg = whole_decode(path, DECODER_OPTIONS.get(name))
    if name in EXACT_LENGTH:
        assert part.num_samples == len(encoded)
        if name != "ALAC in CAF":  # FFmpeg takes off padding that its last packet does not have
            assert len(by_ffmpeg) >= len(encoded)  # but leaves that of MP4
    else:
        assert part.num_samples == len(by_ffmpeg)
    length = min(len(whole), len(by_ffmpeg))
    assert np.abs(whole[:length] - by_ffmpeg[:length]).max() <= NOISE.get(name, 0)
    check_windows(part, whole)
    if name in LOSSLESS:
        stored = as_stored(
            encoded, {"WavPack of floats": "flt"}.get(name, FORMATS[name][3].get("sample_format", "s16"))
        )
        scale = {"i2": 1 << 15, "i4": 1 << 31}.get(stored.dtype.str[1:], 1)
        assert np.array_equal(whole, (stored / scale).astype(np.float32))
    elif name not in OF_ANOTHER_RATE:
        assert lag(encoded, whole) == DELAYED.get(name, 0)


@pytest.mark.parametrize("path", ENCODED_ELSEWHERE, ids=lambda path: path.name)
def test_windows_of_encoders_that_pyav_does_not_have(path):
    part = the_part(path)
    whole = read(part, 0, part.num_samples).samples.copy()
    by_ffmpeg = whole_decode(path)
    assert len(whole) == len(by_ffmpeg)
    most = 0 if path.suffix == ".ape" else 0.05  # SBR fills high frequencies with noise from a generator
    assert np.abs(whole - by_ffmpeg).max() <= most
    check_windows(part, whole)


def test_a_preroll_of_one_packet_leads_to_a_whole_decode_of_aac_without_noise(made):
    """The restarts of the decoder, one in 64 packets, are not heard if there is no noise."""
    path, _ = made("AAC without noise")
    part = the_part(path)
    assert part.num_packets > 3 * part.packets_per_point
    assert np.array_equal(read(part, 0, part.num_samples).samples, whole_decode(path)[: part.num_samples])


def test_more_than_two_channels_are_kept_in_order(tmp_path):
    samples = np.zeros((50_000, 6), np.float32)
    samples[:, 1] = np.sin(np.arange(50_000) / 10) / 2  # front right
    for codec, suffix, kind in (("aac", "m4a", "fltp"), ("flac", "mka", "s16")):
        part = the_part(encode(tmp_path / f"a.{suffix}", codec, samples, sample_format=kind))
        window = read(part, 0, part.num_samples).samples
        assert part.channels == 6
        assert np.argmax(np.abs(window).mean(0)) == 1


def test_matroska_without_an_index_and_mp4_in_fragments(tmp_path, made):
    _, samples = made("Opus in WebM")
    live = encode(tmp_path / "live.webm", "libopus", samples, 48_000, sample_format="s16", muxer_options={"live": "1"})
    options = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "1000000"}
    fragments = encode(tmp_path / "a.mp4", "aac", samples, 48_000, muxer_options=options)
    first = encode(tmp_path / "b.mp4", "aac", samples, 48_000, muxer_options={"movflags": "faststart"})
    for path in (live, fragments, first):
        part = the_part(path)
        whole = read(part, 0, part.num_samples).samples.copy()
        assert abs(lag(samples, whole)) == (1_024 if path == fragments else 0)  # FFmpeg writes no edits in fragments
        assert len(samples) <= part.num_samples < len(samples) + 2_048
        check_windows(part, whole)


def test_one_of_several_streams_is_read_and_video_is_passed_over(tmp_path, caplog):
    samples = made_samples = np.random.default_rng(0).normal(0, 0.1, (60_000, 1)).astype(np.float32)
    two = encode(tmp_path / "two.mka", "flac", samples, sample_format="s16", num_streams=2)
    with caplog.at_level("INFO"):
        part = the_part(two)
    assert "two.mka: stream 0 is read; it has 1 other audio stream" in caplog.text
    assert part.num_samples == len(made_samples)
    film = tmp_path / "film.mp4"
    write_film(film, samples)
    part = the_part(film)
    whole = read(part, 0, part.num_samples).samples.copy()
    assert (part.stream, part.num_samples, lag(samples, whole)) == (1, len(samples), 0)
    check_windows(part, whole)


def write_film(path, samples):
    """Mono AAC beside a video; no audio if there are no samples."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width = video.height = 64
        audio = container.add_stream("aac", rate=44_100, layout="mono") if samples is not None else None
        for number in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number, np.uint8), "rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            for start in range(0, len(samples), 1_024):
                piece = np.ascontiguousarray(samples[start : start + 1_024].T)
                frame = av.AudioFrame.from_ndarray(piece, "fltp", "mono")
                frame.sample_rate, frame.pts = 44_100, start
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))


def test_a_file_without_audio_says_what_it_has(tmp_path):
    write_film(tmp_path / "film.mp4", None)
    with pytest.raises(AudioFileError, match=r"film\.mp4: it has no audio, only video"):
        opened(tmp_path / "film.mp4")


def test_a_damaged_packet_is_silent_and_moves_nothing(made, tmp_path):
    path, _ = made("ALAC")
    part = the_part(path)
    whole = read(part, 0, part.num_samples).samples.copy()
    (packet,) = part.packets(20, 21)
    data = bytearray(path.read_bytes())
    data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    damaged = tmp_path / "damaged.m4a"
    damaged.write_bytes(data)
    part = the_part(damaged)
    window = read(part, 0, part.num_samples)
    start, stop = 20 * 4_096, 21 * 4_096
    assert window.lost == ((start, stop),)
    assert not window.samples[start:stop].any()
    assert np.array_equal(np.delete(window.samples, slice(start, stop), 0), np.delete(whole, slice(start, stop), 0))
    assert read(part, start - 10, start + 10).lost == ((10, 20),)


@pytest.mark.parametrize(
    "name", ["AAC in MP4", "ALAC", "Opus in WebM", "AAC in ADTS", "AC-3", "WavPack", "TTA", "WMA 2"]
)
def test_a_file_that_is_cut_off_is_read_to_its_end(made, tmp_path, name):
    path, samples = made(name)
    codec, suffix, rate, options = FORMATS[name]
    if suffix == "m4a":  # with its tables in front
        path = encode(tmp_path / "whole.m4a", codec, samples, rate, **options, muxer_options={"movflags": "faststart"})
    whole = read(the_part(path), 0, len(samples) // 2).samples.copy()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    track = opened(cut)
    (part,) = track.parts
    window = read(part, 0, part.num_samples)
    assert not window.lost or suffix == "wma"  # the packet that is cut off
    if suffix in ("aac", "ac3", "wma"):  # nothing states the length, or FFmpeg divides it by the missing bytes
        assert re.match(r"\d+ bytes at its end are not a whole audio packet|its header states 3\.95 s", track.damage)
    else:
        assert re.search(r"its header states .*, but only .* are there", track.damage)
        assert sum(loss.seconds for loss in track.losses) == pytest.approx(len(samples) / rate * 0.4, rel=0.3)
    assert len(samples) * 0.5 <= part.num_samples < len(samples) * 0.7
    half = min(len(whole), part.num_samples)
    assert np.array_equal(window.samples[:half], whole[:half])


def test_noise_in_matroska_costs_a_cluster_and_is_reported(made, tmp_path):
    path, samples = made("AAC in Matroska")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3_000] = np.random.default_rng(0).bytes(3_000)
    damaged = tmp_path / "damaged.mka"
    damaged.write_bytes(data)
    track = opened(damaged)
    (part,) = track.parts
    window = read(part, 0, part.num_samples)
    assert "packets inside are damaged or missing: its time stamps leave out" in track.damage or window.lost
    missing = sum(loss.seconds for loss in track.losses) + sum(stop - start for start, stop in window.lost) / 48_000
    assert part.num_samples / 48_000 + missing == pytest.approx(len(samples) / 48_000, abs=0.3)


def test_threads_and_forks_read_the_same(made):
    path, _ = made("AAC in MP4")
    part = the_part(path)
    wanted = [(start, start + 30_000) for start in range(0, 200_000, 10_000)]
    expected = [read(part, *each).samples.copy() for each in wanted]
    with ThreadPoolExecutor(4) as pool:
        for samples, right in zip(
            pool.map(lambda each: read(part, *each).samples.copy(), wanted), expected, strict=True
        ):
            assert np.array_equal(samples, right)
    before = threading.active_count()
    child = os.fork()
    if not child:
        is_right = all(
            np.array_equal(read(part, *each).samples, right) for each, right in zip(wanted, expected, strict=True)
        )
        os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert threading.active_count() == before


def test_a_file_joined_to_one_of_another_rate_is_silent_there(made, tmp_path):
    path, samples = made("AAC in ADTS")
    other = encode(tmp_path / "b.aac", "aac", samples[:50_000], 48_000, muxer="adts")
    joined = tmp_path / "joined.aac"
    joined.write_bytes(path.read_bytes() + path.read_bytes() + other.read_bytes())
    (part,) = opened(joined).parts
    one = the_part(path).num_samples
    window = read(part, 0, part.num_samples)
    assert part.num_samples > 2 * one
    assert window.lost == ((2 * one, part.num_samples),)
    check_windows(part, window.samples.copy()[: 2 * one])


def test_another_file_in_its_place_is_noticed(made, tmp_path):
    path = tmp_path / "a.m4a"
    path.write_bytes(made("AAC in MP4")[0].read_bytes())
    part = the_part(path)
    path.write_bytes(made("ALAC")[0].read_bytes())
    with pytest.raises(AudioFileError, match="changed while it was in use"):
        read(part, 0, 10_000)
    path.unlink()
    with pytest.raises(AudioFileError, match="No such file"):
        read(part, 0, 10_000)


def test_nothing_is_printed_and_the_name_does_not_matter(made, tmp_path, capfd):
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3\4\0\0\0\0\0\12" + bytes(10) + made("AAC in ADTS")[0].read_bytes())
    part = the_part(path)
    assert (part.format, part.excerpt.start) == ("ADTS/aac", 20)
    assert part.num_samples == the_part(made("AAC in ADTS")[0]).num_samples
    bad = tmp_path / "bad.m4a"
    bad.write_bytes(made("AAC in MP4")[0].read_bytes()[:3_000])
    with pytest.raises(
        AudioFileError, match=r"bad\.m4a: FFmpeg, chosen by its first bytes \(MP4\), reports: Invalid data"
    ):
        opened(bad)
    assert capfd.readouterr() == ("", "")


def test_a_name_that_is_no_text_is_read(made, tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.m4a"))
    path.write_bytes(made("ALAC")[0].read_bytes())
    source = LocalFile.at(str(path))
    assert source.stamp.size
    assert the_part(path).num_samples == the_part(made("ALAC")[0]).num_samples
