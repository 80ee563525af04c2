import os
import random
import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from builders import DATA, EVERY_DECODER, RATE, make_mp3, make_wav, music, opened, read

from flowmo_data import AudioFileError

FORMATS = [
    ("wav", "WAV", "PCM_16", RATE), ("wav", "WAV", "PCM_24", RATE), ("wav", "WAV", "FLOAT", 22_050),
    ("flac", "FLAC", "PCM_16", RATE), ("ogg", "OGG", "VORBIS", RATE), ("opus", "OGG", "OPUS", 48_000),
    ("aiff", "AIFF", "PCM_16", RATE), ("au", "AU", "PCM_16", RATE), ("caf", "CAF", "PCM_16", RATE),
    ("w64", "W64", "PCM_16", RATE), ("rf64", "RF64", "PCM_16", RATE),
]  # fmt: skip


def write(path, samples, rate, container, subtype):
    with soundfile.SoundFile(path, "w", rate, samples.shape[1], format=container, subtype=subtype) as opened:
        for start in range(0, len(samples), 4_096):
            opened.write(samples[start : start + 4_096])


@pytest.mark.parametrize(("suffix", "container", "subtype", "rate"), FORMATS)
def test_windows_of_other_formats_are_slices_of_the_whole(tmp_path, suffix, container, subtype, rate):
    path = tmp_path / f"a.{suffix}"
    write(path, music(3 * rate), rate, container, subtype)
    whole = soundfile.read(path, dtype="float32", always_2d=True)[0]
    (part,) = opened(path).parts
    assert (part.num_samples, part.sample_rate, part.channels) == (len(whole), rate, 2)
    draw = random.Random(0)
    windows = [sorted(draw.sample(range(len(whole) + 1), 2)) for _ in range(20)]
    windows += [(len(whole) - length, len(whole)) for length in (1, 50, 999, 5_000, 20_000)]
    for start, stop in windows:
        assert np.array_equal(read(part, start, stop).samples, whole[start:stop])


@pytest.mark.parametrize("decoder", EVERY_DECODER)
def test_the_bytes_decide_and_not_the_name(tmp_path, decoder):
    make_wav(tmp_path / "a.wav", 5_000).rename(tmp_path / "a.mp3")
    make_mp3(tmp_path / "b.mp3", 6_000).rename(tmp_path / "b.wav")
    assert opened(tmp_path / "a.mp3").parts[0].num_samples == 5_000
    assert opened(tmp_path / "b.wav").parts[0].num_samples == 6_000


def test_flac_behind_an_id3_tag_is_flac(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, music(5_000), RATE)
    path.write_bytes(b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128) + path.read_bytes())
    (part,) = opened(path).parts
    assert part.num_samples == 5_000
    assert np.abs(read(part, 0, 5_000).samples - music(5_000)).max() < 1e-4


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"the file is empty \(0 bytes\)"),
        (b"\xff", "no MPEG audio packets in its 1 bytes"),
        (b"this is text. " * 500, "its first bytes, b'this is text', match no other format"),
        (b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128), "no MPEG audio packets in its 138 bytes"),
        (random.Random(0).randbytes(50_000), "no MPEG audio packets in its 50000 bytes"),
        (b"RIFF" + bytes(100), "and libsndfile, chosen by its first bytes, reports"),
        (b"fLaC" + bytes(100), "and libsndfile, chosen by its first bytes, reports"),
    ],
    ids=["empty", "byte", "text", "tag", "noise", "riff", "flac"],
)
def test_what_is_no_audio_is_named_with_its_reason(tmp_path, content, reason):
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    with pytest.raises(AudioFileError, match=reason) as caught:
        opened(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_folder_and_a_missing_file_are_audio_file_errors(tmp_path):
    with pytest.raises(AudioFileError, match="it is a folder, not a file with audio"):
        opened(tmp_path)
    with pytest.raises(AudioFileError, match="No such file or directory"):
        opened(tmp_path / "a.mp3")


def test_a_wav_without_samples_is_an_audio_file_error(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 2), np.float32), RATE)
    with pytest.raises(AudioFileError, match="the header of an audio file, but no samples"):
        opened(tmp_path / "a.wav")


