"""Damaged files of the formats that are no MPEG audio: see tests/fuzz/format_variants.py for what holds."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from builders import RATE, music, opened, read

from flowmo_data import AudioIndex

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

from format_study import format_outcomes
from format_variants import check_format_variant
from formats import FORMATS, format_bases
from mutations import FORMAT_KINDS

WINDOWS = [(0, 40_000), (1, 2), (4_095, 8_193), (11_000, 30_000), (20_480, 20_481), (30_000, 36_000)]
FEW = 18
MANY = 5_000


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files_keep_every_promise(tmp_path, name, monkeypatch):
    monkeypatch.setattr(logging.getLogger("flowmo_data"), "propagate", False)
    bases = format_bases(name)
    found = {seed: check_format_variant(bases, seed, tmp_path / "variant.audio") for seed in range(FEW)}
    assert {seed: (outcome.what, outcome.problems) for seed, outcome in found.items() if outcome.problems} == {}
    assert len({outcome.kind for outcome in found.values()}) > len(FORMAT_KINDS) // 2
    checked, whole = (sum(getattr(outcome, f"{word}_seconds") for outcome in found.values())
                      for word in ("checked", "ideal"))  # fmt: skip
    assert checked > 0.3 * whole  # the others are behind damage that moves them, or their header is damaged


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_many_mutated_files_keep_every_promise_and_end_no_process(name):
    found = dict(format_outcomes(name, 0, MANY, 20))
    assert {seed: outcome for seed, outcome in found.items() if "died" in outcome or outcome["problems"]} == {}


@pytest.fixture(scope="module")
def flac():
    """A FLAC file of ten frames."""
    return format_bases("FLAC")[0]


def assert_windows(part, samples, lost):
    """See that windows of a part are the same slices of the file before the damage, but for the lost frames."""
    expected = samples.copy()
    silent = np.zeros(len(samples), bool)
    for start, stop in lost:
        expected[start:stop], silent[start:stop] = 0, True
    for start, stop in [
        (0, len(samples)),
        (1, 2),
        (4_095, 8_193),
        (11_000, 30_000),
        (20_480, 20_481),
        (30_000, 36_000),
    ]:
        window = read(part, start, stop)
        assert np.array_equal(window.samples, expected[start:stop]), (start, stop)
        found = np.zeros(stop - start, bool)
        for begin, end in window.lost:
            found[begin:end] = True
        assert np.array_equal(found, silent[start:stop]), (start, stop)


@pytest.mark.parametrize("damage", ["a bit", "zeros", "a header", "noise inserted", "cut out", "the same frame again"])
def test_damage_in_a_flac_frame_costs_that_frame_whatever_the_window(tmp_path, flac, damage):
    path, unit = tmp_path / "a.flac", flac.units[4]
    middle, data = (unit.start + unit.stop) // 2, flac.data
    changed = {
        "a bit": data[:middle] + bytes((data[middle] ^ 4,)) + data[middle + 1 :],
        "zeros": data[: unit.start + 20] + bytes(200) + data[unit.start + 220 :],
        "a header": data[: unit.start] + b"\0\0\0\0" + data[unit.start + 4 :],
        "noise inserted": data[:middle] + np.random.default_rng(0).bytes(70_000) + data[middle:],
        "cut out": data[:middle] + data[middle + 99 :],
        "the same frame again": data[:middle] + data[unit.start : unit.stop] + data[middle:],
    }[damage]
    path.write_bytes(changed)
    (part,) = opened(path).parts
    lost = [] if damage == "the same frame again" else [(unit.first, unit.last)]
    assert_windows(part, flac.samples, lost)
    AudioIndex.build(tmp_path).save(tmp_path / "a.parquet")
    assert_windows(AudioIndex.load(tmp_path / "a.parquet").columns.track(0).parts[0], flac.samples, lost)


def test_frames_of_another_flac_file_are_not_taken_for_its_own(tmp_path, flac):
    other = tmp_path / "b.flac"
    soundfile.write(other, music(60_000, seed=7, channels=1), 8_000, subtype="PCM_24")
    place = flac.units[5].stop - 700
    (tmp_path / "a.flac").write_bytes(flac.data[:place] + other.read_bytes()[500:] + flac.data[place:])
    (part,) = opened(tmp_path / "a.flac").parts
    assert_windows(part, flac.samples, [flac.units[5][2:]])


@pytest.mark.parametrize("cut", [1, 3_000, 9_000])
def test_a_flac_file_that_is_cut_in_its_last_frame_keeps_all_others(tmp_path, flac, cut):
    path = tmp_path / "a.flac"
    path.write_bytes(flac.data[:-cut])
    track = opened(path)
    assert track.damage == "its header states 40000 samples, but the file has 36864"
    assert track.losses[0].seconds == pytest.approx(3_136 / RATE)
    assert np.array_equal(read(track.parts[0], 0, 36_864).samples, flac.samples[:36_864])
