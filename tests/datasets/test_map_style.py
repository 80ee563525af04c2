"""The map-style dataset: any frame by its number, exact, in reused memory, under torch's samplers and loaders."""

import logging
import pickle
import re
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from builders import RATE, make_mp3, make_ramps, opened, read
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    RandomSampler,
    Subset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)

from flowmo_data import (
    AllFramesRejectedError,
    AudioFileError,
    AudioFrameDataset,
    AudioIndex,
    FilesNotFoundError,
    FilesTypeError,
    NoReadableFileError,
    OptionError,
    ResumableDataLoader,
    StreamingAudioDataset,
)

pytest.importorskip("pyarrow", reason="the extra index is not installed")

LENGTHS = [50, 7, 200, 1, 64, 129, 31, 32, 33, 96]
SMALL = {"samples_per_frame": 16, "channels": 1}


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("map_style") / "ramps"
    make_ramps(folder, LENGTHS)
    return AudioIndex.build(folder)


def firsts(frames):
    """The first sample of each frame, which is another number for each start in the folder of ramps."""
    return [int(frame[0, 0]) for frame in frames]


def all_of(dataset, **options):
    return [first for batch in DataLoader(dataset, **options) for first in firsts(batch)]


# Frames


@pytest.mark.parametrize("framing", ["pad", "drop"])
@pytest.mark.parametrize("hop", [None, 5, 24])
def test_frames_are_those_of_the_streaming_dataset_in_file_order(index, framing, hop):
    given = {**SMALL, "framing": framing, "hop": hop, "return_info": True}
    streamed = list(StreamingAudioDataset(index, shuffle=False, **given))
    dataset = AudioFrameDataset(index, **given)
    assert len(dataset) == len(streamed) == dataset.frames_per_file().sum()
    for item, other in zip(dataset, streamed, strict=True):
        assert torch.equal(item["audio"], other["audio"])
        assert (item["path"], item["start"], item["num_valid"]) == (other["path"], other["start"], other["num_valid"])


def test_frames_of_an_mp3_are_exact_at_any_place(tmp_path):
    make_mp3(tmp_path / "a.mp3", 100_000, seed=1)
    (part,) = opened(tmp_path / "a.mp3").parts
    whole = torch.from_numpy(read(part, 0, 100_000, "soundfile").samples.T.copy())
    dataset = AudioFrameDataset(
        AudioIndex.build(tmp_path), samples_per_frame=10_000, hop=3_333, framing="drop", decoder="soundfile"
    )
    for place in (20, 3, 27, 0):
        assert torch.equal(dataset[place], whole[:, place * 3_333 :][:, :10_000])


@pytest.mark.parametrize("index_type", [int, np.int64, np.int32, torch.tensor])
def test_an_index_is_any_whole_number(index, index_type):
    dataset = AudioFrameDataset(index, **SMALL)
    assert torch.equal(dataset[index_type(5)], dataset[5])
    assert torch.equal(dataset[index_type(-1)], dataset[len(dataset) - 1])
    assert firsts(dataset.__getitems__([index_type(5), index_type(-1)])) == firsts([dataset[5], dataset[-1]])


@pytest.mark.parametrize("wrong", [True, np.bool_(True), torch.tensor(True), 1.0, "1", None, slice(0, 2), [0, 1]])
def test_anything_else_is_refused(index, wrong):
    dataset = AudioFrameDataset(index, **SMALL)
    with pytest.raises(TypeError, match=r"index=.*: give a whole number; for several frames, .*Subset"):
        dataset[wrong]
    with pytest.raises(TypeError, match="give a whole number"):
        dataset.__getitems__([0, wrong])


def test_there_are_no_frames_past_the_ends(index):
    dataset = AudioFrameDataset(index, **SMALL)
    for wrong in (len(dataset), -len(dataset) - 1):
        with pytest.raises(IndexError, match=f"there are {len(dataset)} frames, none at {wrong}"):
            dataset[wrong]
        with pytest.raises(IndexError, match="none at"):
            dataset.__getitems__([0, wrong])


