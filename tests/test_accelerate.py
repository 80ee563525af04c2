"""Loaders that Accelerate has prepared, on two ranks: it shards by itself, and no frame is lost."""

import json
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
from builders import make_ramp
from programs import TORCH, run_ranks

from flowmo_data import AudioIndex

pytestmark = pytest.mark.skipif(find_spec("accelerate") is None, reason="accelerate is not installed; it is optional")
PROGRAM = Path(__file__).with_name("accelerate_ranks.py")
FRAMES = 45


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Nine files of five frames each: phases cannot change their number, and no batches of two divide it evenly."""
    folder = tmp_path_factory.mktemp("accelerate")
    (folder / "music").mkdir()
    for number in range(9):
        make_ramp(folder / "music" / f"{number}.wav", 10_000 * number + 1, 2_999)
    AudioIndex.build(folder / "music").save(folder / "music.parquet")
    return folder


def read_on_two_ranks(corpus, tmp_path, files, **options):
    options = {"files": str(corpus / files), "prepared": True, "dispatch": None, "num_workers": 0, **options}
    done = run_ranks(2, PROGRAM, tmp_path / "out.json", json.dumps(options), fork=TORCH)
    assert done.returncode == 0, done.stderr
    return [json.loads((tmp_path / f"out.{rank}").read_text()) for rank in range(2)]


def check(ranks, *, most_lost=0, most_doubled=0):
    """Every frame was seen, on one rank: Accelerate completes the last batches with frames of the first."""
    for epoch in range(2):
        seen = Counter(frame // 500 for rank in ranks for frame in rank["epochs"][epoch])
        assert len(seen) >= FRAMES - most_lost
        assert seen.total() - len(seen) <= most_doubled
        assert abs(len(ranks[0]["epochs"][epoch]) - len(ranks[1]["epochs"][epoch])) <= 2
    assert ranks[0]["epochs"][0] != ranks[0]["epochs"][1]
    assert ranks[0]["complete"]


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("dispatch", [True, False])
def test_an_index_gives_every_frame(corpus, tmp_path, num_workers, dispatch):
    ranks = read_on_two_ranks(corpus, tmp_path, "music.parquet", num_workers=num_workers, dispatch=dispatch, sized=True)
    check(ranks, most_doubled=3)
    assert ranks[0]["lengths"] == [FRAMES, 12]


@pytest.mark.parametrize("num_workers", [pytest.param(0, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("dispatch", [True, False])
def test_a_folder_gives_every_frame(corpus, tmp_path, num_workers, dispatch):
    ranks = read_on_two_ranks(corpus, tmp_path, "music", num_workers=num_workers, dispatch=dispatch)
    # A worker's last batch may be short. The dispatcher leaves out what does not divide among ranks.
    check(ranks, most_lost=num_workers if dispatch else 0, most_doubled=3 * max(num_workers, 1))


@pytest.mark.parametrize(
    "options",
    [
        {"context": "spawn"},
        pytest.param({"context": "forkserver", "dispatch": False}, marks=pytest.mark.slow),
        pytest.param({"wrapper": "own"}, marks=pytest.mark.slow),
        {"wrapper": "chain", "dispatch": False},
        pytest.param({"given": True, "dispatch": False}, marks=pytest.mark.slow),
        {"split": True},
        pytest.param({"split": True, "dispatch": False}, marks=pytest.mark.slow),
        pytest.param({"resumable": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_so_it_is_in_other_setups(corpus, tmp_path, options):
    check(read_on_two_ranks(corpus, tmp_path, "music.parquet", num_workers=2, **options), most_lost=1, most_doubled=7)


@pytest.mark.parametrize("options", [{"num_workers": 2}, {"dispatch": False}], ids=str)
def test_a_mixture_gives_every_frame(corpus, tmp_path, options):
    ranks = read_on_two_ranks(corpus, tmp_path, "music.parquet", mixed=True, **options)
    check(ranks, most_lost=1, most_doubled=7)


@pytest.mark.parametrize("skip", [pytest.param(False, marks=pytest.mark.slow), True])
def test_loaders_that_are_not_prepared_shard_as_ever(corpus, tmp_path, skip):
    ranks = read_on_two_ranks(corpus, tmp_path, "music.parquet", num_workers=2, prepared=False, skip=skip, sized=True)
    check(ranks, most_lost=1)
    assert ranks[0]["lengths"][0] == FRAMES // 2
