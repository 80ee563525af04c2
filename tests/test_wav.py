"""Headers of WAV, AIFF, AU and CAF that contradict themselves, or state no length or an untrue one."""

import random
import struct

import numpy as np
import pytest
import soundfile
from builders import RATE, music, opened, read
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmo_data import AudioFileError, AudioIndex
from flowmo_data.tracks.big_endian import check_aiff, check_au, check_caf
from flowmo_data.tracks.wav import check_wav


def make(path, container, codec="PCM_16", num_samples=30_000, channels=2):
    """A file; gives its bytes, to be changed, and what soundfile reads from it."""
    signal = music(num_samples, channels=channels)
    soundfile.write(path, signal, RATE, format=container, subtype=codec)
    return bytearray(path.read_bytes()), soundfile.read(path, dtype="float32", always_2d=True)[0]


def put(data, place, value, layout):
    data[place : place + struct.calcsize(layout)] = struct.pack(layout, value)


def assert_reads(path, signal):
    track = opened(path)
    (part,) = track.parts
    assert (track.damage, part.num_samples) == ("", len(signal))
    for start, stop in [(0, len(signal)), (1, 2), (9_999, 20_001), (len(signal) - 5, len(signal))]:
        assert np.array_equal(read(part, start, stop).samples, signal[start:stop])


def place_of_fmt(data):
    at = data.index(b"fmt ")
    return at + (24 if data[:4] == b"riff" else 8)


@pytest.mark.parametrize("container", ["WAV", "RF64", "W64", "WAVEX"])
@pytest.mark.parametrize(
    ("field", "value"),
    [("align", 2), ("align", 3), ("align", 6), ("align", 8), ("bits", 8), ("bits", 24), ("bits", 32), ("bits", 17),
     ("channels", 1), ("channels", 3), ("channels", 4)],
)  # fmt: skip
def test_a_fmt_chunk_that_contradicts_itself_is_refused(tmp_path, container, field, value):
    path = tmp_path / "a.wav"
    data, _ = make(path, container)
    put(data, place_of_fmt(data) + {"align": 12, "bits": 14, "channels": 2}[field], value, "<H")
    path.write_bytes(data)
    with pytest.raises(
        AudioFileError, match=r"its header contradicts itself: . channels of \d+ bits are \d+ bytes, but"
    ):
        opened(path)


@pytest.mark.parametrize(
    ("codec", "value"), [("PCM_24", 8), ("PCM_32", 4), ("FLOAT", 4), ("DOUBLE", 8), ("ULAW", 4), ("PCM_U8", 4)]
)
def test_a_block_align_is_held_against_every_codec(tmp_path, codec, value):
    path = tmp_path / "a.wav"
    data, _ = make(path, "WAV", codec)
    put(data, place_of_fmt(data) + 12, value, "<H")
    path.write_bytes(data)
    with pytest.raises(AudioFileError, match="but its block align is"):
        opened(path)


@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
def test_both_byte_orders_are_checked(tmp_path, endian):
    path = tmp_path / "a.wav"
    soundfile.write(path, music(30_000), RATE, format="WAV", subtype="PCM_16", endian=endian)
    data = bytearray(path.read_bytes())
    assert data[:4] == (b"RIFX" if endian == "BIG" else b"RIFF")
    assert opened(path).parts[0].num_samples == 30_000
    put(data, data.index(b"data") + 4, 0, "<I")
    path.write_bytes(data)
    assert opened(path).parts[0].num_samples == 30_000
    put(data, place_of_fmt(data) + 12, 8, ">H" if endian == "BIG" else "<H")
    path.write_bytes(data)
    with pytest.raises(AudioFileError, match="but its block align is 8"):
        opened(path)


@pytest.mark.parametrize(
    "codec", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM"]
)
@pytest.mark.parametrize("container", ["WAV", "RF64", "W64", "WAVEX", "AIFF", "AU", "CAF"])
def test_what_libsndfile_writes_does_not_contradict_itself(tmp_path, container, codec):
    path = tmp_path / "a.audio"
    for channels in (1, 2, 6):
        if soundfile.check_format(container, codec) and (channels < 3 or "ADPCM" not in codec):
            try:
                _, signal = make(path, container, codec, 5_001, channels)
            except soundfile.LibsndfileError:  # a codec of one channel
                assert channels == 2
                continue
            track = opened(path)
            assert (track.damage, track.parts[0].num_samples, track.parts[0].excerpt) == ("", len(signal), None)


@pytest.mark.parametrize("byte_rate", [0, 44_100, 88_200, 192_000])
def test_the_bytes_of_a_second_do_not_matter(tmp_path, byte_rate):
    path = tmp_path / "a.wav"
    data, signal = make(path, "WAV")
    put(data, 28, byte_rate, "<I")
    path.write_bytes(data)
    assert_reads(path, signal)


