import contextlib
import json
import os
import signal
import textwrap
from itertools import chain

import pytest
from builders import make_ramps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import run, run_ranks, start

from flowmo_data import OptionError, ResumableDataLoader, StateError, StreamingAudioDataset

LENGTHS = [50, 7, 200, 1, 64, 129, 31, 32, 33, 96]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loading") / "ramps"
    make_ramps(folder, LENGTHS)
    return folder


def make(folder, num_workers=0, *, loader=None, batch_size=3, **options):
    dataset = StreamingAudioDataset(
        folder, **{"samples_per_frame": 16, "channels": 1, "shuffle_buffer_size": 5, "decoder": "soundfile", **options}
    )
    return ResumableDataLoader(dataset, batch_size=batch_size, num_workers=num_workers, **(loader or {}))


def lists(batches):
    return [batch.tolist() for batch in batches]


def epochs(folder, num_workers, count, **options):
    """What an uninterrupted run gives, epoch by epoch."""
    loader = make(folder, num_workers, **options)
    return [lists(loader) for _ in range(count)]


@pytest.fixture(scope="module", params=[0, 1, 3])
def uninterrupted(request, folder):
    return request.param, epochs(folder, request.param, 3)


def taken(loader, epoch, steps):
    """Run a loader through `epoch` epochs and `steps` steps, and give its state as JSON would hold it."""
    for _ in range(epoch):
        list(loader)
    if steps:
        for step, _ in enumerate(loader, 1):
            if step == steps:
                return json.loads(json.dumps(loader.state_dict()))
    return json.loads(json.dumps(loader.state_dict()))


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 4, 7, 14, -1])
def test_resuming_equals_the_uninterrupted_run(folder, uninterrupted, steps, persistent):
    num_workers, expected = uninterrupted
    if persistent and not num_workers:
        return
    options = {"loader": {"persistent_workers": persistent}}
    steps = steps if steps >= 0 else len(expected[1])  # the last batch of the epoch
    state = taken(make(folder, num_workers, **options), 1, steps)
    assert (state["batches"], state["workers"][0][0]) == (steps, 1)
    resumed = make(folder, num_workers, **options)
    resumed.load_state_dict(state)
    assert lists(resumed) == expected[1][steps:]
    assert lists(resumed) == expected[2]


def test_resuming_twice_in_a_row(folder, uninterrupted):
    num_workers, expected = uninterrupted
    first = make(folder, num_workers)
    first.load_state_dict(taken(make(folder, num_workers), 0, 5))
    second = make(folder, num_workers)
    second.load_state_dict(taken(first, 0, 4))
    assert second.state_dict()["batches"] == 9
    assert lists(second) == expected[0][9:]


def test_after_an_epochs_end_the_state_is_the_next_epochs_start(folder, uninterrupted):
    num_workers, expected = uninterrupted
    loader = make(folder, num_workers)
    list(loader)
    resumed = make(folder, num_workers)
    resumed.load_state_dict(loader.state_dict())
    assert lists(resumed) == expected[1]


@pytest.mark.parametrize("num_workers", [0, 3])
@pytest.mark.parametrize("persistent", [False, True])
def test_a_loader_that_runs_can_be_sent_back(folder, num_workers, persistent):
    if persistent and not num_workers:
        return
    loader = make(folder, num_workers, loader={"persistent_workers": persistent})
    batches, seen = iter(loader), []
    for _ in range(4):
        next(batches)
    state = loader.state_dict()
    seen = lists(batches)
    list(loader)
    loader.load_state_dict(state)
    assert lists(loader) == seen


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    num_files=st.integers(1, 10), num_workers=st.integers(0, 3), world_size=st.integers(1, 3), data=st.data(),
)  # fmt: skip
def test_resuming_whatever_the_files_workers_ranks_and_cut(folder, num_files, num_workers, world_size, data):
    files = sorted(folder.iterdir())[:num_files]
    rank = data.draw(st.integers(0, world_size - 1))
    options = {"rank": rank, "world_size": world_size}
    (expected,) = epochs(files, num_workers, 1, **options)
    steps = data.draw(st.integers(0, len(expected)))
    resumed = make(files, num_workers, **options)
    resumed.load_state_dict(taken(make(files, num_workers, **options), 0, steps))
    assert lists(resumed) == expected[steps:]