def test_a_limit_is_spread_over_the_corpus(index):
    every, dataset = AudioFrameDataset(index, **SMALL), AudioFrameDataset(index, **SMALL, limit=6)
    assert firsts(list(dataset)) == firsts([every[(2 * i + 1) * len(every) // 12] for i in range(6)])
    assert dataset.frames_per_file().sum() == len(dataset) == 6
    streamed = StreamingAudioDataset(index, **SMALL, limit=6, shuffle=False)
    assert firsts(list(streamed)) == firsts(list(dataset))


@pytest.mark.parametrize("threads", [0, 3])
def test_options_shape_the_frames(index, threads):
    dataset = AudioFrameDataset(
        index, sr=22_050, samples_per_frame=8, dtype=torch.float16, transform=torch.neg, decode_threads=threads
    )
    frames = dataset.__getitems__([0, 4, 9])
    assert [(tuple(frame.shape), frame.dtype) for frame in frames] == [((2, 8), torch.float16)] * 3
    assert all(torch.equal(frame, dataset[place]) for frame, place in zip(frames, (0, 4, 9), strict=True))
    assert frames[0].mean() < 0


# Jitter


@pytest.mark.parametrize("framing", ["pad", "drop"])
@pytest.mark.parametrize(("frame", "hop"), [(16, 16), (16, 5), (16, 40)])
def test_jitter_moves_by_less_than_a_hop_and_stays_in_the_file(index, framing, frame, hop):
    given = {"samples_per_frame": frame, "hop": hop, "framing": framing, "return_info": True}
    still, moved = AudioFrameDataset(index, **given), AudioFrameDataset(index, **given, jitter=True)
    lengths = dict(zip([index.columns.path(file) for file in range(len(index))], LENGTHS, strict=True))
    seen, others = set(), list(still)
    for epoch in range(8):
        moved.set_epoch(epoch)
        for item, other in zip(moved, others, strict=True):
            last, by = lengths[item["path"]] - frame, item["start"] - other["start"]
            assert item["path"] == other["path"]
            assert 0 <= by < hop if other["start"] <= last else -hop < by <= 0
            assert item["start"] >= 0
            assert item["start"] <= last or other["start"] > last
            seen.add(by)
    assert len({by for by in seen if by >= 0}) >= 0.9 * hop  # the file of 200 samples has room for all


def test_jitter_depends_on_seed_epoch_and_number_alone(index):
    dataset = AudioFrameDataset(index, **SMALL, jitter=True, seed=1)
    first = all_of(dataset, batch_size=4)
    assert all_of(dataset, batch_size=7, num_workers=2) == first
    assert firsts([dataset[place] for place in reversed(range(len(dataset)))]) == first[::-1]
    assert all_of(AudioFrameDataset(index, **SMALL, jitter=True, seed=2), batch_size=4) != first
    dataset.set_epoch(1)
    assert dataset.epoch == 1
    assert all_of(dataset, batch_size=4) != first
    dataset.set_epoch(0)
    assert all_of(dataset, batch_size=4) == first


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_an_epoch_reaches_workers_that_are_running(index, context):
    dataset = AudioFrameDataset(index, **SMALL, jitter=True)
    loader = DataLoader(dataset, batch_size=8, num_workers=2, persistent_workers=True, multiprocessing_context=context)
    alone = AudioFrameDataset(index, **SMALL, jitter=True)
    for epoch in (0, 1, 5, 0):
        dataset.set_epoch(epoch)
        alone.set_epoch(epoch)
        assert [first for batch in loader for first in firsts(batch)] == firsts(list(alone))


def test_a_copy_has_an_epoch_of_its_own(index):
    dataset = AudioFrameDataset(index, **SMALL, jitter=True)
    dataset.set_epoch(2)
    copy = pickle.loads(pickle.dumps(dataset))
    assert firsts(list(copy)) == firsts(list(dataset))
    dataset.set_epoch(3)
    assert (dataset.epoch, copy.epoch) == (3, 2)


# Batches


def test_a_batch_is_decoded_in_place_and_its_memory_is_reused(index):
    dataset = AudioFrameDataset(index, **SMALL)
    frames = dataset.__getitems__([3, 1, 2])
    batch = default_collate(frames)
    assert type(batch) is torch.Tensor
    assert [frame.data_ptr() for frame in frames] == [each.data_ptr() for each in batch]
    addresses = set()
    del frames, batch
    for batch in DataLoader(dataset, batch_size=4, drop_last=True):
        addresses.add(batch.data_ptr())
    assert len(addresses) <= 3


def test_a_batch_leaves_a_worker_without_a_copy(index):
    for item in DataLoader(AudioFrameDataset(index, **SMALL, return_info=True), batch_size=4, num_workers=1):
        assert item["audio"].numpy().base is not None  # a view of the worker's memory
        assert not item["audio"].is_shared()


def test_two_batches_of_the_same_frames_are_two(index):
    both = AudioFrameDataset(index, **SMALL, transform=lambda frame: {"a": frame, "b": frame, "half": frame[:, :8]})
    expected = AudioFrameDataset(index, **SMALL)
    for num_workers in (0, 2):
        batches = list(DataLoader(both, batch_size=4, num_workers=num_workers))
        for number, batch in enumerate(batches):
            batch["a"].add_(1_000)
            frames = torch.stack([expected[place] for place in range(4 * number, min(4 * number + 4, len(expected)))])
            assert torch.equal(batch["b"], frames)
            assert torch.equal(batch["a"], frames + 1_000)
            assert torch.equal(batch["half"] % 1_000, frames[..., :8] % 1_000)


def _as_list(items):
    return items


def _stacked(items):
    return torch.stack(items[::-1])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_collate_function_of_ones_own_gets_the_frames(index, num_workers):
    dataset = AudioFrameDataset(index, **SMALL)
    expected = firsts(list(dataset))
    lists = list(DataLoader(dataset, batch_size=8, num_workers=num_workers, collate_fn=_as_list))
    assert [first for items in lists for first in firsts(items)] == expected
    stacked = list(DataLoader(dataset, batch_size=8, num_workers=num_workers, collate_fn=_stacked))
    assert [first for batch in stacked for first in firsts(batch)[::-1]] == expected
    assert all(type(batch) is torch.Tensor for batch in stacked)


@pytest.mark.parametrize(
    "transform",
    [
        lambda frame: frame.mul_(2), lambda frame: frame * 2, lambda frame: frame.mul_(2).unsqueeze_(0),
        lambda frame: frame.mul_(2).t_(), lambda frame: {"audio": frame.mul_(2)},
        lambda frame: frame.mul_(2) if frame[0, 0] % 32 > 16 else frame * 2,
    ],
)  # fmt: skip
def test_batches_are_right_after_any_transform(index, transform):
    dataset, plain = AudioFrameDataset(index, **SMALL, transform=transform), AudioFrameDataset(index, **SMALL)
    for number, batch in enumerate(DataLoader(dataset, batch_size=4, drop_last=True)):
        audio = batch["audio"] if isinstance(batch, dict) else batch
        frames = [plain[place] for place in range(4 * number, 4 * number + 4)]
        assert torch.equal(audio.flatten(), 2 * torch.stack(frames).flatten())


def test_a_batch_of_one_frame_alone(index):
    dataset = AudioFrameDataset(index, **SMALL)
    assert firsts(list(DataLoader(dataset, batch_size=None, num_workers=1))) == firsts(list(dataset))


# Samplers, splits and other datasets around it


def test_splits_samplers_and_wrappers_take_it(index):
    dataset = AudioFrameDataset(index, **SMALL)
    every = firsts(list(dataset))
    parts = random_split(dataset, [0.5, 0.5], torch.Generator().manual_seed(0))
    split = [all_of(part, batch_size=5, num_workers=1) for part in parts]
    assert sorted(split[0] + split[1]) == sorted(every)
    assert all_of(Subset(Subset(dataset, range(10, 30)), [5, 6, -1]), batch_size=2) == [every[15], every[16], every[29]]
    assert all_of(ConcatDataset([dataset, dataset]), batch_size=6, num_workers=1) == every * 2
    weights = np.repeat(np.arange(len(index)) == 2, dataset.frames_per_file()).astype(np.float64)
    sampler = WeightedRandomSampler(weights, 40, generator=torch.Generator().manual_seed(0))
    assert {(first - 1 - sum(LENGTHS[:2])) // 200 for first in all_of(dataset, sampler=sampler, batch_size=4)} == {0}
    assert sorted(all_of(dataset, batch_size=4, shuffle=True, num_workers=2)) == sorted(every)


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata's own
@pytest.mark.skipif(find_spec("torchdata") is None, reason="torchdata is not installed; it is optional")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_torchdatas_loader_resumes_it(index, num_workers):
    from torchdata.stateful_dataloader import StatefulDataLoader

    def loader():
        dataset = AudioFrameDataset(index, **SMALL, jitter=True)
        dataset.set_epoch(3)
        sampler = RandomSampler(dataset, generator=torch.Generator().manual_seed(1))
        return StatefulDataLoader(dataset, batch_size=4, sampler=sampler, num_workers=num_workers)

    whole, begun, resumed = list(loader()), loader(), loader()
    for _, batch in zip(range(3), begun, strict=False):
        assert batch.shape == (4, 1, 16)
    resumed.load_state_dict(begun.state_dict())
    rest = list(resumed)
    assert len(rest) == len(whole) - 3 > 5
    assert all(map(torch.equal, rest, whole[3:]))


def test_the_resumable_loader_names_the_one_to_use(index):
    with pytest.raises(OptionError, match="StatefulDataLoader resumes a sampler over an AudioFrameDataset"):
        ResumableDataLoader(AudioFrameDataset(index, **SMALL), batch_size=4)


class Wrapping(Dataset):
    def __init__(self, inner):
        self.inner = inner

    def __len__(self):
        return len(self.inner)

    def __getitem__(self, place):
        return self.inner[place]


def test_a_wrapper_that_knows_no_batches(index):
    dataset = AudioFrameDataset(index, **SMALL)
    assert all_of(Wrapping(dataset), batch_size=4, num_workers=1) == firsts(list(dataset))


# Errors


@pytest.fixture
def broken(tmp_path):
    """An index of four files, one of which is bad already, and one of which changes after it was indexed."""
    for number in range(3):
        make_mp3(tmp_path / f"{number}.mp3", 40_000, seed=number)
    (tmp_path / "bad.mp3").write_bytes(b"no audio")
    index = AudioIndex.build(tmp_path)
    make_mp3(tmp_path / "1.mp3", 5_000)
    return index


BROKEN = {"samples_per_frame": 10_000, "return_info": True}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_another_frame_comes_in_place_of_a_bad_one_and_the_report_lists_it(broken, num_workers, caplog):
    caplog.set_level(logging.WARNING)
    dataset = AudioFrameDataset(broken, **BROKEN, jitter=True)
    assert re.search(r"skipped .*bad.mp3: ", caplog.text)
    assert dataset.frames_per_file().tolist() == [4, 4, 4, 0]
    assert dataset.report().skipped.keys() == {broken.columns.path(3)}
    paths = {}
    for epoch in range(2):
        dataset.set_epoch(epoch)
        for run in range(2):
            loader = DataLoader(dataset, batch_size=5, num_workers=num_workers, shuffle=bool(run))
            items = [place for item in loader for place in zip(item["path"], item["start"].tolist(), strict=True)]
            assert len(items) == 12
            assert not any(path.endswith("1.mp3") for path, _ in items)
            assert sorted(paths.setdefault(epoch, sorted(items))) == sorted(items)
        report = dataset.report()
        assert report.epoch == epoch
        assert report.skipped.keys() == {broken.columns.path(1), broken.columns.path(3)}
        assert "changed since it was indexed" in report.skipped[broken.columns.path(1)]
        assert report.seconds_lost == pytest.approx(2 * 40_000 / RATE, abs=2 * 10_000 / RATE)
        assert not report.is_complete
    assert paths[0] != paths[1]
    if not num_workers:
        assert len(re.findall("skipped .*1.mp3: changed", caplog.text)) == 1


def test_errors_are_raised_if_asked(broken):
    with pytest.raises(AudioFileError, match=r"bad.mp3: no MPEG audio packets"):
        AudioFrameDataset(broken, on_error="raise")
    dataset = AudioFrameDataset(broken, **BROKEN, exclude=[broken.columns.path(3)], on_error="raise")
    assert dataset[0]["start"] == 0
    with pytest.raises(AudioFileError, match=r"1.mp3: changed since it was indexed"):
        dataset[5]
    with pytest.raises(AudioFileError, match=r"1.mp3: changed since it was indexed"):
        dataset.__getitems__([0, 5])


def test_a_function_is_called_for_each_bad_file(broken):
    called = []
    dataset = AudioFrameDataset(broken, **BROKEN, on_error=lambda error: called.append(error.path))
    assert len(list(dataset)) == len(dataset)
    assert called == [broken.columns.path(3), broken.columns.path(1)]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_another_frame_comes_in_place_of_a_rejected_one(index, num_workers):
    dataset = AudioFrameDataset(
        index, **SMALL, return_info=True, transform=lambda item: item if item["num_valid"] == 16 else None
    )
    runs = []
    for _ in range(2):
        items = list(DataLoader(dataset, batch_size=8, num_workers=num_workers))
        assert all((item["num_valid"] == 16).all() for item in items)
        runs.append(
            [tuple(frame) for item in items for frame in zip(firsts(item["audio"]), item["seed"].tolist(), strict=True)]
        )
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == len(runs[0]) == len(dataset)
    assert dataset.report().rejected >= 2 * 8
    assert not dataset.report()
    assert runs[0] == [(int(item["audio"][0, 0]), item["seed"]) for item in dataset]


def test_a_transform_that_rejects_everything_is_an_error(index):
    with pytest.raises(AllFramesRejectedError, match="rejected 1,001 frames of epoch 0 in a row"):
        AudioFrameDataset(index, **SMALL, transform=lambda _: None)[0]


def test_an_index_of_nothing_readable_is_refused(tmp_path):
    (tmp_path / "bad.mp3").write_bytes(b"no audio")
    with pytest.raises(NoReadableFileError, match="no frame in any of 1 files of the index"):
        AudioFrameDataset(AudioIndex.build(tmp_path))


def test_files_without_an_index_are_refused_with_the_remedy(index, tmp_path):
    for wrong in (index.root, [index.root], None):
        with pytest.raises(
            FilesTypeError, match="needs an index; make one: flowmo-data index FOLDER -o corpus.parquet"
        ):
            AudioFrameDataset(wrong)
    with pytest.raises(FilesNotFoundError, match="there is no such index"):
        AudioFrameDataset(tmp_path / "none.parquet")
    index.save(tmp_path / "there.parquet")
    assert len(AudioFrameDataset(tmp_path / "there.parquet", **SMALL)) == len(AudioFrameDataset(index, **SMALL))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("hop", 0, "hop=0: it must be a whole number of at least 1"),
        ("jitter", 1, "jitter=1: use True or False"),
        ("limit", -1, "limit=-1: it must be a whole number of at least 1"),
        ("framing", "crop", "framing='crop': use 'pad'"),
        ("on_error", "ignore", "on_error='ignore': use 'skip'"),
    ],
)
def test_a_bad_option_is_refused_with_its_remedy(index, name, value, message):
    with pytest.raises(OptionError, match=message):
        AudioFrameDataset(index, **{name: value})
    with pytest.raises(OptionError, match="epoch=-1: an epoch is a whole number"):
        AudioFrameDataset(index, **SMALL).set_epoch(-1)
