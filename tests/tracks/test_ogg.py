import random
from itertools import pairwise, zip_longest

import numpy as np
import pytest
import soundfile
from builders import RATE, music, opened, read
from hypothesis import given
from hypothesis import strategies as st

from flowmo_data import AudioIndex
from flowmo_data.tracks.ogg import last_page, walk_ogg


def page(granule, size=50):
    return b"OggS\0\0" + granule.to_bytes(8, "little") + bytes(size)


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ([], (0, 0)),
        ([page(700)], (0, 700)),
        ([page(0), page(500), page(900)], (500, 900)),
        ([page(500), page(2**64 - 1), page(900)], (500, 900)),
        ([page(i, 60_000) for i in range(1, 30)], (28, 29)),
    ],
)
def test_the_last_pages_where_the_one_before_ends(pages, expected):
    data = b"".join(pages)
    assert last_page(lambda start, stop: data[start:stop], len(data)) == expected


CODECS = [("VORBIS", RATE), ("OPUS", 48_000)]


def make_ogg(path, num_samples, codec, rate, *, seed=0, channels=2):
    """An Ogg file; gives what soundfile reads from it."""
    with soundfile.SoundFile(path, "w", rate, channels, format="OGG", subtype=codec) as file:
        for start in range(0, num_samples, 4_096):
            file.write(music(num_samples, seed=seed, channels=channels)[start : start + 4_096])
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


def assert_reads(parts, *signals):
    assert [part.num_samples for part in parts] == [len(signal) for signal in signals]
    for part, signal in zip(parts, signals, strict=True):
        draw = np.random.default_rng(0)
        windows = np.sort(draw.integers(0, part.num_samples + 1, (10, 2))).tolist()
        windows += [(part.num_samples - length, part.num_samples) for length in (1, 50, 999, 5_000)]
        for start, stop in [(0, part.num_samples), *windows]:
            assert np.array_equal(read(part, start, stop).samples, signal[start:stop])


def pages(data):
    """The pages of a file, as bytes."""
    starts = [at for at in range(len(data)) if data[at : at + 5] == b"OggS\0"]
    return [data[start:stop] for start, stop in zip(starts, [*starts[1:], len(data)], strict=True)]


@pytest.mark.parametrize(("codec", "rate"), CODECS)
def test_links_of_a_chain_are_all_read(tmp_path, codec, rate):
    signals, chain = [], b""
    for seed, num_samples in enumerate([50_000, 50_000, 9_000]):
        signals.append(make_ogg(tmp_path / "a.ogg", num_samples, codec, rate, seed=seed))
        chain += (tmp_path / "a.ogg").read_bytes()
    (tmp_path / "a.ogg").write_bytes(chain)
    track = opened(tmp_path / "a.ogg")
    assert (track.damage, track.losses) == ("", ())
    assert_reads(track.parts, *signals)
    AudioIndex.build(tmp_path).save(tmp_path / "a.parquet")
    assert_reads(AudioIndex.load(tmp_path / "a.parquet").columns.track(0).parts, *signals)


def test_links_may_be_of_any_kind(tmp_path):
    kinds = [("VORBIS", 44_100, 2), ("OPUS", 48_000, 1), ("VORBIS", 22_050, 1)]
    signals, chain = [], b""
    for codec, rate, channels in kinds:
        signals.append(make_ogg(tmp_path / "a.ogg", 60_000, codec, rate, channels=channels))
        chain += (tmp_path / "a.ogg").read_bytes()
    (tmp_path / "a.ogg").write_bytes(chain)
    parts = opened(tmp_path / "a.ogg").parts
    assert [(part.sample_rate, part.channels) for part in parts] == [kind[1:] for kind in kinds]
    assert_reads(parts, *signals)


@pytest.mark.parametrize(("codec", "rate"), CODECS)
def test_links_of_one_serial_number_are_all_read(tmp_path, codec, rate):
    signal = make_ogg(tmp_path / "a.ogg", 50_000, codec, rate)
    (tmp_path / "a.ogg").write_bytes((tmp_path / "a.ogg").read_bytes() * 3)
    assert_reads(opened(tmp_path / "a.ogg").parts, signal, signal, signal)


