"""The data module under a real Trainer, in this process and in processes that are killed."""

import json
import os
import re
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from builders import make_mp3
from programs import LIGHTNING, run_ranks

from flowmo_data import AudioIndex, MixedAudioDataset, OptionError, ResumableDataLoader, StreamingAudioDataset

pytest.importorskip("lightning", reason="the extra lightning is not installed")

import lightning
from lightning.pytorch.callbacks import ModelCheckpoint

from flowmo_data.lightning import StreamingAudioDataModule

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec",  # Lightning 2.6 beside torch 2.14
    "ignore:Be aware that when using `ckpt_path`",  # tests that resume without the callback that saved
)

SMALL = {"batch_size": 2, "num_workers": 0, "samples_per_frame": 16_384, "shuffle_buffer_size": 8}
QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


class Noting(lightning.LightningModule):
    """Keeps which frames each step had."""

    def __init__(self):
        super().__init__()
        self.net, self.steps, self.validated = torch.nn.Conv1d(2, 2, 9, padding=4), [], []

    def training_step(self, batch, batch_idx):
        self.steps.append(frames_of(batch))
        return (self.net(batch["audio"]) - batch["audio"]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-3)


class Validating(Noting):
    def validation_step(self, batch, batch_idx):
        self.validated.append(frames_of(batch))