@pytest.mark.parametrize("options", [{"batch_size": None}, {"decode_threads": 2}, {"pin": True}], ids=str)
def test_batches_of_the_dataset_and_decode_threads(folder, options):
    own = {"dataset_batch": 3} if "batch_size" in options else {}

    def build():
        dataset = StreamingAudioDataset(
            folder, samples_per_frame=16, channels=1, shuffle_buffer_size=5, batch_size=own.get("dataset_batch"),
            decode_threads=options.get("decode_threads", 0),
        )  # fmt: skip
        return ResumableDataLoader(dataset, batch_size=None if own else 3, num_workers=2)

    whole = lists(build())
    resumed = build()
    resumed.load_state_dict(taken(build(), 0, 5))
    assert lists(resumed) == whole[5:]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_endless_stream_resumes(folder, num_workers):
    endless = iter(make(folder, num_workers, repeat=True))
    expected = [next(endless).tolist() for _ in range(150)]
    resumed = make(folder, num_workers, repeat=True)
    resumed.load_state_dict(taken(make(folder, num_workers, repeat=True), 0, 97))
    batches = iter(resumed)
    assert [next(batches).tolist() for _ in range(53)] == expected[97:]


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("drop_last", [False, True])
def test_the_state_of_another_rank_means_as_many_batches(folder, num_workers, drop_last):
    def build(rank):
        return make(folder, num_workers, rank=rank, world_size=2, loader={"drop_last": drop_last})

    whole = lists(build(1))
    total = len(lists(build(0)))
    for steps in range(0, min(len(whole), total) + 1, 3):
        state = taken(build(0), 0, steps)
        assert state["batches"] == steps
        resumed = build(1)
        resumed.load_state_dict(state)
        assert lists(resumed) == whole[steps:]


def test_a_state_is_small(folder):
    state = taken(make(folder, 3), 0, 5)
    assert len(json.dumps(state)) < 1_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_workers": 2}, "num_workers was 1 and is 2"),
        ({"batch_size": 4}, "batch_size was 3 and is 4"),
        ({"seed": 5}, "seed was 0 and is 5"),
        ({"samples_per_frame": 17}, "samples_per_frame was 16 and is 17"),
        ({"rank": 0, "world_size": 2}, "world_size was 1 and is 2"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_whole(folder, change, message):
    state = taken(make(folder), 0, 4)
    loader = make(folder, **change)
    with pytest.raises(StateError, match=message):
        loader.load_state_dict(state)
    assert lists(loader) == lists(make(folder, **change))


def test_what_cannot_be_resumed_is_refused(folder):
    with pytest.raises(OptionError, match="in_order=False"):
        make(folder, 2, loader={"in_order": False})
    with pytest.raises(OptionError, match="ResumableDataLoader is for a StreamingAudioDataset"):
        ResumableDataLoader([1, 2])
    with pytest.raises(OptionError, match="would give batches of batches"):
        ResumableDataLoader(StreamingAudioDataset(folder, batch_size=4), batch_size=2)


# torchdata's loader


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata's own
@pytest.mark.parametrize("num_workers", [0, 1, 3])
@pytest.mark.parametrize("steps", [1, 6, 13])
@pytest.mark.parametrize("persistent", [False, True])
def test_torchdatas_loader_resumes_too(folder, num_workers, steps, persistent):
    if persistent and not num_workers:
        return
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata takes no new development")

    def build():
        return stateful.StatefulDataLoader(
            make(folder).dataset, batch_size=3, num_workers=num_workers, persistent_workers=persistent,
            snapshot_every_n_steps=1,
        )  # fmt: skip

    uninterrupted = build()
    expected = [lists(uninterrupted) for _ in range(2)]
    state = json.loads(json.dumps(taken(build(), 0, steps)))
    resumed = build()
    resumed.load_state_dict(state)
    assert lists(resumed) == expected[0][steps:]
    assert lists(resumed) == expected[1]


# Ranks


TRAIN = """
    import json, sys
    import torch.distributed as dist
    from torch.utils.data import DataLoader
    from flowmo_data import StreamingAudioDataset

    folder, out, num_workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    dist.init_process_group("gloo")
    dataset = StreamingAudioDataset(folder, samples_per_frame=16, channels=1, shuffle_buffer_size=5)
    loader = DataLoader(dataset, batch_size=3, num_workers=num_workers)
    epochs = [[batch.tolist() for batch in loader] for _ in range(2)]
    with open(f"{out}/{dist.get_rank()}.json", "w") as file:
        json.dump(epochs, file)
    dist.barrier()
    dist.destroy_process_group()
"""


@pytest.mark.parametrize(
    ("world_size", "num_workers", "torchrun"), [(2, 0, False), (2, 2, True), (4, 0, False), (4, 2, False)]
)
def test_torchrun_gives_every_frame_to_one_rank(folder, tmp_path, world_size, num_workers, torchrun):
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(TRAIN))
    arguments = [script, folder, tmp_path, num_workers]
    if torchrun:
        run("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world_size}", *arguments)
    else:
        done = run_ranks(world_size, *arguments)
        assert done.returncode == 0, done.stderr
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(world_size)]
    sets = []
    for epoch in range(2):
        samples = [[value for batch in rank[epoch] for frame in batch for value in frame[0] if value] for rank in ranks]
        assert sorted(chain(*samples)) == list(range(1, sum(LENGTHS) + 1))
        sets.append([set(rank) for rank in samples])
    assert sets[0] != sets[1]


