"""Every option and dataset in every loader: what comes out, or the error that refuses it.

The table on the page about options and loaders is made from `ROWS` and `NOTES`, and compared with the page. Files are
ramps: each sample of the corpus is another number, so a frame is known by its first and its last sample.
"""

import re
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from builders import make_ramp, make_ramps
from torch.utils.data import DataLoader, default_collate

from flowmo_data import (
    AudioFrameDataset,
    AudioIndex,
    MixedAudioDataset,
    OptionError,
    ResumableDataLoader,
    StreamingAudioDataset,
)

pytest.importorskip("pyarrow", reason="pyarrow is not installed; it is optional")

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec",  # Lightning 2.6 beside torch 2.14
    "ignore:Your `IterableDataset` has `__len__` defined",  # Lightning's, about lengths that ignore workers
    "ignore:'set_vital' is deprecated",  # torchdata 0.11 beside torch 2.14
)

PAGE = Path(__file__).parents[1] / "docs" / "options_and_loaders.md"
T = 8
"""samples of a frame"""
BATCH = 2
LENGTHS = (20, 8, 12, 5)
FRAMES = [(1, 8), (9, 16), (17, 20), (21, 28), (29, 36), (37, 40), (41, 45)]
"""first and last sample of each frame of the ramps"""
OTHERS = 1_000
"""the ramps of the other folder begin so much higher"""

NEEDS = {
    "`DataLoader`": "torch",
    "`ResumableDataLoader`": "torch",
    "`StatefulDataLoader`": "torchdata",
    "Lightning, data module": "lightning",
    "Lightning, your loader": "lightning",
    "Accelerate": "accelerate",
    "transformers' `Trainer`": "transformers",
}
"""the loaders, and the package of each"""
PLAIN, RESUMABLE, STATEFUL, MODULE, LIGHTNING, ACCELERATE, TRAINER = NEEDS

NOTES = {
    "alone": "The dataset makes the batches: give the loader `batch_size=None`. Two batch sizes are refused.",
    "steps": "There is no end, so count steps. In Lightning and transformers, `max_steps=` does.",
    "val": "In validation and test. Training takes all frames.",
    "getter": "With `data_collator=operator.itemgetter(0)` and `per_device_train_batch_size=1`. The "
    "collators of transformers are refused.",
    "collate": "With `data_collator=torch.utils.data.default_collate`. The collator of the `Trainer` takes no "
    "dictionary inside a dictionary, and drops text.",
    "dictionary": "Items must be dictionaries: use `return_info=True`, or a `transform` that makes them. Tensors are "
    "refused.",
}
"""how a cell works; the page numbers them"""


class Refused(NamedTuple):
    """A cell that is an error."""

    match: str
    shown: str
    """what the page says"""


class Row(NamedTuple):
    """An option or a dataset, and what comes out of a loader with it."""

    title: str
    frames: list[tuple[int, int]] = FRAMES
    options: Mapping[str, Any] = {}
    files: str = "index"
    kind: type = StreamingAudioDataset
    facts: Mapping[str, list[Any]] = {}
    """values under a key of the items, in the order of the frames"""
    cells: Mapping[str, str | Refused] = {}
    """by loader: a note, or an error; it runs as it is where there is nothing"""


def whole_only(item):
    """Reject frames that end with padding."""
    frame = item["audio"] if isinstance(item, dict) else item
    return item if frame[0, -1] else None