class Plain(lightning.LightningModule):
    """Takes batches of nothing but audio, as most models do."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Conv1d(2, 2, 9, padding=4)

    def step(self, name, batch):
        assert batch.shape[1:] == (2, 16_384)
        loss = (self.net(batch) - batch).square().mean()
        self.log(name, loss)
        return loss

    def training_step(self, batch, batch_idx):
        return self.step("loss", batch)

    def validation_step(self, batch, batch_idx):
        self.step("val_loss", batch)

    def test_step(self, batch, batch_idx):
        self.step("test_loss", batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-3)


def frames_of(batch):
    return [(os.path.basename(path), int(start)) for path, start in zip(batch["path"], batch["start"], strict=True)]


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    for index in range(5):
        make_mp3(folder / f"{index}.mp3", 60_000 + 20_000 * index, seed=index)
    return folder


@pytest.fixture(scope="module")
def index(music, tmp_path_factory):
    pytest.importorskip("pyarrow", reason="the extra index is not installed")
    path = tmp_path_factory.mktemp("index") / "music.parquet"
    AudioIndex.build(music).save(path)
    return path


def half(item):
    """Reject every second frame, by its seed."""
    return item if item["seed"] % 2 else None


def fit(files, *, val=None, ckpt_path=None, callbacks=(), data=None, **trainer):
    data = StreamingAudioDataModule(files, val, return_info=True, **{**SMALL, **(data or {})})
    model = Validating() if val else Noting()
    lightning.Trainer(
        **{**QUIET, "callbacks": list(callbacks), "enable_checkpointing": bool(callbacks), **trainer}
    ).fit(model, data, ckpt_path=ckpt_path)
    return model


@pytest.mark.parametrize(
    ("how", "data"),
    [
        ({"max_epochs": 3}, {}),
        ({"max_steps": 25}, {"num_workers": 2}),
        ({"max_steps": 12}, {"num_workers": 2, "transform": half}),
        ({"max_epochs": 3, "limit_train_batches": 4}, {}),
        ({"max_epochs": 3, "limit_train_batches": 4}, {"num_workers": 2, "persistent_workers": True}),
        ({"max_epochs": 3, "limit_train_batches": 7}, {"repeat": True}),
        ({"max_epochs": 2, "val": True}, {"num_workers": 1}),
        ({"max_epochs": 2, "indexed": True}, {"shuffle_buffer_size": None}),
    ],
    ids=[
        "epochs",
        "steps",
        "steps, rejected frames",
        "parts",
        "parts, persistent",
        "parts of an endless stream",
        "with validation",
        "index",
    ],
)
def test_every_checkpoint_resumes_exactly(music, index, tmp_path, how, data):
    how = dict(how)
    files = index if how.pop("indexed", False) else music
    how["val"] = str(music) if how.get("val") else None
    savers = [
        ModelCheckpoint(dirpath=tmp_path / "steps", filename="{step}", every_n_train_steps=1, save_top_k=-1),
        ModelCheckpoint(dirpath=tmp_path / "epochs", filename="{step}", every_n_epochs=1, save_top_k=-1),
    ]
    whole = fit(files, callbacks=savers, data=data, **how).steps
    by_epoch = sorted((tmp_path / "epochs").iterdir())
    by_step = sorted((tmp_path / "steps").iterdir(), key=step_of)
    assert len(by_step) == len(whole)
    assert by_epoch or "max_steps" in how
    chosen = [by_step[0], *by_step[2::5], by_step[-1], *by_epoch]
    for checkpoint in chosen:
        resumed = fit(files, ckpt_path=checkpoint, data=data, **how).steps
        assert resumed == whole[step_of(checkpoint) :], checkpoint


def step_of(checkpoint):
    return int(checkpoint.stem.partition("=")[2].partition("-")[0])


def test_epochs_differ_and_hold_every_frame(music):
    steps = fit(music, max_epochs=2, data={"framing": "drop", "batch_size": 1, "shuffle_buffer_size": 100}).steps
    names = [frame for step in steps for frame in step]
    first, second = names[: len(names) // 2], names[len(names) // 2 :]
    assert first != second
    assert len(set(first)) == len(first)


def test_validation_is_in_order_from_each_files_first_sample(music):
    model = fit(music, val=str(music), max_epochs=2, num_sanity_val_steps=0)
    frames = [frame for batch in model.validated for frame in batch]
    once = frames[: len(frames) // 2]
    assert once == frames[len(frames) // 2 :] == sorted(once)
    assert {start % 16_384 for _, start in once} == {0}


def test_a_normal_fit_warns_of_nothing(music, index, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*LeafSpec")
        for files in (music, index):
            data = StreamingAudioDataModule(files, files, files, **SMALL)
            trainer = lightning.Trainer(
                **{**QUIET, "logger": lightning.pytorch.loggers.CSVLogger(tmp_path)},
                max_epochs=2,
                log_every_n_steps=1,
            )
            trainer.fit(Plain(), data)
            trainer.validate(Plain(), data, verbose=False)
            trainer.test(Plain(), data, verbose=False)
            assert trainer.num_training_batches == (float("inf") if files == music else len(data.train_dataloader()))


def test_without_files_to_validate_on_there_is_nothing_to_validate(music):
    data = StreamingAudioDataModule(music, **SMALL)
    trainer = lightning.Trainer(**QUIET, fast_dev_run=True)
    with pytest.raises(Exception, match=r"val_dataloader"):
        trainer.validate(Plain(), data)


def test_hyperparameters_are_kept_and_make_the_same_module_again(music, tmp_path):
    data = StreamingAudioDataModule(Path(music), music, transform=lambda frame: frame, dtype=torch.float16, **SMALL)
    assert data.hparams["train"] == str(music)
    assert data.hparams["dtype"] == "float16"
    assert "transform" not in data.hparams
    trainer = lightning.Trainer(**QUIET, default_root_dir=tmp_path, max_steps=1)

    class Half(Plain):
        def training_step(self, batch, batch_idx):
            assert batch.dtype == torch.float16
            return super().training_step(batch.float(), batch_idx)

        def validation_step(self, batch, batch_idx):
            super().validation_step(batch.float(), batch_idx)

    trainer.fit(Half(), data)
    trainer.save_checkpoint(tmp_path / "saved.ckpt")
    again = StreamingAudioDataModule.load_from_checkpoint(tmp_path / "saved.ckpt")
    assert again.hparams == data.hparams


def test_storage_options_are_not_among_the_hyperparameters(music):
    data = StreamingAudioDataModule(str(music), storage_options={"key": "secret"}, max_buffered_bytes=1 << 20)
    assert "storage_options" not in data.hparams
    assert data.hparams["max_buffered_bytes"] == 1 << 20
    assert data.train_dataloader().loader.dataset.options.max_buffered_bytes == 1 << 20


def test_metadata_reaches_the_trainer(music, tmp_path):
    for path in Path(music).iterdir():
        path.with_suffix(".json").write_text('{"text": "about ' + path.stem + '"}')
    options = {**SMALL, "return_info": True}
    assert StreamingAudioDataModule(music, metadata=Path("a.csv"), **options).hparams["metadata"] == "a.csv"
    assert "metadata" not in StreamingAudioDataModule(music, metadata=lambda path: {}, **options).hparams
    with pytest.raises(OptionError, match="metadata='sidecar' comes out in the dictionary of return_info=True"):
        StreamingAudioDataModule(music, metadata="sidecar", **SMALL)
    data = StreamingAudioDataModule(music, music, metadata="sidecar", **options)
    texts = []

    class Captioned(Plain):
        def training_step(self, batch, batch_idx):
            texts.extend(zip(batch["path"], batch["metadata"]["text"], strict=True))
            return self.net(batch["audio"]).square().mean()

        def validation_step(self, batch, batch_idx):
            texts.extend(zip(batch["path"], batch["metadata"]["text"], strict=True))

    lightning.Trainer(**QUIET, default_root_dir=tmp_path, max_steps=2).fit(Captioned(), data)
    assert len(texts) > 4
    assert all(text == f"about {Path(path).stem}" for path, text in texts)


def test_an_index_is_not_among_the_hyperparameters(index):
    data = StreamingAudioDataModule(AudioIndex.load(index), **SMALL)
    assert "train" not in data.hparams
    assert next(iter(data.train_dataloader())).shape == (2, 2, 16_384)


class Separating(Plain):
    """Takes batches of two aligned files, and keeps them."""

    def training_step(self, batch, batch_idx):
        self.steps = [*getattr(self, "steps", []), batch]
        return (self.net(batch["mix"]) - batch["vocals"]).square().mean()

    def validation_step(self, batch, batch_idx):
        assert torch.equal(batch["mix"], batch["vocals"])


def test_aligned_files_resume_from_a_checkpoint(music, tmp_path):
    files = {"mix": Path(music), "vocals": [music]}
    steps = []
    for max_steps, resumed in ((4, None), (2, None), (4, tmp_path / "saved.ckpt")):
        trainer = lightning.Trainer(**QUIET, max_steps=max_steps, enable_checkpointing=False)
        model = Separating()
        trainer.fit(model, StreamingAudioDataModule(files, files, **SMALL), ckpt_path=resumed)
        trainer.save_checkpoint(tmp_path / "saved.ckpt")
        steps.append(model.steps)
    whole, first, rest = steps
    assert [len(each) for each in steps] == [4, 2, 2]
    for one, other in zip(whole, first + rest, strict=True):
        assert one.keys() == other.keys() == {"mix", "vocals"}
        assert torch.equal(one["mix"], other["mix"])
        assert torch.equal(one["vocals"], other["vocals"])
    again = StreamingAudioDataModule.load_from_checkpoint(tmp_path / "saved.ckpt")
    assert again.hparams["train"] == {"mix": str(music), "vocals": [str(music)]}


def test_it_can_be_iterated_over_without_a_trainer(music):
    data = StreamingAudioDataModule(music, music, **SMALL)
    loader = data.train_dataloader()
    first, second = (torch.cat(list(loader)) for _ in range(2))
    assert not torch.equal(first[:4], second[:4])
    assert torch.equal(*(torch.cat(list(data.val_dataloader())) for _ in range(2)))
    state = data.state_dict()
    data.load_state_dict(state)
    assert len(list(data.train_dataloader())) > 0


def test_hop_is_for_all_sets_and_a_limit_for_those_that_are_not_trained_on(index):
    data = StreamingAudioDataModule(index, index, index, **SMALL, hop=8_192, limit=3)
    assert len(data.train_dataloader()) > 2 * len(StreamingAudioDataModule(index, **SMALL).train_dataloader()) - 8
    for loader in (data.val_dataloader(), data.test_dataloader()):
        assert sum(map(len, loader)) == 3


def test_the_batch_size_can_be_set_by_lightnings_finder(music):
    data = StreamingAudioDataModule(music, **SMALL)
    data.hparams["batch_size"] = 4
    assert len(next(iter(data.train_dataloader()))) == 4


def test_wrong_options_are_refused_when_it_is_made(music):
    with pytest.raises(OptionError, match="channels=3"):
        StreamingAudioDataModule(music, channels=3)
    with pytest.raises(OptionError, match="dtype='float17'"):
        StreamingAudioDataModule(music, dtype="float17")


@pytest.mark.skipif(find_spec("jsonargparse") is None, reason="jsonargparse is not installed; Lightning's CLI needs it")
@pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning")  # Lightning 2.6's call
def test_lightnings_own_command_line_builds_it(music, monkeypatch, tmp_path):
    from lightning.pytorch.cli import LightningCLI

    monkeypatch.chdir(tmp_path)
    arguments = ["fit", f"--data.train={music}", "--data.num_workers=0", "--data.samples_per_frame=16384"]
    arguments += ["--data.batch_size=2", "--data.dtype=float32", "--data.shuffle_buffer_size=8"]
    arguments += ["--trainer.max_steps=2", "--trainer.accelerator=cpu", "--trainer.logger=false"]
    arguments += ["--trainer.enable_progress_bar=false", f"--data.val={music}"]
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    cli = LightningCLI(Plain, StreamingAudioDataModule, seed_everything_default=False)
    assert cli.trainer.global_step == 2
    assert cli.datamodule.hparams["samples_per_frame"] == 16_384


SCRIPT = Path(__file__).parent / "lightning_training.py"


def train(files, out, **options):
    out.mkdir(exist_ok=True)
    given = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    return run_ranks(options["devices"], SCRIPT, files, out, *given, fork=LIGHTNING)


def noted(out, rank):
    return [json.loads(line) for line in (out / f"frames.{rank}").read_text().splitlines()]


@pytest.mark.parametrize(
    ("devices", "with_index"),
    [
        pytest.param(1, False, marks=pytest.mark.slow),
        (2, False),
        pytest.param(2, True, marks=pytest.mark.slow),
    ],
)
def test_a_killed_fit_goes_on_as_if_it_had_not_been(music, index, tmp_path, devices, with_index):
    files = index if with_index else music
    steps = 24 // devices
    whole, killed, resumed = (tmp_path / name for name in ("whole", "killed", "resumed"))
    done = train(files, whole, devices=devices, steps=steps)
    assert done.returncode == 0, done.stderr
    assert "arning" not in done.stderr, done.stderr
    assert train(files, killed, devices=devices, steps=steps, die_after=8).returncode != 0
    last = max(killed.glob("*.ckpt"), key=step_of)
    assert step_of(last) == 6
    done = train(files, resumed, devices=devices, steps=steps, resume=last, checkpoints=killed)
    assert done.returncode == 0, done.stderr
    for rank in range(devices):
        assert len(noted(whole, rank)) == steps
        assert noted(resumed, rank) == noted(whole, rank)[6:]
        assert noted(killed, rank)[:8] == noted(whole, rank)[:8]
    if devices == 2:
        first, second = ({tuple(frame) for _, frames in noted(whole, rank)[:6] for frame in frames} for rank in (0, 1))
        assert not first & second


VALIDATING = """
import sys, lightning, torch
from flowmo_data.lightning import StreamingAudioDataModule

