"""The map-style dataset in programs of two ranks, under what shards by itself: each frame comes once, at its place."""

import json
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
from builders import make_ramp
from programs import LIGHTNING, TORCH, run_ranks

from flowmo_data import AudioIndex

pytest.importorskip("pyarrow", reason="the extra index is not installed")

PROGRAM = Path(__file__).with_name("map_style_ranks.py")


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Nine files of different lengths, with 50 frames of 500 samples."""
    folder = tmp_path_factory.mktemp("map_style_ranks")
    (folder / "music").mkdir()
    for number in range(9):
        make_ramp(folder / "music" / f"{number}.wav", 10_000 * number + 1, 2_200 + 100 * number)
    AudioIndex.build(folder / "music").save(folder / "music.parquet")
    return folder / "music.parquet"


def run(index, tmp_path, *names, fork):
    """Run the program's functions one after the other; give what each rank has written, by name."""
    done = run_ranks(2, PROGRAM, tmp_path / "out.json", index, *names, fork=fork)
    assert done.returncode == 0, done.stderr
    ranks = [json.loads((tmp_path / f"out.{rank}").read_text()) for rank in range(2)]
    return {name: [rank[name] for rank in ranks] for name in names}


def check(ranks):
    """Each frame came once, on one rank, and where the jitter of its epoch puts it."""
    expected, orders = ranks[0]["expected"], []
    for epoch in range(2):
        of_ranks = [[tuple(frame) for batch in rank["epochs"][epoch] for frame in batch] for rank in ranks]
        assert len(of_ranks[0]) == len(of_ranks[1])
        seen, every = Counter(of_ranks[0] + of_ranks[1]), {tuple(frame) for frame in expected[epoch]}
        assert seen.keys() == every
        assert seen.total() - len(every) <= 6  # what completes the last batches
        orders.append([(length, start // 500) for length, start in of_ranks[0]])
    assert orders[0] != orders[1]
    assert expected[0] != expected[1]


def test_samplers_and_trainers_of_two_ranks_give_each_frame_once(index, tmp_path):
    names = ["sampler", *(name for name in ("accelerate", "transformers") if find_spec(name) is not None)]
    for name, ranks in run(index, tmp_path, *names, fork=TORCH).items():
        try:
            check(ranks)
        except AssertionError as error:
            raise AssertionError(name) from error


@pytest.mark.skipif(find_spec("lightning") is None, reason="lightning is not installed; it is optional")
def test_so_does_lightning_without_a_data_module(index, tmp_path):
    check(run(index, tmp_path, "lightning", fork=LIGHTNING)["lightning"])
