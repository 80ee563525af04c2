"""Train with a Lightning Trainer: the data module, and checkpoints that resume exactly.

    python examples/train_lightning.py [FILES] [--checkpoints FOLDER]

The Trainer's checkpoints store the position among the frames. If you run the script again with the same --checkpoints,
even after it was killed, it continues with the frames that would have come next.
"""

from __future__ import annotations

from pathlib import Path

import lightning
import torch
from autoencoder import Autoencoder, noise_to_signal
from harness import files_or_demo, parser, run, summary
from lightning.pytorch.callbacks import ModelCheckpoint

from flowmo_data.lightning import StreamingAudioDataModule


class LitAutoencoder(lightning.LightningModule):
    """The autoencoder as a Lightning module."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Autoencoder()
        self.losses: list[torch.Tensor] = []

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        """Return the loss of a batch."""
        loss = noise_to_signal(self.model(batch), batch)
        self.log("loss", loss, prog_bar=True)
        self.losses.append(loss.detach())
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


def main() -> None:
    """Train."""
    arguments = parser(__doc__, max_steps=100)
    arguments.add_argument(
        "--checkpoints", type=Path, metavar="FOLDER", help="save there, and resume from the last checkpoint"
    )
    args = arguments.parse_args()
    data = StreamingAudioDataModule(
        files_or_demo(args.files),
        samples_per_frame=args.samples_per_frame,
        batch_size=args.batch_size,
        num_workers=args.num_workers,
        repeat=True,
    )
    lightning.seed_everything(0)
    model = LitAutoencoder()
    last = args.checkpoints / "last.ckpt" if args.checkpoints else None
    trainer = lightning.Trainer(
        max_steps=args.max_steps,
        devices=1,
        logger=False,
        enable_checkpointing=last is not None,
        callbacks=ModelCheckpoint(last.parent, save_top_k=0, save_last=True, every_n_train_steps=20) if last else None,
    )
    trainer.fit(model, data, ckpt_path=last if last and last.exists() else None)
    if last:
        trainer.save_checkpoint(last, weights_only=False)
    print(summary([float(loss) for loss in model.losses]))


if __name__ == "__main__":
    run(main)
