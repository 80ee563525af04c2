import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmo_data.epochs.framing import frame_starts, skips_phase
from flowmo_data.epochs.plan import EpochPlan, draw_phases, frame_counts, frames_per_epoch
from flowmo_data.epochs.randomness import Permutation, Purpose, random_bits

LENGTHS = np.array([50, 7, 0, 200, 1, 64, 129, 31, 32, 33, 96, 16, 15, 17], np.int64)


def plan(lengths=LENGTHS, *, epoch=0, **options):
    given = {"samples_per_frame": 16, "framing": "pad", "shuffle": True, "shuffle_buffer_size": None, "seed": 3}
    return EpochPlan(np.array(lengths, np.int64), epoch=epoch, **{**given, **options})


def by_file(frames):
    files = {}
    for file, start in frames:
        files.setdefault(file, []).append(start)
    return {file: sorted(starts) for file, starts in files.items()}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 90), max_size=12),
    st.sampled_from(["pad", "drop"]),
    st.sampled_from([None, 1, 5, 1_000]),
    st.booleans(),
    st.integers(1, 20),
    st.none() | st.integers(1, 30),
    st.integers(0, 5),
)
def test_a_plan_covers_every_file_as_framing_does(
    lengths, framing, buffer_size, shuffle, samples_per_frame, hop, epoch
):
    frames = list(
        plan(
            lengths, samples_per_frame=samples_per_frame, framing=framing, shuffle=shuffle,
            shuffle_buffer_size=buffer_size, epoch=epoch, hop=hop,
        )
    )  # fmt: skip
    files = by_file(frames)
    for file, length in enumerate(lengths):
        starts = files.get(file, [])
        skips = skips_phase(samples_per_frame, framing, hop or samples_per_frame)
        phase = 0 if not starts else starts[0] if skips else -starts[0]
        assert 0 <= phase < (hop or samples_per_frame)
        expected = frame_starts(length, samples_per_frame=samples_per_frame, phase=phase, framing=framing, hop=hop)
        assert starts == list(expected)
        assert bool(starts) == (length > 0 if framing == "pad" else length >= samples_per_frame)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 90), min_size=1, max_size=30),
    st.sampled_from(["pad", "drop"]),
    st.integers(1, 20),
    st.none() | st.integers(1, 30),
    st.none() | st.integers(1, 50),
)
def test_every_epoch_has_as_many_frames(lengths, framing, samples_per_frame, hop, limit):
    given = {"framing": framing, "samples_per_frame": samples_per_frame, "hop": hop, "limit": limit}
    counts = {len(plan(lengths, epoch=epoch, **given)) for epoch in range(8)}
    assert counts == {frames_per_epoch(np.array(lengths), shuffle=True, **given)}
    unshuffled = plan(lengths, shuffle=False, **given)
    assert len(unshuffled) == frames_per_epoch(np.array(lengths), shuffle=False, **given)


@pytest.mark.parametrize(("frame", "hop"), [(16, None), (40, 16), (10, 16)])
@pytest.mark.parametrize("framing", ["pad", "drop"])
def test_phases_are_uniform(framing, frame, hop):
    lengths = np.random.default_rng(0).integers(80, 400, 200)
    drawn = [
        draw_phases(lengths, frame, framing, random_bits(1, epoch, Purpose.PHASE), hop=hop) for epoch in range(500)
    ]
    counts = np.bincount(np.concatenate(drawn), minlength=16)
    assert counts.shape == (16,)
    assert np.abs(counts / (500 * 200 / 16) - 1).max() < 0.06
    by_file = np.array([np.bincount(phases, minlength=16) for phases in np.array(drawn).T])
    assert by_file.min() > 5  # of 31


def test_counts_are_those_of_framing():
    for framing in ("pad", "drop"):
        phases = draw_phases(LENGTHS, 16, framing, random_bits(1, 2, Purpose.PHASE))
        counts = frame_counts(LENGTHS, 16, framing, phases)
        for length, phase, count in zip(LENGTHS.tolist(), phases.tolist(), counts.tolist(), strict=True):
            starts = frame_starts(length, samples_per_frame=16, phase=phase, framing=framing)
            assert count == (len(starts) if length else 0)


@pytest.mark.parametrize("buffer_size", [None, 5])
def test_epochs_and_seeds_differ_in_order_and_phase(buffer_size):
    one, again, other_epoch, other_seed = (
        list(plan(shuffle_buffer_size=buffer_size, **options)) for options in ({}, {}, {"epoch": 1}, {"seed": 4})
    )
    assert one == again
    assert one not in (other_epoch, other_seed)
    assert by_file(one) != by_file(other_epoch)


def test_a_global_shuffle_sends_a_file_everywhere():
    frames = list(plan([16_000, 16_000]))
    places = [place for place, frame in enumerate(frames) if frame.file == 0]
    assert places[0] < 20
    assert places[-1] > len(frames) - 20
    steps = Counter(later.start - earlier.start for earlier, later in itertools.pairwise(frames))
    assert steps[16] < 20


def test_blocks_shuffle_only_inside():
    frames = list(plan([16_000], shuffle_buffer_size=100))
    first = frames[0].start // 16
    for block in range(len(frames) // 100):
        inside = sorted(frame.start for frame in frames[block * 100 : block * 100 + 100])
        assert inside[-1] - inside[0] == 99 * 16
    assert first != 0 or frames[1].start // 16 != 1


def test_without_shuffling_the_order_is_that_of_files():
    frames = list(plan(shuffle=False))
    assert frames == sorted(frames)
    assert all(starts[0] == 0 for starts in by_file(frames).values())


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_limit_selects_the_same_evenly_spaced_frames_in_every_epoch(shuffle):
    every = list(plan([1_000, 2_000, 1_000], shuffle=False, samples_per_frame=10))
    limited = [
        list(plan([1_000, 2_000, 1_000], shuffle=shuffle, samples_per_frame=10, limit=8, epoch=e)) for e in (0, 1)
    ]
    assert sorted(limited[0]) == sorted(limited[1]) == every[25::50]
    assert (limited[0] == limited[1]) == (not shuffle)
    assert sorted(plan([1_000, 2_000, 1_000], shuffle=shuffle, samples_per_frame=10, limit=500)) == every
    assert list(plan([1_000], samples_per_frame=10, limit=1)) == [(0, 500)]


@given(st.lists(st.integers(0, 90), max_size=12), st.integers(1, 30))
def test_no_frame_is_selected_twice(lengths, limit):
    frames = list(plan(lengths, limit=limit, samples_per_frame=5))
    assert len(set(frames)) == len(frames) == min(limit, len(plan(lengths, shuffle=False, samples_per_frame=5)))


def test_a_plan_of_nothing_is_empty():
    assert len(plan([])) == len(plan([0, 0])) == 0
    with pytest.raises(IndexError, match="there are 0 frames, none at 0"):
        plan([])[0]


@pytest.mark.parametrize("length", [1, 2, 3, 100, 1_025])
def test_a_permutation_at_once_is_that_one_by_one(length):
    permutation = Permutation(length, random_bits(1, 2, Purpose.FILE_ORDER))
    assert permutation.array().tolist() == list(permutation)
    assert sorted(permutation) == list(range(length))