@pytest.mark.parametrize(
    ("place", "layout", "value"),
    [(8, ">H", 1), (8, ">H", 3), (14, ">H", 8), (14, ">H", 24), (14, ">H", 32), (10, ">I", 15_000)],
)
def test_an_aiff_header_that_contradicts_itself_is_refused(tmp_path, place, layout, value):
    path = tmp_path / "a.aiff"
    data, _ = make(path, "AIFF")
    put(data, data.index(b"COMM") + place, value, layout)
    path.write_bytes(data)
    with pytest.raises(
        AudioFileError, match="its header contradicts itself: .* but for each sample of all channels it states"
    ):
        opened(path)


@pytest.mark.parametrize("start", [0, 1, 23])
def test_an_au_file_with_samples_in_its_header_is_refused(tmp_path, start):
    path = tmp_path / "a.au"
    data, _ = make(path, "AU")
    put(data, 4, start, ">I")
    path.write_bytes(data)
    with pytest.raises(AudioFileError, match=f"its samples start at byte {start}, inside of its header"):
        opened(path)


@pytest.mark.parametrize("codec", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8", "ULAW", "IMA_ADPCM"])
@pytest.mark.parametrize("riff_size", [0, 36, 0xFFFF_FFFF])
def test_a_wav_of_data_size_0_is_read_to_its_end(tmp_path, codec, riff_size):
    path = tmp_path / "a.wav"
    data, signal = make(path, "WAV", codec)
    put(data, data.index(b"data") + 4, 0, "<I")
    put(data, 4, riff_size, "<I")
    path.write_bytes(data)
    assert_reads(path, signal)
    AudioIndex.build(tmp_path).save(tmp_path / "a.parquet")
    (part,) = AudioIndex.load(tmp_path / "a.parquet").columns.track(0).parts
    assert np.array_equal(read(part, 100, 20_000).samples, signal[100:20_000])


@pytest.mark.parametrize("data_size", [0, 0xFFFF_FFFF])
@pytest.mark.parametrize("num_samples", [0, 30_000])
def test_an_rf64_without_sizes_is_read_to_its_end(tmp_path, data_size, num_samples):
    path = tmp_path / "a.wav"
    data, signal = make(path, "RF64")
    put(data, 20, 0, "<Q")
    put(data, 28, 0, "<Q")
    put(data, 36, num_samples, "<Q")
    put(data, data.index(b"data") + 4, data_size, "<I")
    path.write_bytes(data)
    assert_reads(path, signal)


@pytest.mark.parametrize(
    ("container", "marker", "place", "layout", "values"),
    [
        ("AIFF", b"SSND", 4, ">I", [8, 0]),
        ("AU", b".snd", 8, ">I", [0, 0xFFFF_FFFF, 0x7FFF_FFFF]),
        ("CAF", b"data", 4, ">Q", [0, (1 << 64) - 1, 1 << 63, 1 << 40]),
        ("W64", b"data", 16, "<Q", [0, 24, 1 << 62]),
        ("RF64", b"ds64", 16, "<Q", [0, (1 << 64) - 1]),
    ],
)
def test_other_formats_without_a_size_are_read_to_their_ends(tmp_path, container, marker, place, layout, values):
    path = tmp_path / "a.audio"
    for value in values:
        data, signal = make(path, container)
        put(data, data.index(marker) + place, value, layout)
        if container == "AIFF":
            put(data, data.index(b"COMM") + 10, 0, ">I")
        path.write_bytes(data)
        assert_reads(path, signal)


CONTAINERS = ["WAV", "RF64", "AIFF", "AU", "CAF", "W64"]


@pytest.mark.parametrize("codec", ["PCM_16", "PCM_24", "FLOAT", "ULAW"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_samples_that_a_header_does_not_cover_are_reported(tmp_path, container, codec):
    """As in files past 4 GB, the sizes of which wrap around."""
    path = tmp_path / "a.audio"
    data, signal = make(path, container, codec, num_samples=10_000)
    path.write_bytes(data + random.Random(0).randbytes(4_000 * 2 * 8))
    track = opened(path)
    width = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4, "ULAW": 1}[codec] * 2
    assert "64000 bytes behind its samples are not read: its header does not cover them" in track.damage
    (loss,) = track.losses
    assert loss.seconds == pytest.approx(64_000 // width / RATE)
    (part,) = track.parts
    assert np.array_equal(read(part, 0, part.num_samples).samples, signal)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_cut_of_one_byte_is_reported(tmp_path, container):
    path = tmp_path / "a.audio"
    data, signal = make(path, container)
    path.write_bytes(data[:-1])
    track = opened(path)
    assert track.damage == "its header states 120000 bytes of samples, but only 119999 are there"
    assert track.losses[0].seconds == pytest.approx(1 / RATE)
    assert np.array_equal(read(track.parts[0], 0, 29_999).samples, signal[:29_999])


@pytest.mark.parametrize(
    "behind",
    [
        bytes(4_000),
        b"TAG" + bytes(125),
        b"ID3\4\0\0\0\0\0\x14" + bytes(20),
        b"APETAGEX" + (2_000).to_bytes(4, "little") + (32).to_bytes(4, "little") + bytes(16),
    ],
    ids=["zeros", "ID3v1", "ID3v2", "APE"],
)
@pytest.mark.parametrize("container", CONTAINERS)
def test_padding_and_tags_behind_the_samples_are_no_damage(tmp_path, container, behind):
    path = tmp_path / "a.audio"
    data, signal = make(path, container)
    path.write_bytes(data + behind)
    assert_reads(path, signal)


@pytest.mark.parametrize("pad", [b"", b"\0"])
def test_a_chunk_behind_an_odd_number_of_bytes_is_no_damage_with_or_without_a_pad_byte(tmp_path, pad):
    path = tmp_path / "a.wav"
    data, signal = make(path, "WAV", "PCM_U8", num_samples=30_001, channels=1)
    data = data[: data.index(b"data") + 8 + 30_001]
    path.write_bytes(data + pad + b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + bytes(14))
    assert_reads(path, signal)


@pytest.mark.parametrize(
    ("container", "chunk"),
    [
        ("W64", b"levl" + bytes(12) + struct.pack("<Q", 24 + 40) + bytes(40)),
        ("CAF", b"info" + struct.pack(">Q", 10) + bytes(10)),
        ("AIFF", b"NAME" + struct.pack(">I", 6) + b"a name"),
        ("WAV", b"cue " + struct.pack("<I", 4) + bytes(4)),
    ],
)
def test_chunks_behind_the_samples_are_no_samples(tmp_path, container, chunk):
    path = tmp_path / "a.audio"
    data, signal = make(path, container)
    path.write_bytes(data + chunk)
    assert_reads(path, signal)


@pytest.mark.parametrize("container", ["CAF", "W64", "WAV", "AIFF", "AU"])
def test_a_tag_in_front_is_no_damage(tmp_path, container):
    path = tmp_path / "a.audio"
    data, signal = make(path, container)
    path.write_bytes(b"ID3\4\0\0\0\0\0\x15" + bytes(21) + data)
    assert_reads(path, signal)


def test_bw64_is_read_as_rf64(tmp_path):
    path = tmp_path / "a.wav"
    data, signal = make(path, "RF64")
    path.write_bytes(b"BW64" + data[4:])
    assert_reads(path, signal)
    put(data, data.index(b"ds64") + 16, 0, "<Q")
    path.write_bytes(b"BW64" + data[4:])
    assert_reads(path, signal)


def test_a_little_endian_au_file_is_read(tmp_path):
    path = tmp_path / "a.au"
    signal = music(30_000)
    soundfile.write(path, signal, RATE, format="AU", subtype="FLOAT", endian="LITTLE")
    assert_reads(path, signal)
    data = bytearray(path.read_bytes())
    put(data, 8, 0, "<I")
    path.write_bytes(data)
    assert_reads(path, signal)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_file_without_samples_has_none(tmp_path, container):
    path = tmp_path / "a.audio"
    make(path, container, num_samples=0)
    with pytest.raises(AudioFileError, match="the header of an audio file, but no samples"):
        opened(path)


@pytest.mark.parametrize("info", [b"INFOISFT\6\0\0\0Lavf58", b"INFO"])
def test_chunks_behind_no_samples_are_no_samples(tmp_path, info):
    path = tmp_path / "a.wav"
    data, _ = make(path, "WAV", num_samples=0)
    path.write_bytes(data + b"LIST" + len(info).to_bytes(4, "little") + info)
    with pytest.raises(AudioFileError, match="the header of an audio file, but no samples"):
        opened(path)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.sampled_from(
            [
                b"RIFF",
                b"RF64",
                b"riff",
                b"FORM",
                b".snd",
                b"caff",
                b"WAVE",
                b"AIFF",
                b"fmt ",
                b"data",
                b"ds64",
                b"COMM",
                b"SSND",
                bytes(4),
                b"\xff" * 4,
                b"\0\0\0\x12",
                b"\x10\0\0\0",
                b"\1\0\2\0",
            ]
        ),
        max_size=40,
    )
)
def test_any_bytes_are_checked(words):
    data = b"".join(words)
    for check in (check_wav, check_aiff, check_au, check_caf):
        excerpt = check(lambda start, stop: data[start:stop], 0, len(data)).excerpt
        assert excerpt is None or 0 <= excerpt.start <= excerpt.stop == len(data)
