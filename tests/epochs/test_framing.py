from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmo_data import OptionError
from flowmo_data.epochs.framing import frame_starts, jittered_starts
from flowmo_data.epochs.options import check_framing

sizes = st.integers(1, 50)


def starts(num_samples, frame, phase, framing, hop=None):
    return list(frame_starts(num_samples, samples_per_frame=frame, phase=phase, framing=framing, hop=hop))


@given(st.integers(1, 1_000), sizes, st.data())
def test_pad_covers_every_sample_once(num_samples, frame, data):
    phase = data.draw(st.integers(0, frame - 1))
    covered = [i for start in starts(num_samples, frame, phase, "pad") for i in range(start, start + frame)]
    assert [i for i in covered if 0 <= i < num_samples] == list(range(num_samples))
    assert covered[0] == -phase


@given(st.integers(1, 1_000), sizes, st.data())
def test_no_frame_is_all_padding(num_samples, frame, data):
    phase = data.draw(st.integers(0, frame - 1))
    for start in starts(num_samples, frame, phase, "pad"):
        assert start + frame > 0
        assert start < num_samples


@given(st.integers(1, 1_000), sizes, st.data())
def test_drop_gives_whole_frames_side_by_side(num_samples, frame, data):
    phase = data.draw(st.integers(0, frame - 1))
    found = starts(num_samples, frame, phase, "drop")
    assert bool(found) == (num_samples >= frame)
    for start in found:
        assert 0 <= start <= num_samples - frame
    assert all(b - a == frame for a, b in pairwise(found))
    if num_samples >= phase + frame:
        assert found[0] == phase
        assert len(found) == (num_samples - phase) // frame


@given(st.integers(1, 1_000), sizes, st.data())
def test_overlapping_frames_cover_every_sample_and_end_with_the_file(num_samples, frame, data):
    hop = data.draw(st.integers(1, frame))
    phase = data.draw(st.integers(0, hop - 1))
    found = starts(num_samples, frame, phase, "pad", hop)
    covered = {i for start in found for i in range(start, start + frame)}
    assert covered.issuperset(range(num_samples))
    assert found[0] == -phase
    assert all(b - a == hop for a, b in pairwise(found))
    assert all(start + frame < num_samples for start in found[:-1])
    whole = starts(num_samples, frame, phase, "drop", hop)
    assert whole == list(range(whole[0] if whole else 0, num_samples - frame + 1, hop))


@given(st.integers(1, 1_000), sizes, st.data())
def test_with_gaps_every_file_has_a_frame(num_samples, frame, data):
    hop = data.draw(st.integers(frame + 1, 100))
    phase = data.draw(st.integers(0, hop - 1))
    found = starts(num_samples, frame, phase, "pad", hop)
    assert 0 <= found[0] <= phase
    assert found[-1] < num_samples <= found[-1] + hop
    assert all(b - a == hop for a, b in pairwise(found))


@given(st.integers(1, 1_000), sizes, st.integers(1, 100), st.sampled_from(["pad", "drop"]))
def test_jitter_reaches_every_place_of_a_file(num_samples, frame, hop, framing):
    found = starts(num_samples, frame, 0, framing, hop)
    reached = {
        moved for start in found for moved in jittered_starts(start, num_samples, samples_per_frame=frame, hop=hop)
    }
    assert reached.issuperset(range(num_samples - frame + 1))
    assert reached.issubset(range(num_samples))


@pytest.mark.parametrize("framing", ["pad", "drop"])
def test_an_empty_file_has_no_frame(framing):
    assert starts(0, 4, 3, framing) == []


@pytest.mark.parametrize(
    ("num_samples", "phase", "framing", "expected"),
    [
        (10, 0, "pad", [0, 4, 8]),
        (8, 0, "pad", [0, 4]),
        (8, 3, "pad", [-3, 1, 5]),
        (1, 3, "pad", [-3]),
        (10, 0, "drop", [0, 4]),
        (10, 3, "drop", [3]),
        (5, 3, "drop", [1]),
        (3, 0, "drop", []),
    ],
)
def test_table(num_samples, phase, framing, expected):
    assert starts(num_samples, 4, phase, framing) == expected


def test_an_unknown_framing_is_refused():
    with pytest.raises(OptionError, match="framing='crop': use 'pad'"):
        check_framing("crop")