class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net, self.seen = torch.nn.Conv1d(2, 2, 3, padding=1), 0

    def training_step(self, batch):
        return (self.net(batch) - batch).square().mean()

    def validation_step(self, batch):
        self.seen += len(batch)
        self.log("loss", (self.net(batch) - batch).square().mean(), sync_dist=True, on_step=True, on_epoch=True)

    test_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-3)

many, few, num_workers = sys.argv[1:]
options = dict(samples_per_frame=16_384, batch_size=2, num_workers=int(num_workers))
trainer = lightning.Trainer(accelerator="cpu", devices=2, strategy="ddp", max_epochs=2, num_sanity_val_steps=0,
    logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
for val in (many, few):
    for run in (trainer.validate, trainer.test) if val == few else (trainer.fit, trainer.validate):
        model = Model()
        run(model, datamodule=StreamingAudioDataModule(many, val, val, **options))
        print("rank", trainer.global_rank, "frames", model.seen)
"""


@pytest.mark.parametrize("num_workers", [0, 1])
def test_validation_ends_on_all_ranks_where_their_files_differ(tmp_path, num_workers):
    for folder, lengths in {"many": (40_000, 130_000, 300_000), "few": (150_000,)}.items():
        (tmp_path / folder).mkdir()
        for number, length in enumerate(lengths):
            make_mp3(tmp_path / folder / f"{number}.mp3", length, seed=number)
    (tmp_path / "train.py").write_text(VALIDATING)
    done = run_ranks(2, tmp_path / "train.py", tmp_path / "many", tmp_path / "few", num_workers, fork=LIGHTNING)
    assert done.returncode == 0, done.stderr
    seen = re.findall(r"rank (\d) frames (\d+)", done.stdout)
    by_rank = [[int(frames) for rank, frames in seen if rank == wanted] for wanted in "01"]
    assert by_rank[0] == by_rank[1]
    assert len(by_rank[0]) == 4
    assert by_rank[0][0] == 2 * by_rank[0][1] > 0
    assert by_rank[0][2:] == [0, 0]
    assert "rank 1 has no batch, so no rank gets one" in done.stderr


@pytest.mark.parametrize("name", ["train_dataloader", "val_dataloader"])
def test_an_iterator_that_is_not_used_begins_nothing(music, name):
    loader = getattr(StreamingAudioDataModule(music, music, **SMALL), name)()
    for _ in range(3):
        iter(loader)
    assert loader.loader.dataset.next_epoch == 0
    next(iter(loader))
    assert loader.loader.dataset.next_epoch == 1


def test_a_mixture_is_refused_by_the_module_and_its_loader_trains(music):
    options = {"samples_per_frame": 16_384, "shuffle_buffer_size": 8, "return_info": True}
    sets = {name: StreamingAudioDataset(music, seed=seed, **options) for seed, name in enumerate("ab")}
    mixture = MixedAudioDataset(sets, weights={"a": 1, "b": 1}, stop="never")
    with pytest.raises(OptionError, match="give the Trainer a ResumableDataLoader of the MixedAudioDataset"):
        StreamingAudioDataModule(mixture, **SMALL)
    model = Noting()
    lightning.Trainer(max_steps=4, enable_checkpointing=False, **QUIET).fit(
        model, ResumableDataLoader(mixture, batch_size=2, num_workers=2)
    )
    assert len(model.steps) == 4


def test_files_may_be_a_column_of_datasets(music):
    pytest.importorskip("datasets.features", reason="datasets is not installed; it is optional")  # not tests/datasets
    import datasets

    paths = [str(path) for path in sorted(music.glob("*.mp3"))]
    dataset = datasets.Dataset.from_dict({"audio": paths}).cast_column("audio", datasets.Audio())
    assert StreamingAudioDataModule(dataset["audio"], **SMALL).hparams["train"] == paths
