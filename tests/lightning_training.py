"""A training script for the tests: a real Trainer over the data module, which notes the frames of every step.

lightning_training.py FILES OUT --devices N --steps N [--resume CHECKPOINT] [--checkpoints FOLDER] [--die-after N]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import warnings
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from flowmo_data.lightning import StreamingAudioDataModule


class Noting(lightning.LightningModule):
    """A small model that writes down which frames each step trains on."""

    def __init__(self, out: Path, die_after: int) -> None:
        super().__init__()
        self.net, self._out, self._die_after = torch.nn.Conv1d(2, 2, 9, padding=4), out, die_after

    def training_step(self, batch, batch_idx):
        frames = [
            [os.path.basename(path), int(start)] for path, start in zip(batch["path"], batch["start"], strict=True)
        ]
        with (self._out / f"frames.{self.global_rank}").open("a") as opened:
            opened.write(json.dumps([self.global_step, frames]) + "\n")
        if self.global_step == self._die_after:
            os.kill(os.getpid(), signal.SIGKILL)
        return (self.net(batch["audio"]) - batch["audio"]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-3)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files")
    parser.add_argument("out", type=Path)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--resume")
    parser.add_argument("--checkpoints", type=Path, help="where to save them; OUT by default")
    parser.add_argument("--die-after", type=int, default=-1)
    given = parser.parse_args()
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning 2.6 beside torch 2.14
    warnings.filterwarnings("ignore", message="Checkpoint directory .* is not empty")
    data = StreamingAudioDataModule(
        given.files, batch_size=2, num_workers=2, samples_per_frame=16_384, shuffle_buffer_size=8, return_info=True
    )
    saved = ModelCheckpoint(
        dirpath=given.checkpoints or given.out, filename="{step}", every_n_train_steps=3, save_top_k=-1
    )
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=given.devices,
        strategy="ddp" if given.devices > 1 else "auto",
        max_steps=given.steps,
        logger=False,
        enable_progress_bar=False,
        callbacks=[saved],
    )
    trainer.fit(Noting(given.out, given.die_after), data, ckpt_path=given.resume)


if __name__ == "__main__":
    main()