# Killed and continued


SOAK = """
    import json, os, sys
    from flowmo_data import ResumableDataLoader, StreamingAudioDataset

    folder, out, num_workers, epochs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    dataset = StreamingAudioDataset(folder, samples_per_frame=16, channels=1, shuffle_buffer_size=5)
    loader = ResumableDataLoader(dataset, batch_size=3, num_workers=num_workers)
    epoch = 0
    if os.path.exists(f"{out}/state.json"):
        saved = json.load(open(f"{out}/state.json"))
        epoch = saved["epoch"]
        loader.load_state_dict(saved["loader"])
    while epoch < epochs:
        for batch in loader:
            # one atomic checkpoint: the "model" (all frames seen) and the loader's state
            saved = {"epoch": epoch, "loader": loader.state_dict()}
            seen = json.load(open(f"{out}/state.json"))["seen"] if os.path.exists(f"{out}/state.json") else []
            saved["seen"] = seen + [batch[:, 0, :2].tolist()]
            with open(f"{out}/state.tmp", "w") as file:
                json.dump(saved, file)
            os.replace(f"{out}/state.tmp", f"{out}/state.json")
            print(len(saved["seen"]), flush=True)
        epoch += 1
"""


def kill_and_resume(folder, tmp_path, num_workers, epochs, kills, draw):
    script = tmp_path / "soak.py"
    script.write_text(textwrap.dedent(SOAK))
    arguments = [script, folder, tmp_path, num_workers, epochs]
    for _ in range(kills):
        process = start(*arguments)
        for _ in range(draw.randint(1, 4)):
            if not process.stdout.readline():
                break
        with contextlib.suppress(ProcessLookupError):  # it was through
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    run(*arguments)
    return json.loads((tmp_path / "state.json").read_text())["seen"]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_killed_run_goes_on_as_if_it_had_not_been(folder, tmp_path, num_workers):
    import random

    seen = kill_and_resume(folder, tmp_path, num_workers, 1, 2, random.Random(num_workers))
    whole = [batch[:, 0, :2].tolist() for batch in make(folder, num_workers)]
    assert seen == whole


@pytest.mark.slow
def test_fifty_kills(folder, tmp_path):
    import random

    seen = kill_and_resume(folder, tmp_path, 2, 8, 50, random.Random(0))
    loader = make(folder, 2)
    assert seen == [batch[:, 0, :2].tolist() for _ in range(8) for batch in loader]
