"""First bytes, and the demuxer for them."""

import pytest

from flowmo_data.tracks.containers.kinds import demuxer_of, dolby_length
from flowmo_data.tracks.mpeg.headers import parse_header

ADTS = bytes.fromhex("fff150400a7ffc") + bytes(76)
AC3 = bytes.fromhex("0b772f0b144043e1") + bytes(8)


@pytest.mark.parametrize(
    ("data", "demuxer"),
    [
        (b"\0\0\0\x1cftypM4A \0\0\2\0", "mov"),
        (b"\0\0\0\1mdat\0\0\0\0\0\0\1\0", "mov"),
        (b"\0\0\0\5ftypM4A \0\0\2\0", ""),  # no box is so short
        (b"\x1a\x45\xdf\xa3" + bytes(12), "matroska"),
        (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "asf"),
        (b"wvpk" + bytes(12), "wv"),
        (b"MAC \x96\x0f" + bytes(10), "ape"),
        (b"TTA1" + bytes(12), "tta"),
        (b"#!AMR\n" + bytes(10), "amr"),
        (AC3, "ac3"),
        (bytes.fromhex("0b7700bf3487c000") + bytes(8), "eac3"),
        (b"\x0b\x77" + b"\xff" * 14, ""),
        (ADTS * 2, "aac"),
        (ADTS, "aac"),
        (ADTS + b"no second frame", ""),
        (b"\xff\xfb\x90\x64" + bytes(500), ""),
        (b"fLaC" + bytes(12), ""),
        (b"OggS" + bytes(12), ""),
        (b"RIFF\0\0\0\0WAVEfmt ", ""),
        (b"text that is no audio at all", ""),
        (b"wvpk", ""),
        (b"", ""),
    ],
)
def test_the_first_bytes_give_the_demuxer(data, demuxer):
    assert demuxer_of(lambda start, stop: data[start:stop], 0, len(data)) == demuxer
    moved = b"tags" + data
    assert demuxer_of(lambda start, stop: moved[start:stop], 4, len(moved)) == demuxer


def test_adts_is_no_mpeg_audio():
    assert parse_header(ADTS[:4]) is None


def test_the_bytes_of_a_frame_of_dolby():
    assert dolby_length(AC3, "ac3") == 768
    assert dolby_length(AC3[:4] + b"\x55" + AC3[5:], "ac3") == 2 * (192_000 * 1_536 // 16 // 44_100 + 1)
    assert dolby_length(AC3, "aac") == dolby_length(b"", "ac3") == dolby_length(b"\xff" * 5, "ac3") == 0
