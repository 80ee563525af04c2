import pytest
from builders import make_mp3, make_wav, opened

from flowmo_data import AudioFileError, SampleRateError
from flowmo_data.tracks import AlignedTrack, Loss, Track, at_sample_rate, open_aligned
from flowmo_data.tracks.aligned import sources_of_set


@pytest.fixture
def parts(tmp_path):
    """The parts of files of 1 s and 2 s at 44.1 kHz, and of 1 s at 48 kHz."""
    lengths = {"one": (44_100, 44_100), "two": (88_200, 44_100), "other": (48_000, 48_000)}
    paths = {name: make_wav(tmp_path / f"{name}.wav", *size[:1], rate=size[1]) for name, size in lengths.items()}
    return {name: opened(path).parts for name, path in paths.items()}


def aligned(*tracks):
    return AlignedTrack(tuple("abc"[: len(tracks)]), tracks)


def length(track, **options):
    timeline = at_sample_rate(track, 44_100, **{"on_other_rate": "resample", **options})
    (num_samples,) = {member.num_samples for member in timeline.members}
    assert num_samples == timeline.num_samples
    return num_samples


def test_the_shortest_counts(parts):
    track = aligned(Track("/a", parts["two"]), Track("/b", parts["one"]))
    assert (track.path, track.losses, length(track)) == ("/a", (), 44_100)
    assert track.damage == "the lengths of the aligned files differ (a 2.000 s, b 1.000 s), and the shortest counts"
    assert aligned(Track("/a", parts["one"]), Track("/b", parts["other"])).damage == ""


def test_windows_end_with_the_shortest(parts):
    timeline = at_sample_rate(
        aligned(Track("/a", parts["two"]), Track("/b", parts["one"])), 44_100, on_other_rate="skip"
    )
    assert [list(each.windows(40_000, 50_000)) for each in timeline.members] == [
        [(parts["two"][0], 40_000, 44_100)],
        [(parts["one"][0], 40_000, 44_100)],
    ]
    assert list(timeline.members[0].windows(44_100, 50_000)) == []


@pytest.mark.parametrize(
    ("start", "expected", "lost"),
    [(0.5, 22_050, 0.5), (0.97, 42_777, 0), (1.0, 44_100, 0), (1.5, 44_100, 0)],
)
def test_the_first_loss_ends_what_is_aligned(parts, start, expected, lost):
    losses = (Loss(start, 0.1), Loss(1.9, 0.1))
    track = aligned(Track("/a", parts["one"]), Track("/b", parts["two"], "torn", losses), Track("/c", parts["two"]))
    assert length(track) == expected
    assert sum(loss.seconds for loss in track.losses) == lost
    cut = f"the aligned files are cut at {start:.3f} s, because audio is missing there from /b"
    assert track.damage == cut if lost else "differ" in track.damage


def test_a_loss_at_the_start_leaves_nothing(parts):
    track = aligned(Track("/a", parts["one"]), Track("/b", parts["one"], "torn", (Loss(0.0, 0.1),)))
    message = (
        "^/b: audio is missing from its start, so it is not aligned; the files that are aligned with it are skipped"
    )
    with pytest.raises(AudioFileError, match=message):
        length(track)


def test_rates(parts):
    track = aligned(Track("/a", parts["one"]), Track("/b", parts["other"]))
    assert length(track) == 44_100
    for on_other_rate in ("skip", "raise"):
        with pytest.raises(SampleRateError, match=r"^/b: its sample rate is 48000 Hz.*the files that are aligned with"):
            length(track, on_other_rate=on_other_rate)
    track = aligned(Track("/a", parts["one"]), Track("/b", parts["other"] + parts["one"]))
    with pytest.raises(SampleRateError, match=r"^/b: some of its parts are not at sr=44100, and without them"):
        length(track, on_other_rate="skip")


def test_opening(tmp_path):
    paths = [str(make_wav(tmp_path / "a.wav", 10_000)), str(make_mp3(tmp_path / "a.mp3", 10_000))]
    track = open_aligned(("x", "y"), sources_of_set(paths))
    assert ([each.path for each in track.members], length(track)) == (paths, 10_000)
    (tmp_path / "a.mp3").write_bytes(b"")
    with pytest.raises(AudioFileError, match=r"a\.mp3: the file is empty \(0 bytes\); the files that are aligned with"):
        open_aligned(("x", "y"), sources_of_set(paths))
