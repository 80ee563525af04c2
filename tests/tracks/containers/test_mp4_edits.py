"""Edit lists and iTunSMPB: as numbers, and in files, where they decide what the signal is."""

import numpy as np
import pytest
from builders import music, opened, read
from containers import encode, whole_decode

from flowmo_data.tracks.containers.mp4_edits import Edit, Edits, parse_smpb, read_edits

RATE, LENGTH = 44_100, 100_003


def box(name, content, wide=False):
    size = len(content) + 8
    return (b"\0\0\0\1" + name + (size + 8).to_bytes(8, "big") if wide else size.to_bytes(4, "big") + name) + content


def timescale(value, version):
    return bytes([version, 0, 0, 0]) + bytes(16 if version else 8) + value.to_bytes(4, "big") + bytes(8)


def elst(*edits, version=0):
    width = 8 if version else 4
    entries = b"".join(
        duration.to_bytes(width, "big") + start.to_bytes(width, "big", signed=True) + b"\0\1\0\0"
        for duration, start in edits
    )
    return box(b"elst", bytes([version, 0, 0, 0]) + len(edits).to_bytes(4, "big") + entries)


def movie(*edits, version=0, wide=False):
    media = box(b"mdia", box(b"mdhd", timescale(RATE, version)))
    tracks = [
        box(b"trak", box(b"tkhd", timescale(number, version)) + each + media)
        for number, each in ((1, b""), (2, box(b"edts", elst(*edits, version=version))))
    ]
    moov = box(b"moov", box(b"mvhd", timescale(1_000, version)) + b"".join(tracks), wide=wide)
    return box(b"ftyp", b"M4A ") + box(b"mdat", bytes(1_000), wide=wide) + moov


def edits_of(data, track_id=2):
    return read_edits(lambda start, stop: data[start:stop], len(data), track_id)


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("wide", [False, True])
def test_the_edits_of_a_track(version, wide):
    data = movie((500, -1), (2_000, 1_024), (0, 90_000), version=version, wide=wide)
    assert edits_of(data) == Edits(RATE, 1_000, (Edit(1_024, 2_000), Edit(90_000, 0)))
    assert edits_of(data, 1).edits == edits_of(data, 3).edits == ()


def test_bytes_that_are_no_movie_have_no_edits():
    data = movie((2_000, 1_024))
    random = np.random.default_rng(0)
    for stop in range(0, len(data), 7):
        assert edits_of(data[:stop]).edits in ((), (Edit(1_024, 2_000),))
    for _ in range(300):
        noisy = bytearray(data)
        for place in random.integers(0, len(data), 5):
            noisy[place] = random.integers(256)
        edits_of(bytes(noisy))
    assert edits_of(b"").edits == ()


@pytest.mark.parametrize(
    "text", ["", "0 1", "x y z w", " 00000000 00000840 000001CA 00000000003F31F7 0", " 0 5000 0 1", " 0 840 -840 0"]
)
def test_a_wrong_tag_is_no_tag(text):
    assert parse_smpb(text, 0x840 + 0x1CA + 0x3F31F6) is None


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    """AAC without an edit list that counts, and the samples of all packets."""
    path = encode(tmp_path_factory.mktemp("edits") / "a.mp4", "aac", music(LENGTH), options={"aac_pns": "0"})
    data = path.read_bytes()
    plain = data.replace(b"elst", b"free")
    path.write_bytes(plain)
    return path, data, whole_decode(path)


def patched(data, start, milliseconds):
    """The file with another edit."""
    at = data.index(b"elst") + 12
    return data[:at] + milliseconds.to_bytes(4, "big") + start.to_bytes(4, "big", signed=True) + data[at + 8 :]


@pytest.mark.parametrize(
    ("start", "milliseconds", "expected"),
    [
        (1_024, round(LENGTH / RATE * 1_000), (1_024, 1_024 + LENGTH)),  # as the encoder has it
        (0, 1_000_000, (0, 1_024 + LENGTH)),  # longer than the track
        (2_112, 0, (2_112, 1_024 + LENGTH)),  # up to the end
        (5_000, 1_000, (5_000, 5_000 + RATE)),
        (90_000, 200, (90_000, 90_000 + 8_820)),
        (-1, 500, (0, 1_024 + LENGTH)),  # a delay, which is not made of samples
        (500_000, 500, (0, 1_024 + LENGTH)),  # leaves nothing
    ],
)
def test_an_edit_is_the_signal(song, tmp_path, start, milliseconds, expected):
    _, data, everything = song
    path = tmp_path / "edit.mp4"
    path.write_bytes(patched(data, start, milliseconds))
    track = opened(path)
    (part,) = track.parts
    assert not track.damage
    assert (part.delay, part.delay + part.num_samples) == expected
    assert np.array_equal(read(part, 0, part.num_samples).samples, everything[slice(*expected)])
    assert np.array_equal(read(part, 700, 9_000).samples, everything[expected[0] + 700 : expected[0] + 9_000])


def with_smpb(data, text):
    """The file with a tag of iTunes at the end of its description, which is the end of the file."""
    words = b"\0\0\0\0"
    tag = box(
        b"----",
        box(b"mean", words + b"com.apple.iTunes")
        + box(b"name", words + b"iTunSMPB")
        + box(b"data", b"\0\0\0\1" + words + text.encode()),
    )
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    more = box(b"udta", box(b"meta", words + handler + box(b"ilst", tag)))
    at = data.index(b"moov") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    assert at + size == len(data)
    return data[:at] + (size + len(more)).to_bytes(4, "big") + data[at + 4 :] + more


def test_itunsmpb_counts_more_than_edits(song, tmp_path):
    _, data, everything = song
    delay, length = 2_112, 90_000
    padding = len(everything) - delay - length
    path = tmp_path / "smpb.m4a"
    path.write_bytes(with_smpb(data, f" 00000000 {delay:08X} {padding:08X} {length:016X} 00000000 00000000"))
    (part,) = opened(path).parts
    assert (part.delay, part.num_samples) == (delay, length)
    assert np.array_equal(read(part, 0, length).samples, everything[delay : delay + length])
    path.write_bytes(with_smpb(data, f" 00000000 {delay:08X} {padding + 1:08X} {length:016X} 00000000 00000000"))
    (part,) = opened(path).parts
    assert (part.delay, part.num_samples) == (1_024, LENGTH)  # the tag does not fit, so the edit list counts


def test_several_edits_are_several_parts(song, tmp_path):
    _, data, everything = song
    at = data.index(b"edts") - 4
    old = data[at : at + int.from_bytes(data[at : at + 4], "big")]
    track_at, movie_at = data.index(b"trak") - 4, data.index(b"moov") - 4
    new = box(b"edts", elst((1_000, 1_024), (500, 60_000)))
    grown = bytearray(data[:at] + new + data[at + len(old) :])
    for place in (track_at, movie_at):
        size = int.from_bytes(grown[place : place + 4], "big") + len(new) - len(old)
        grown[place : place + 4] = size.to_bytes(4, "big")
    path = tmp_path / "two.mp4"
    path.write_bytes(grown)
    parts = opened(path).parts
    assert [(part.delay, part.num_samples) for part in parts] == [(1_024, RATE), (60_000, RATE // 2)]
    assert np.array_equal(read(parts[1], 0, 22_050).samples, everything[60_000:82_050])
