import pytest
import torch
from builders import make_mp3, make_ramp, opened

from flowmo_data import AudioFileError
from flowmo_data.decoding import fill_frame
from flowmo_data.tracks.track import Timeline, at_sample_rate


@pytest.fixture
def two_parts(tmp_path):
    parts = [opened(make_ramp(tmp_path / f"{i}.wav", 1 + 10 * i, 10)).parts[0] for i in range(2)]
    return Timeline("joined", tuple(parts))


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (0, [1, 2, 3, 4, 5, 6, 7, 8]),
        (-3, [0, 0, 0, 1, 2, 3, 4, 5]),
        (6, [7, 8, 9, 10, 11, 12, 13, 14]),
        (10, [11, 12, 13, 14, 15, 16, 17, 18]),
        (15, [16, 17, 18, 19, 20, 0, 0, 0]),
        (-8, [0] * 8),
        (20, [0] * 8),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_frame_lies_across_parts_and_past_the_ends(two_parts, start, expected, channels):
    frame = torch.full((channels, 8), -1.0)
    assert fill_frame(two_parts, start, frame, "soundfile").num_valid == sum(value > 0 for value in expected)
    assert frame.tolist() == [expected] * channels


def test_a_frame_longer_than_all_is_padded_on_both_sides(two_parts):
    frame = torch.full((1, 26), -1.0)
    assert fill_frame(two_parts, -2, frame, "soundfile") == (20, 0)
    assert frame.tolist() == [[0, 0, *range(1, 21), 0, 0, 0, 0]]


@pytest.fixture
def track(tmp_path):
    make_mp3(tmp_path / "1.mp3", 30_000)
    make_mp3(tmp_path / "2.mp3", 48_000, rate=48_000)
    path = tmp_path / "joined.mp3"
    path.write_bytes(b"".join((tmp_path / name).read_bytes() for name in ("1.mp3", "2.mp3")))
    return opened(path)


def test_parts_at_another_rate_are_resampled_skipped_or_raised(track):
    assert at_sample_rate(track, 44_100, on_other_rate="resample").num_samples == 30_000 + 44_100
    assert at_sample_rate(track, 44_100, on_other_rate="skip").num_samples == 30_000
    with pytest.raises(AudioFileError, match="its sample rate is 48000 Hz and not sr=44100; on_other_rate='resample'"):
        at_sample_rate(track, 44_100, on_other_rate="raise")
    with pytest.raises(AudioFileError, match="its sample rate is 44100 and 48000 Hz and not sr=16000"):
        at_sample_rate(track, 16_000, on_other_rate="skip")
