import copy
import pickle
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
from builders import RATE, make_mp3, make_ramps
from torch.utils.data import DataLoader, default_collate

from flowmo_data import OptionError, StreamingAudioDataset
from flowmo_data.decoding import native
from flowmo_data.decoding.batching import Frame
from flowmo_data.runtime.batch_memory import Batch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batching")
    for index in range(4):
        make_mp3(folder / f"{index}.mp3", RATE + 7_000 * index, seed=index)
    return folder


def equal(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return one == other


@pytest.mark.parametrize(
    "options", [{}, {"return_info": True}, {"dtype": torch.int16}, {"transform": torch.abs}, {"channels": 1}]
)
@pytest.mark.parametrize(("num_workers", "threads"), [(0, 0), (0, 2), (2, 0)])
def test_batches_decoded_in_place_are_those_of_the_dataloader(folder, options, num_workers, threads):
    def batches(loader_batch, dataset_batch):
        dataset = StreamingAudioDataset(
            folder, samples_per_frame=5_000, decode_threads=threads, batch_size=dataset_batch, **options
        )
        return list(DataLoader(dataset, batch_size=loader_batch, num_workers=num_workers))

    expected, got = batches(4, None), batches(None, 4)
    assert len(expected) == len(got)
    assert all(equal(one, other) for one, other in zip(expected, got, strict=True))
    tensors = [batch["audio"] if "return_info" in options else batch for batch in got]
    assert max(map(len, tensors)) == 4
    assert {type(tensor) for tensor in tensors} == {torch.Tensor if num_workers else Batch}
    assert type(tensors[0][:2]) is type(tensors[0] + 1) is torch.Tensor


def test_what_goes_past_the_caches_is_the_same(folder, monkeypatch):
    frames = list(StreamingAudioDataset(folder, samples_per_frame=5_000))
    monkeypatch.setattr(native, "_CACHED_BYTES", 0)
    for loader_batch, dataset_batch in ((3, None), (None, 3)):
        dataset = StreamingAudioDataset(folder, samples_per_frame=5_000, batch_size=dataset_batch)
        assert torch.equal(torch.cat(list(DataLoader(dataset, batch_size=loader_batch))), torch.stack(frames))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_that_are_kept_stay_as_they_are(folder, num_workers):
    def run():
        dataset = StreamingAudioDataset(folder, samples_per_frame=5_000, batch_size=2)
        return DataLoader(dataset, batch_size=None, num_workers=num_workers)

    kept = list(run())
    copies = [batch.clone() for batch in run()]
    assert all(torch.equal(one, other) for one, other in zip(kept, copies, strict=True))


def test_a_frame_that_cannot_be_read_leaves_a_batch_of_others(folder, tmp_path):
    paths = [make_mp3(tmp_path / f"{index}.mp3", 30_000, seed=index) for index in range(2)]
    batches = iter(StreamingAudioDataset(tmp_path, samples_per_frame=10_000, shuffle=False, batch_size=2))
    first = next(batches)
    paths[0].unlink()
    rest = list(batches)
    expected = list(StreamingAudioDataset(paths[1], samples_per_frame=10_000, shuffle=False))
    assert len(first) == 2
    assert torch.equal(torch.cat(rest), torch.stack(expected))


@pytest.mark.parametrize("options", [{"repeat": True}, {}])
def test_batches_across_epochs_and_short_ones_are_decoded_in_place_too(folder, options, monkeypatch):
    def never(items):
        raise AssertionError("collated once more")

    monkeypatch.setattr("flowmo_data.decoding.batching.default_collate", never)
    batches = iter(StreamingAudioDataset(folder, samples_per_frame=5_000, batch_size=4, **options))
    sizes = [len(batch) for batch, _ in zip(batches, range(40), strict=False)]
    assert set(sizes[:-1]) == {4}


def test_frames_are_tensors_like_any_other(folder):
    frame = next(iter(StreamingAudioDataset(folder, samples_per_frame=5_000)))
    assert isinstance(frame, torch.Tensor)
    assert type(frame * 2) is torch.Tensor
    assert type(frame[0]) is torch.Tensor
    assert type(default_collate([frame, frame])) is torch.Tensor
    assert torch.equal(pickle.loads(ForkingPickler.dumps(frame)), frame)


@pytest.mark.parametrize("options", [{}, {"batch_size": 2}, {"batch_size": 2, "transform": torch.abs}])
def test_what_is_saved_is_a_plain_tensor(folder, tmp_path, options):
    emitted = next(iter(StreamingAudioDataset(folder, samples_per_frame=5_000, **options)))
    torch.save(emitted, tmp_path / "emitted.pt")
    loaded = torch.load(tmp_path / "emitted.pt", weights_only=True)
    assert type(loaded) is torch.Tensor
    assert torch.equal(loaded, emitted)
    assert type(copy.deepcopy(emitted)) is torch.Tensor


def test_frames_of_unlike_shapes_do_not_collate():
    with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
        default_collate([torch.zeros(2, 3).as_subclass(Frame), torch.zeros(2, 4).as_subclass(Frame)])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_single_frames_cross_from_workers(folder, num_workers):
    dataset = StreamingAudioDataset(folder, samples_per_frame=5_000)
    frames = list(DataLoader(dataset, batch_size=None, num_workers=num_workers))
    assert sum(len(frame) for frame in frames) == 2 * len(frames)


def test_a_state_of_batches_goes_on_at_the_next(folder):
    dataset = StreamingAudioDataset(folder, samples_per_frame=5_000, batch_size=3, decode_threads=2)
    batches = iter(dataset)
    for _ in range(2):
        next(batches)
    state = dataset.state_dict()
    assert state["handed_out"] == 6
    resumed = StreamingAudioDataset(folder, samples_per_frame=5_000, batch_size=3)
    resumed.load_state_dict(state)
    assert all(torch.equal(one, other) for one, other in zip(batches, resumed, strict=True))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_batches_of_batches_are_refused(tmp_path, num_workers):
    make_ramps(tmp_path, [50, 70])
    dataset = StreamingAudioDataset(tmp_path, samples_per_frame=16, batch_size=2)
    with pytest.raises(OptionError, match="batches of batches: use DataLoader.dataset, batch_size=None."):
        next(iter(DataLoader(dataset, batch_size=4, num_workers=num_workers)))
    assert next(iter(DataLoader(dataset, batch_size=None, num_workers=num_workers))).shape == (2, 2, 16)


def _twice(frame):
    return {"one": frame, "other": frame}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_frame_under_two_names_becomes_two_batches(folder, num_workers):
    dataset = StreamingAudioDataset(folder, samples_per_frame=5_000, batch_size=7, shuffle=False, transform=_twice)
    plain = StreamingAudioDataset(folder, samples_per_frame=5_000, batch_size=7, shuffle=False)
    for both, batch in zip(
        DataLoader(dataset, batch_size=None, num_workers=num_workers),
        DataLoader(plain, batch_size=None, num_workers=num_workers),
        strict=True,
    ):
        both["one"].add_(1)
        assert torch.equal(both["other"], batch)
        assert torch.equal(both["one"], batch + 1)