WHOLE = [(1, 8), (9, 16), (21, 28), (29, 36)]
NO_FILES = {
    "mixture": Refused("give the Trainer a ResumableDataLoader of the MixedAudioDataset", "refused: it takes files"),
    "numbers": Refused("give the Trainer a DataLoader of the AudioFrameDataset", "refused: it takes files"),
}
ROWS = [
    Row("frames", cells={TRAINER: "dictionary"}),
    Row("frames, from a folder", files="folder", cells={TRAINER: "dictionary"}),
    Row("`transform` that rejects frames", WHOLE, {"transform": whole_only}, "folder", cells={TRAINER: "dictionary"}),
    Row(
        "`transform` that rejects frames, from an index",
        [(1, 8), (9, 16), (21, 28), (21, 28), (29, 36), (1, 8), (1, 8)],
        {"transform": whole_only},
        cells={TRAINER: "dictionary"},
    ),
    Row(
        "`return_info`",
        options={"return_info": True},
        facts={
            "start": [0, 8, 16, 0, 0, 8, 0],
            "num_valid": [8, 8, 4, 8, 8, 4, 5],
            "num_samples": [20, 20, 20, 8, 12, 12, 5],
            "path": [f"ramp_{number:03d}.wav" for number in (0, 0, 0, 1, 2, 2, 3)],
        },
    ),
    Row(
        "`metadata`",
        options={"return_info": True, "metadata": "labels.csv"},
        facts={
            "metadata.text": ["a", "a", "a", "b", "c", "c", "d"],
            "metadata.bpm": [90, 90, 90, 91, 92, 92, 93],
        },
        cells={TRAINER: "collate"},
    ),
    Row(
        "segments",
        [(5, 12), (13, 14), (11, 15), (33, 40)],
        {"return_info": True},
        "segments",
        facts={"start": [0, 8, 0, 0], "metadata.text": ["first", "first", "over it", "third"]},
        cells={TRAINER: "collate"},
    ),
    Row(
        "`hop`",
        [(1, 8), (5, 12), (9, 16), (13, 20), (21, 28), (29, 36), (33, 40), (41, 45)],
        {"hop": 4},
        cells={TRAINER: "dictionary"},
    ),
    Row("`limit`", [(9, 16), (21, 28), (37, 40)], {"limit": 3}, cells={MODULE: "val", TRAINER: "dictionary"}),
    Row(
        "`batch_size`",
        options={"batch_size": BATCH},
        cells={
            **dict.fromkeys((PLAIN, RESUMABLE, STATEFUL, LIGHTNING, ACCELERATE), "alone"),
            TRAINER: "getter dictionary",
        },
    ),
    Row(
        "`repeat`",
        FRAMES * 2,
        {"repeat": True},
        cells={**dict.fromkeys(NEEDS, "steps"), TRAINER: "steps dictionary"},
    ),
    Row("`decode_threads`", options={"decode_threads": 2}, cells={TRAINER: "dictionary"}),
    Row("aligned files", files="aligned"),
    Row(
        "aligned files, `return_info`",
        options={"return_info": True},
        files="aligned",
        facts={"num_valid": [8, 8, 4, 8, 8, 4, 5]},
        cells={TRAINER: "collate"},
    ),
    Row(
        "`MixedAudioDataset`",
        [
            (1, 8),
            (9, 16),
            (1_001, 1_008),
            (17, 20),
            (21, 28),
            (1_009, 1_016),
            (29, 36),
            (37, 40),
            (1_017, 1_020),
            (41, 45),
        ],
        {"return_info": True},
        kind=MixedAudioDataset,
        facts={"dataset": ["one", "one", "other", "one", "one", "other", "one", "one", "other", "one"]},
        cells={MODULE: NO_FILES["mixture"]},
    ),
    Row(
        "`AudioFrameDataset`",
        kind=AudioFrameDataset,
        cells={
            RESUMABLE: Refused("torchdata's StatefulDataLoader resumes a sampler", "refused: it resumes no sampler"),
            MODULE: NO_FILES["numbers"],
            TRAINER: "dictionary",
        },
    ),
]


@pytest.fixture(autouse=True)
def no_folder_of_tests(monkeypatch):
    """Hide tests/datasets, which transformers takes for the package of that name."""
    own = Path(__file__).parent
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path).resolve() != own])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """What `files` can be, by name, and the folder of the table."""
    root = tmp_path_factory.mktemp("ramps")
    make_ramps(root / "one", LENGTHS)
    (root / "other").mkdir()
    for number, (first, length) in enumerate(zip((1, 21, 29, 41), LENGTHS, strict=True)):
        make_ramp(root / "other" / f"ramp_{number:03d}.wav", OTHERS + first, length)
    rows = [f"one/ramp_{number:03d}.wav,{'abcd'[number]},{90 + number}" for number in range(len(LENGTHS))]
    (root / "labels.csv").write_text("\n".join(["file_name,text,bpm", *rows]))
    segments = [(0, 4, 14, "first"), (0, 10, 15, "over it"), (2, 4, 12, "third")]
    rows = [f"one/ramp_{file:03d}.wav,{start / 44_100},{stop / 44_100},{text}" for file, start, stop, text in segments]
    (root / "segments.csv").write_text("\n".join(["file_name,start,stop,text", *rows]))
    index = AudioIndex.build(root / "one")
    return {
        "root": root,
        "folder": root / "one",
        "index": index,
        "one": index,
        "other": AudioIndex.build(root / "other"),
        "segments": index.with_segments(root / "segments.csv"),
        "aligned": AudioIndex.build({"one": root / "one", "other": root / "other"}),
    }