@pytest.mark.parametrize(("suffix", "container", "subtype"), [("flac", "FLAC", "PCM_16"), ("wav", "WAV", "PCM_16")])
def test_a_file_cut_off_is_as_long_as_what_can_be_read(tmp_path, suffix, container, subtype):
    path = tmp_path / f"a.{suffix}"
    write(path, music(2 * RATE), RATE, container, subtype)
    os.truncate(path, path.stat().st_size // 2)
    (part,) = opened(path).parts
    assert RATE * 0.8 < part.num_samples < RATE * 1.2
    assert np.abs(read(part, 0, 40_000).samples - music(2 * RATE)[:40_000]).max() < 1e-4


@pytest.mark.parametrize("container", ["WAV", "AIFF", "W64", "RF64", "AU", "CAF"])
def test_what_is_cut_off_is_told_though_libsndfile_does_not_mind(tmp_path, container):
    path = tmp_path / "a.audio"
    write(path, music(2 * RATE), RATE, container, "PCM_16")
    track = opened(path)
    assert (track.damage, track.losses) == ("", ())
    os.truncate(path, path.stat().st_size // 2)
    track = opened(path)
    assert re.fullmatch(r"its header states \d+ bytes of samples, but only \d+ are there", track.damage)
    (loss,) = track.losses
    assert loss.start_seconds == track.parts[0].num_samples / RATE
    assert loss.start_seconds + loss.seconds == pytest.approx(2, abs=0.01)


def test_a_header_that_is_wrong_about_the_byte_rate_is_no_damage(tmp_path):
    path = make_wav(tmp_path / "a.wav", RATE)
    data = bytearray(path.read_bytes())
    data[28:32] = (192_000).to_bytes(4, "little")
    path.write_bytes(data)
    track = opened(path)
    assert (track.damage, track.losses, track.parts[0].num_samples) == ("", (), RATE)


def test_an_au_file_that_ends_behind_its_header_has_no_samples(tmp_path):
    path = tmp_path / "a.au"
    write(path, music(RATE), RATE, "AU", "PCM_16")
    os.truncate(path, 24)
    with pytest.raises(AudioFileError, match="the header of an audio file, but no samples"):
        opened(path)


def test_a_vorbis_file_cut_off_is_told(tmp_path):
    path = tmp_path / "a.ogg"
    write(path, music(2 * RATE), RATE, "OGG", "VORBIS")
    assert opened(path).damage == ""
    os.truncate(path, path.stat().st_size * 3 // 4)
    problems = "it is cut off: its last page has no end mark; [0-9]+ bytes at its end are not a whole Ogg page"
    assert re.fullmatch(problems, opened(path).damage)


@pytest.mark.parametrize("size", [0, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_wav_file_that_was_piped_is_whole(tmp_path, size):
    path = make_wav(tmp_path / "a.wav", RATE)
    data = bytearray(path.read_bytes())
    data[4:8] = size.to_bytes(4, "little")  # of all; that of the data is known less often
    if size:
        data[40:44] = (size - 36 if size < 0x8000_0000 else size).to_bytes(4, "little")
    path.write_bytes(data)
    track = opened(path)
    assert (track.damage, track.parts[0].num_samples) == ("", RATE)


@pytest.mark.parametrize("decoder", EVERY_DECODER)
def test_a_change_inside_gives_parts_of_their_own_rate(tmp_path, decoder):
    make_mp3(tmp_path / "1.mp3", 30_000)
    make_mp3(tmp_path / "2.mp3", 40_000, rate=48_000)
    make_mp3(tmp_path / "3.mp3", 20_000, channels=1)
    joined = tmp_path / "joined.mp3"
    joined.write_bytes(b"".join((tmp_path / f"{i}.mp3").read_bytes() for i in (1, 2, 3)))
    parts = opened(joined).parts
    assert [(p.num_samples, p.sample_rate, p.channels) for p in parts] == [
        (30_000, 44_100, 2), (40_000, 48_000, 2), (20_000, 44_100, 1),
    ]  # fmt: skip
    for number, part in enumerate(parts, 1):
        (alone,) = opened(tmp_path / f"{number}.mp3").parts
        assert np.array_equal(
            read(part, 5_000, 9_000, decoder).samples.copy(), read(alone, 5_000, 9_000, decoder).samples
        )


def test_damage_is_told_in_words(tmp_path):
    data = (DATA / "cbr32_low_bitrate.mp3").read_bytes()
    path = tmp_path / "a.mp3"
    path.write_bytes(data[:9_000] + bytes(800) + data[9_000:])
    assert opened(path).damage == "800 bytes inside are not audio packets"
    data = make_mp3(tmp_path / "b.mp3", 3 * RATE).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "bytes at its end are not a whole audio packet; " in opened(path).damage
    assert "its header states 116 audio packets, but the file has " in opened(path).damage
    assert opened(tmp_path / "b.mp3").damage == ""


def test_what_libsndfile_cannot_read_is_silence_and_counted(tmp_path):
    path = tmp_path / "a.flac"
    write(path, music(4 * RATE), RATE, "FLAC", "PCM_16")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2_000] = bytes(2_000)
    path.write_bytes(data)
    (part,) = opened(path).parts
    window = read(part, 0, 4 * RATE)
    assert 0 < window.num_lost < RATE
    wrong = np.abs(window.samples - music(4 * RATE)).max(axis=1) > 1e-3
    assert wrong.sum() <= window.num_lost
    assert np.isfinite(window.samples).all()


@pytest.mark.parametrize("make", [make_mp3, make_wav])
def test_a_file_replaced_while_in_use_is_not_read(tmp_path, make):
    path = make(tmp_path / "a.audio.mp3" if make is make_mp3 else tmp_path / "a.wav", 50_000)
    (part,) = opened(path).parts
    read(part, 0, 100)
    make(path, 60_000, seed=1)
    with pytest.raises(AudioFileError, match="changed while it was in use"):
        read(part, 0, 100)
    path.unlink()
    with pytest.raises(AudioFileError, match="No such file or directory"):
        read(part, 0, 100)


@pytest.mark.parametrize("decoder", EVERY_DECODER)
def test_digital_silence_is_zero(tmp_path, decoder):
    soundfile.write(tmp_path / "a.mp3", np.zeros((60_000, 2), np.float32), RATE)
    (part,) = opened(tmp_path / "a.mp3").parts
    assert not read(part, 0, 60_000, decoder).samples.any()


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("WAV", "GSM610"), ("AIFF", "GSM610"), ("W64", "GSM610"), ("WAV", "G721_32"), ("AU", "G721_32"),
        ("AU", "G723_24"), ("AU", "G723_40"), ("WAV", "NMS_ADPCM_16"), ("WAV", "NMS_ADPCM_24"), ("WAV", "NMS_ADPCM_32"),
        ("CAF", "ALAC_16"), ("CAF", "ALAC_20"), ("CAF", "ALAC_24"), ("CAF", "ALAC_32"), ("WAV", "IMA_ADPCM"),
        ("WAV", "MS_ADPCM"), ("AIFF", "IMA_ADPCM"), ("WAV", "ULAW"), ("AU", "ALAW"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("channels", [1, 2])
def test_windows_are_exact_with_codecs_that_seek_badly_or_not_at_all(tmp_path, container, codec, channels):
    path = tmp_path / "a.audio"
    try:
        write(path, music(20_000, channels=channels), 8_000, container, codec)
    except soundfile.LibsndfileError:
        assert channels == 2  # a codec of one channel
        return
    whole = soundfile.read(path, dtype="float32", always_2d=True)[0]
    track = opened(path)
    (part,) = track.parts
    assert (track.damage, part.num_samples) == ("", len(whole))
    draw = random.Random(0)
    windows = [sorted(draw.sample(range(len(whole) + 1), 2)) for _ in range(20)]
    windows += [(len(whole) - length, len(whole)) for length in (1, 50, 999, 4_000)]
    for start, stop in [(0, len(whole)), *windows]:
        window = read(part, start, stop)
        assert (np.array_equal(window.samples, whole[start:stop]), window.lost) == (True, ())


def test_a_codec_that_cannot_seek_is_silent_behind_its_end_and_counted(tmp_path):
    path = tmp_path / "a.wav"
    write(path, music(20_000, channels=1), 8_000, "WAV", "GSM610")
    (part,) = opened(path).parts
    whole = read(part, 0, part.num_samples).samples.copy()
    window = read(replace(part, num_samples=30_000), 15_000, 30_000)
    assert np.array_equal(window.samples[: len(whole) - 15_000], whole[15_000:])
    assert window.num_lost == 30_000 - len(whole)
    assert not window.samples[len(whole) - 15_000 :].any()


@pytest.mark.parametrize("codec", ["DWVW_16", "DWVW_24"])
def test_a_codec_that_libsndfile_cannot_read_is_refused_with_the_reason(tmp_path, codec):
    path = tmp_path / "a.aiff"
    write(path, music(20_000, channels=1), RATE, "AIFF", codec)
    with pytest.raises(AudioFileError, match=f"libsndfile reads no samples of the codec AIFF/{codec}"):
        opened(path)


def in_wav(data, *, tag=0x55, behind=b"", data_bytes=None, extra=b"LIST\x04\x00\x00\x00INFO"):
    """MPEG audio as a WAV file holds it."""
    fmt = tag.to_bytes(2, "little") + (2).to_bytes(2, "little") + RATE.to_bytes(4, "little") + bytes(22)
    size = (len(data) if data_bytes is None else data_bytes).to_bytes(4, "little")
    chunks = (
        b"fmt " + len(fmt).to_bytes(4, "little") + fmt + extra + b"data" + size + data + bytes(len(data) % 2) + behind
    )
    return b"RIFF" + (len(chunks) + 4).to_bytes(4, "little") + b"WAVE" + chunks


LIST = b"LIST" + (26).to_bytes(4, "little") + b"INFOISFT" + (14).to_bytes(4, "little") + b"Lavf59.27.100\0"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"behind": LIST},
        {"extra": b"fact\x04\x00\x00\x00abcd" + LIST},
        {"data_bytes": 0},
        {"data_bytes": 0xFFFF_FFFF},
    ],
    ids=["plain", "a chunk behind", "chunks before", "no size", "streamed"],
)
@pytest.mark.parametrize("name", ["a.mp3", "layer2_named_mp3.mp3", "crc_protected.mp3"])
def test_mpeg_audio_in_a_wav_is_read_by_its_packets(tmp_path, options, name):
    data = (DATA / name).read_bytes() if name != "a.mp3" else make_mp3(tmp_path / "a.mp3", 60_001).read_bytes()
    (tmp_path / "a.mp3").write_bytes(data)
    (tmp_path / "a.wav").write_bytes(in_wav(data, tag=0x50 if "layer2" in name else 0x55, **options))
    (right,), track = opened(tmp_path / "a.mp3").parts, opened(tmp_path / "a.wav")
    assert (track.damage, track.losses) == ("", ())
    (part,) = track.parts
    assert (part.format, part.num_samples) == (right.format, right.num_samples)
    for start in (0, 20_000, part.num_samples - 3_000):
        assert np.array_equal(
            read(right, start, start + 3_000).samples.copy(), read(part, start, start + 3_000).samples
        )


def test_mpeg_audio_in_a_wav_that_is_cut_off_is_damaged(tmp_path):
    data = in_wav(make_mp3(tmp_path / "a.mp3", 60_001).read_bytes())
    (tmp_path / "a.wav").write_bytes(data[:-2_000])
    assert "its header states 54 audio packets, but the file has" in opened(tmp_path / "a.wav").damage
