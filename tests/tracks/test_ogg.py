import random
from itertools import pairwise, zip_longest

import numpy as np
import pytest
import soundfile
from builders import RATE, music, opened, read
from hypothesis import given
from hypothesis import strategies as st
from ogg_writer import crc_of, page_starts, repaged, write_page

from flowmo_data import AudioIndex
from flowmo_data.tracks.ogg import last_page, walk_ogg
from flowmo_data.tracks.ogg_pages import checksum, renumbered
from flowmo_data.tracks.ogg_pages import pages as walk_pages


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
    return [data[start:stop] for start, stop in pairwise([*page_starts(data), len(data)])]


def with_checksums(data):
    """A file with the right checksums in its pages."""
    return b"".join(renumbered(page, int.from_bytes(page[18:22], "little")) for page in pages(data))


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
    broken = with_checksums((tmp_path / "b.ogg").read_bytes().replace(b"OpusTags", b"NoOpTags"))
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
    st.lists(
        st.one_of(
            st.sampled_from([b"OggS", b"OggS\0\2", b"\1vorbis", b"OpusHead", bytes(20), b"\xff" * 20]),
            st.builds(
                write_page,
                st.lists(st.sampled_from([b"\1vorbis" + bytes(23), b"OpusHead", b"", bytes(300)]), max_size=3),
                granule=st.integers(-1, 1 << 40), serial=st.integers(0, 2), number=st.integers(0, 4),
                flags=st.integers(0, 7),
            ),
        ),
        max_size=30,
    )
)  # fmt: skip
def test_any_bytes_have_runs_that_do_not_overlap(chunks):
    data = b"".join(chunks)
    found = walk_ogg(lambda start, stop: data[start:stop], 0, len(data))
    runs = [run for link in found.links for run in link.runs]
    assert all(link.runs for link in found.links)
    assert all(run.start < run.stop for run in runs)
    assert all(run.stop <= after.start for run, after in pairwise(runs))
    assert sum(run.stop - run.start for run in runs) + found.lost_bytes + found.trailing_bytes == len(data)


def test_many_links_that_cannot_be_read_make_a_short_line(tmp_path):
    signal = make_ogg(tmp_path / "a.ogg", 9_000, "VORBIS", RATE)
    broken = with_checksums((tmp_path / "a.ogg").read_bytes().replace(b"\3vorbis", b"\3vorbiz"))
    (tmp_path / "a.ogg").write_bytes((tmp_path / "a.ogg").read_bytes() + broken * 20)
    track = opened(tmp_path / "a.ogg")
    assert track.damage.endswith("; and 15 more")
    assert len(track.losses) == 20
    assert_reads(track.parts, signal)


@given(st.binary(max_size=300), st.integers(0, 1 << 32))
def test_checksums_are_those_of_the_definition(content, number):
    page = write_page([content], granule=7, serial=1, number=3)
    assert checksum(page) == int.from_bytes(page[22:26], "little") == crc_of(page[:22] + bytes(4) + page[26:])
    again = renumbered(page, number)
    (found,) = walk_pages(lambda start, stop: again[start:stop], 0, len(again))
    assert (found.number, found.granule, found.stop, found.num_packets) == (number % (1 << 32), 7, len(page), 1)