def options_of(row, corpus, **more):
    options = {"samples_per_frame": T, "channels": 1, **row.options, **more}
    if "metadata" in options:
        options["metadata"] = corpus["root"] / options["metadata"]
    return options


def dataset_of(row, corpus, **more):
    """The dataset of a row, in file order."""
    options = options_of(row, corpus, **more)
    if row.kind is AudioFrameDataset:
        return AudioFrameDataset(corpus["index"], **options)
    options = {"shuffle": False, **options}
    if row.kind is MixedAudioDataset:
        sets = {name: StreamingAudioDataset(corpus[name], **options) for name in ("one", "other")}
        return MixedAudioDataset(sets, weights={"one": 2, "other": 1})
    return StreamingAudioDataset(corpus[row.files], **options)


def loader_of(loader, row, corpus, **loading):
    dataset = dataset_of(row, corpus)
    return loader(dataset, batch_size=None if "batch_size" in row.options else BATCH, **loading)


def steps_of(row):
    return -(-len(row.frames) // BATCH)


# What comes out


def tensors(batch):
    """The audio of a batch, by the name of the folder."""
    audio = batch["audio"] if isinstance(batch, Mapping) and "audio" in batch else batch
    return audio if isinstance(audio, Mapping) else {"one": audio}


def frames_of(batches):
    """The first and the last sample of each frame. All between are there, and all others are padding."""
    found = []
    for batch in batches:
        by_name = tensors(batch)
        for number, frame in enumerate(by_name["one"]):
            assert frame.shape == (1, T)
            (at,) = frame[0].nonzero(as_tuple=True)
            assert torch.equal(frame[0, at], torch.arange(len(at)) + frame[0, at[0]])
            found.append((int(frame.max()) - len(at) + 1, int(frame.max())))
            if "other" in by_name:
                assert torch.equal(by_name["other"][number][0, at], frame[0, at] + OTHERS)
    return found


def facts_of(batches, key):
    """The values under a key, of all batches."""
    found = []
    for batch in batches:
        for part in key.split("."):
            batch = batch[part]
        found += batch.tolist() if isinstance(batch, torch.Tensor) else batch
    return [Path(value).name for value in found] if key == "path" else found


def check(row, batches, *, order=list):
    """Compare all that came out with the row."""
    batches = list(batches)
    assert order(frames_of(batches)) == order(row.frames)
    for key, values in row.facts.items():
        if key.partition(".")[0] in batches[0]:
            assert order(facts_of(batches, key)) == order(values)


# The loaders


def plain(row, corpus):
    check(row, islice(loader_of(DataLoader, row, corpus), steps_of(row)))


def resumed(loader, row, corpus, **loading):
    """The same batches come out with a stop after the first."""
    whole = list(islice(loader_of(loader, row, corpus, **loading), steps_of(row)))
    check(row, whole)
    stopped = loader_of(loader, row, corpus, **loading)
    first = list(islice(stopped, 1))
    again = loader_of(loader, row, corpus, **loading)
    again.load_state_dict(stopped.state_dict())
    check(row, first + list(islice(again, steps_of(row) - 1)))


def resumable(row, corpus):
    resumed(ResumableDataLoader, row, corpus)


def stateful(row, corpus):
    from torchdata.stateful_dataloader import StatefulDataLoader

    resumed(StatefulDataLoader, row, corpus)


def quiet_trainer(**options):
    from lightning.pytorch import Trainer

    return Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, num_sanity_val_steps=0, **{"max_epochs": 1, **options},
    )  # fmt: skip