@pytest.mark.parametrize("junk", [b"", bytes(700), b"OggS\0" + bytes(90), random.Random(0).randbytes(5_000)])
def test_a_link_behind_other_bytes_is_read(tmp_path, junk):
    one = make_ogg(tmp_path / "a.ogg", 50_000, "VORBIS", RATE)
    other = make_ogg(tmp_path / "b.ogg", 40_000, "VORBIS", RATE, seed=1)
    (tmp_path / "c.ogg").write_bytes((tmp_path / "a.ogg").read_bytes() + junk + (tmp_path / "b.ogg").read_bytes())
    assert_reads(opened(tmp_path / "c.ogg").parts, one, other)


def test_a_link_that_is_cut_off_is_reported(tmp_path):
    make_ogg(tmp_path / "a.ogg", 100_000, "VORBIS", RATE)
    other = make_ogg(tmp_path / "b.ogg", 40_000, "VORBIS", RATE, seed=1)
    half = b"".join(pages((tmp_path / "a.ogg").read_bytes())[:6])
    (tmp_path / "c.ogg").write_bytes(half + (tmp_path / "b.ogg").read_bytes())
    track = opened(tmp_path / "c.ogg")
    assert track.damage == "it is cut off: its last page has no end mark"
    assert_reads(track.parts[1:], other)


def test_a_link_that_cannot_be_read_is_reported_with_its_length(tmp_path):
    one = make_ogg(tmp_path / "a.ogg", 50_000, "VORBIS", RATE)
    make_ogg(tmp_path / "b.ogg", 96_000, "OPUS", 48_000)
    broken = (tmp_path / "b.ogg").read_bytes().replace(b"OpusTags", b"NoOpTags")
    (tmp_path / "c.ogg").write_bytes((tmp_path / "a.ogg").read_bytes() + broken)
    track = opened(tmp_path / "c.ogg")
    assert track.damage.startswith("it holds link 2 of 2, which libsndfile does not read (")
    (loss,) = track.losses
    assert loss.seconds == pytest.approx(2, abs=0.1)
    assert_reads(track.parts, one)
    (tmp_path / "c.ogg").write_bytes(broken + (tmp_path / "a.ogg").read_bytes())
    assert_reads(opened(tmp_path / "c.ogg").parts, one)


@pytest.mark.parametrize(("codec", "rate"), CODECS)
def test_a_second_stream_beside_the_first_is_reported_with_its_length(tmp_path, codec, rate):
    one = make_ogg(tmp_path / "a.ogg", 2 * rate, codec, rate)
    make_ogg(tmp_path / "b.ogg", 3 * rate, codec, rate, seed=1)
    first, second = (pages((tmp_path / name).read_bytes()) for name in ("a.ogg", "b.ogg"))
    body = [page for both in zip_longest(first[1:], second[1:], fillvalue=b"") for page in both]
    (tmp_path / "c.ogg").write_bytes(b"".join([first[0], second[0], *body]))
    track = opened(tmp_path / "c.ogg")
    assert track.damage == "it holds 1 more audio streams beside the first"
    (loss,) = track.losses
    assert loss.seconds == pytest.approx(3, abs=0.1)
    assert_reads(track.parts, one)


@given(
    st.lists(st.sampled_from([b"OggS", b"OggS\0\2", b"\1vorbis", b"OpusHead", bytes(20), b"\xff" * 20]), max_size=30)
)
def test_any_bytes_have_links_that_cover_them(chunks):
    data = b"".join(chunks)
    links = walk_ogg(lambda start, stop: data[start:stop], len(data))
    assert all(link.stop == after.start for link, after in pairwise(links))
    assert not links or links[-1].stop == len(data)


def test_many_links_that_cannot_be_read_make_a_short_line(tmp_path):
    signal = make_ogg(tmp_path / "a.ogg", 9_000, "VORBIS", RATE)
    broken = (tmp_path / "a.ogg").read_bytes().replace(b"\3vorbis", b"\3vorbiz")
    (tmp_path / "a.ogg").write_bytes((tmp_path / "a.ogg").read_bytes() + broken * 20)
    track = opened(tmp_path / "a.ogg")
    assert track.damage.endswith("; and 15 more")
    assert len(track.losses) == 20
    assert_reads(track.parts, signal)