def damaged(data, kind, number):
    """A file with a damaged page."""
    parts = pages(data)
    page = parts[number]
    parts[number] = {
        "a bit": page[:-9] + bytes((page[-9] ^ 4,)) + page[-8:],
        "its marker": b"0ggS" + page[4:],
        "half of it": page[: len(page) // 2],
        "all of it": b"",
        "noise": random.Random(0).randbytes(len(page)),
    }[kind]
    return b"".join(parts)


@pytest.mark.parametrize("kind", ["a bit", "its marker", "half of it", "all of it", "noise"])
@pytest.mark.parametrize(("codec", "rate"), CODECS)
def test_a_damaged_page_costs_its_samples_and_is_reported_with_its_seconds(tmp_path, codec, rate, kind):
    path = tmp_path / "a.ogg"
    signal = make_ogg(path, 2 * rate, codec, rate, channels=1)
    data = repaged(path.read_bytes(), 10)
    path.write_bytes(data)
    assert opened(path).damage == ""
    starts = [int.from_bytes(page[6:14], "little") for page in pages(data)]
    path.write_bytes(damaged(data, kind, 6))
    track = opened(path)
    first, second = track.parts
    shift = starts[-1] - len(signal)
    assert first.num_samples == starts[5] - shift
    assert np.array_equal(read(first, 0, first.num_samples).samples, signal[: first.num_samples])
    assert second.num_samples > len(signal) - (starts[6] - shift) - 2_048  # a block that overlaps with the damage
    heard = read(second, 0, second.num_samples).samples.copy()
    exact = heard[24_000:] if codec == "OPUS" else heard
    assert exact == pytest.approx(signal[-len(exact) :], abs=1e-5 if codec == "OPUS" else 0)
    for start, stop in [(0, 1_000), (5_000, 30_000), (second.num_samples - 5, second.num_samples)]:
        assert np.array_equal(read(second, start, stop).samples, heard[start:stop])
    (loss,) = track.losses
    assert loss.start_seconds == pytest.approx(first.num_samples / rate)
    assert loss.seconds * rate == pytest.approx(len(signal) - first.num_samples - second.num_samples, abs=0.1)
    assert track.damage.startswith("pages inside are damaged or missing")
    assert ("bytes inside are not whole Ogg pages" in track.damage) == (kind != "all of it")
    AudioIndex.build(tmp_path).save(tmp_path / "a.parquet")
    again = AudioIndex.load(tmp_path / "a.parquet").columns.track(0).parts
    assert np.array_equal(read(again[1], 5_000, 30_000).samples, heard[5_000:30_000])


@pytest.mark.parametrize(("codec", "rate"), CODECS)
def test_an_ogg_file_that_is_cut_off_is_reported(tmp_path, codec, rate):
    path = tmp_path / "a.ogg"
    signal = make_ogg(path, rate, codec, rate, channels=1)
    data = pages(repaged(path.read_bytes(), 10))
    path.write_bytes(b"".join(data[:-1]))
    track = opened(path)
    assert track.damage == "it is cut off: its last page has no end mark"
    heard = read(track.parts[0], 0, track.parts[0].num_samples).samples
    assert np.array_equal(heard, signal[: len(heard)])
    path.write_bytes(b"".join(data)[:-20])
    assert "bytes at its end are not a whole Ogg page" in opened(path).damage


@pytest.mark.parametrize("numbered_on", [False, True])
@pytest.mark.parametrize(("codec", "rate"), CODECS)
def test_a_stream_recorded_from_its_middle_on_is_whole(tmp_path, codec, rate, numbered_on):
    """As recordings of radio streams: the headers, and the pages from some time on."""
    path = tmp_path / "a.ogg"
    signal = make_ogg(path, 2 * rate, codec, rate, channels=1)
    data = pages(repaged(path.read_bytes(), 10))
    late = data[5:]
    if numbered_on:
        late = [renumbered(page, number) for number, page in enumerate(late, 2)]
    path.write_bytes(b"".join(data[:2] + late))
    track = opened(path)
    (part,) = track.parts
    assert track.damage == ""
    heard = read(part, 0, part.num_samples).samples.copy()
    skipped = 24_000 if codec == "OPUS" else 0
    assert heard[skipped:] == pytest.approx(signal[skipped - len(heard) :], abs=1e-5)
    for start, stop in [(0, 700), (100, 30_000), (len(heard) // 2, len(heard)), (len(heard) - 5, len(heard))]:
        assert np.array_equal(read(part, start, stop).samples, heard[start:stop])


def test_tags_at_both_ends_of_an_ogg_file_are_no_damage(tmp_path):
    path = tmp_path / "a.ogg"
    signal = make_ogg(path, 50_000, "VORBIS", RATE)
    path.write_bytes(b"ID3\4\0\0\0\0\0\x14" + bytes(20) + path.read_bytes() + b"TAG" + bytes(125))
    track = opened(path)
    assert track.damage == ""
    assert_reads(track.parts, signal)