def noting_module(*, validating=False):
    """A LightningModule that keeps its batches."""
    from lightning.pytorch import LightningModule

    class Noting(LightningModule):
        def __init__(self):
            super().__init__()
            self.weight, self.seen = torch.nn.Parameter(torch.ones(())), []

        def training_step(self, batch, batch_idx):
            self.seen.append(batch)
            return self.weight * 1

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 1e-3)

    class Validating(Noting):
        def validation_step(self, batch, batch_idx):
            self.seen.append(batch)

    return (Validating if validating else Noting)()


def data_module(row, corpus):
    """Validation is in file order. Training has the frames of the shuffled dataset."""
    from flowmo_data.lightning import StreamingAudioDataModule

    if row.kind is not StreamingAudioDataset:
        StreamingAudioDataModule(dataset_of(row, corpus))
        return
    options = {"batch_size": BATCH, "num_workers": 0, **options_of(row, corpus)}
    data = StreamingAudioDataModule(corpus[row.files], corpus[row.files], **options)
    model = noting_module(validating=True)
    quiet_trainer().validate(model, data, verbose=False)
    check(row._replace(frames=FRAMES) if "repeat" in row.options else row, model.seen)
    model = noting_module(validating=True)
    quiet_trainer(max_steps=steps_of(row) if "repeat" in row.options else -1, limit_val_batches=0).fit(model, data)
    alone = dataset_of(row, corpus, shuffle=True, limit=None, batch_size=None)
    expected = islice(alone, sum(len(tensors(batch)["one"]) for batch in model.seen))
    expected = [default_collate([item]) for item in expected]
    assert frames_of(model.seen) == frames_of(expected)
    assert len(frames_of(model.seen)) >= len(row.frames) - 1
    for key in row.facts:
        assert facts_of(model.seen, key) == facts_of(expected, key)


def lightning_loader(row, corpus):
    loader = DataLoader if row.kind is AudioFrameDataset else ResumableDataLoader
    model = noting_module()
    quiet_trainer(max_steps=steps_of(row)).fit(model, loader_of(loader, row, corpus))
    check(row, model.seen)


def accelerate(row, corpus):
    from accelerate import Accelerator

    loader = Accelerator(cpu=True).prepare(loader_of(DataLoader, row, corpus))
    check(row, islice(loader, steps_of(row)))


def trained(dataset, folder, *, max_steps, collate=None, batch_size=BATCH):
    """The batches that a model got from transformers' Trainer."""
    from transformers import Trainer, TrainingArguments

    class Noting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.seen = torch.nn.Parameter(torch.ones(())), []

        def forward(self, **batch):
            self.seen.append(batch)
            return {"loss": self.weight * 1}

    arguments = TrainingArguments(
        output_dir=str(folder), use_cpu=True, max_steps=max_steps, per_device_train_batch_size=batch_size,
        report_to=[], save_strategy="no", disable_tqdm=True, remove_unused_columns=False, dataloader_pin_memory=False,
    )  # fmt: skip
    model = Noting()
    Trainer(model, arguments, train_dataset=dataset, data_collator=collate).train()
    return model.seen


def trainer(row, corpus):
    """In dictionaries, with the collator that the note names, or that of the Trainer."""
    notes = row.cells.get(TRAINER, "").split()
    how = {"max_steps": steps_of(row)}
    if "collate" in notes:
        how["collate"] = default_collate
    if "getter" in notes:
        how |= {"collate": itemgetter(0), "batch_size": 1}
    more = {} if row.files == "aligned" else {"return_info": True}
    order = sorted if row.kind is AudioFrameDataset else list  # the Trainer shuffles it
    check(row, trained(dataset_of(row, corpus, **more), corpus["root"] / "out", **how), order=order)


RUN = dict(zip(NEEDS, (plain, resumable, stateful, data_module, lightning_loader, accelerate, trainer), strict=True))


