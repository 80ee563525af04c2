"""A program of one rank: it writes down the frames that the map-style dataset gives to samplers and trainers.

`map_style_ranks.py OUT INDEX NAME [NAME ...]`; a name is that of a function here. A frame is its file and its start.
"""

import json
import os
import sys
import warnings
from pathlib import Path

import torch
from torch import distributed
from torch.utils.data import DataLoader, DistributedSampler

from flowmo_data import AudioFrameDataset

EPOCHS = 2


class Net(torch.nn.Module):
    """A model that writes down what it sees, and learns a little."""

    def __init__(self):
        super().__init__()
        self.net, self.seen = torch.nn.Conv1d(1, 1, 9, padding=4), []

    def forward(self, audio, start, num_samples, **_):
        self.seen.append(list(zip(num_samples.tolist(), start.tolist(), strict=True)))
        return {"loss": (self.net(audio) - audio).square().mean()}


def frames(batches):
    """The frames of some batches: the length of their file, which no other file has, and their start."""
    return [list(zip(batch["num_samples"].tolist(), batch["start"].tolist(), strict=True)) for batch in batches]


def sampler(dataset, folder):
    """DistributedSampler, under torch.distributed."""
    if not distributed.is_initialized():
        distributed.init_process_group("gloo")
    sampler = DistributedSampler(dataset, shuffle=True)
    loader = DataLoader(dataset, batch_size=4, sampler=sampler, num_workers=2, persistent_workers=True)
    epochs = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        dataset.set_epoch(epoch)
        epochs.append(frames(loader))
    return epochs


def accelerate(dataset, folder):
    """A loader that Accelerate has prepared. It calls set_epoch of the dataset by itself."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model = accelerator.prepare(Net())
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    loader = accelerator.prepare(DataLoader(dataset, batch_size=4, shuffle=True, num_workers=2))
    epochs = []
    for _ in range(EPOCHS):
        seen = []
        for batch in loader:
            accelerator.backward(model(**batch)["loss"])
            optimizer.step()
            seen.append(batch)
        epochs.append(frames(seen))
    return epochs


def transformers(dataset, folder):
    """The Trainer of Hugging Face, with its own data collator. Its sampler has an epoch of its own."""
    sys.path = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent]  # datasets/ is no package
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class SetEpoch(TrainerCallback):
        def on_epoch_begin(self, args, state, control, **kwargs):
            dataset.set_epoch(int(state.epoch))

    arguments = TrainingArguments(
        output_dir=str(folder), use_cpu=True, num_train_epochs=EPOCHS, per_device_train_batch_size=4,
        dataloader_num_workers=2, report_to=[], save_strategy="no", disable_tqdm=True, remove_unused_columns=False,
        dataloader_pin_memory=False, per_device_eval_batch_size=4,
    )  # fmt: skip
    model = Net()
    trainer = Trainer(model, arguments, train_dataset=dataset, eval_dataset=dataset, callbacks=[SetEpoch()])
    trainer.train()
    half = len(model.seen) // EPOCHS
    model.seen, epochs = [], [model.seen[:half], model.seen[half:]]
    assert trainer.evaluate()["eval_runtime"] > 0
    return epochs


def lightning(dataset, folder):
    """A Lightning Trainer with a loader, and no data module. It adds a DistributedSampler."""
    from lightning.pytorch import LightningModule, Trainer

    class Module(LightningModule):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def training_step(self, batch, batch_idx):
            return self.net(**batch)

        def on_train_epoch_start(self):
            dataset.set_epoch(self.current_epoch)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 1e-3)

    module = Module()
    trainer = Trainer(
        accelerator="cpu", devices=int(os.environ["WORLD_SIZE"]), strategy="ddp", max_epochs=EPOCHS, logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(dataset, batch_size=4, shuffle=True, num_workers=2))
    seen = module.net.seen
    return [seen[: len(seen) // EPOCHS], seen[len(seen) // EPOCHS :]]


def main():
    out, index, *names = sys.argv[1:]
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning 2.6 beside torch 2.14
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    written = {}
    for name in names:
        dataset = AudioFrameDataset(index, samples_per_frame=500, channels=1, jitter=True, return_info=True)
        epochs = globals()[name](dataset, Path(out).parent)
        written[name] = {"epochs": epochs, "expected": expected(index)}
    Path(out).with_suffix(f".{os.environ['RANK']}").write_text(json.dumps(written))
    if distributed.is_initialized():
        distributed.destroy_process_group()


def expected(index):
    """All frames of each epoch, in their order."""
    dataset = AudioFrameDataset(index, samples_per_frame=500, channels=1, jitter=True, return_info=True)
    epochs = []
    for epoch in range(EPOCHS):
        dataset.set_epoch(epoch)
        epochs.append([(item["num_samples"], item["start"]) for item in dataset])
    return epochs


if __name__ == "__main__":
    main()