@pytest.mark.parametrize("loader", NEEDS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_a_cell_runs_or_is_refused(row, loader, corpus):
    if find_spec(NEEDS[loader]) is None:
        pytest.skip(f"{NEEDS[loader]} is not installed; it is optional")
    cell = row.cells.get(loader)
    if isinstance(cell, Refused):
        with pytest.raises(OptionError, match=cell.match):
            RUN[loader](row, corpus)
    else:
        RUN[loader](row, corpus)


WITH_WORKERS = [
    row
    for row in ROWS
    if row.title in ("`return_info`", "`transform` that rejects frames, from an index", "`MixedAudioDataset`")
]


@pytest.mark.parametrize("row", WITH_WORKERS, ids=lambda row: row.title)
def test_two_workers_give_the_same(row, corpus):
    loading = {"num_workers": 2, "prefetch_factor": 1}
    resumed(ResumableDataLoader, row, corpus, **loading)
    check(row, loader_of(DataLoader, row, corpus, **loading), order=sorted)


def test_two_workers_give_the_same_frames_by_number(corpus):
    row = ROWS[-1]
    assert row.kind is AudioFrameDataset
    check(row, loader_of(DataLoader, row, corpus, num_workers=2))


@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed; it is optional")
@pytest.mark.parametrize("kind", [StreamingAudioDataset, MixedAudioDataset, AudioFrameDataset])
def test_the_trainer_refuses_tensors_and_says_what_to_do(kind, corpus):
    dataset = dataset_of(Row("", kind=kind), corpus)
    with pytest.raises(OptionError, match=r"an item is a Tensor: use return_info=True, or a transform that returns"):
        trained(dataset, corpus["root"] / "out", max_steps=1)


@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed; it is optional")
def test_the_trainer_takes_what_a_transform_makes(corpus):
    dataset = dataset_of(Row("", options={"transform": lambda frame: {"audio": frame}}), corpus)
    assert frames_of(trained(dataset, corpus["root"] / "out", max_steps=2)) == FRAMES[: 2 * BATCH]


@pytest.mark.parametrize("loader", [PLAIN, RESUMABLE, STATEFUL, ACCELERATE, TRAINER])
def test_two_batch_sizes_are_refused(loader, corpus):
    if find_spec(NEEDS[loader]) is None:
        pytest.skip(f"{NEEDS[loader]} is not installed; it is optional")
    dataset = dataset_of(Row("", options={"batch_size": BATCH}), corpus)
    with pytest.raises(OptionError, match="would give batches of batches"):
        batched_twice(loader, dataset, corpus["root"] / "out")


def batched_twice(loader, dataset, folder):
    """Iterate over a loader with a batch size of its own."""
    if loader == TRAINER:
        trained(dataset, folder, max_steps=1)
    elif loader == ACCELERATE:
        from accelerate import Accelerator

        list(Accelerator(cpu=True).prepare(DataLoader(dataset, batch_size=BATCH)))
    elif loader == STATEFUL:
        from torchdata.stateful_dataloader import StatefulDataLoader

        list(StatefulDataLoader(dataset, batch_size=BATCH))
    else:
        list({PLAIN: DataLoader, RESUMABLE: ResumableDataLoader}[loader](dataset, batch_size=BATCH))


# The page


def numbered(cell):
    """A cell of the table on the page."""
    if isinstance(cell, Refused):
        return cell.shown
    numbers = " ".join(f"[{list(NOTES).index(note) + 1}]" for note in (cell or "").split())
    return f"yes {numbers}".strip()


def table():
    """The table of the page, and its notes."""
    head = ["| |" + "".join(f" {loader} |" for loader in NEEDS), "| --- |" + " --- |" * len(NEEDS)]
    rows = [f"| {row.title} |" + "".join(f" {numbered(row.cells.get(loader))} |" for loader in NEEDS) for row in ROWS]
    notes = [f"{number}. {note}" for number, note in enumerate(NOTES.values(), 1)]
    return "\n".join([*head, *rows, "", *notes, ""])


def test_the_page_has_the_table():
    text = PAGE.read_text()
    assert re.search(r"<!-- table -->\n\n(.*?)\n<!-- /table -->", text, flags=re.DOTALL)[1] == table()


def test_every_note_is_used():
    assert {
        note for row in ROWS for cell in row.cells.values() if isinstance(cell, str) for note in cell.split()
    } == set(NOTES)
