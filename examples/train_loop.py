"""Train a small autoencoder for raw frames in a plain loop, with checkpoints that resume exactly.

    python examples/train_loop.py [FILES] [--checkpoint PATH]

With --checkpoint, the script saves the model and the position among the frames every few steps and at the end. If you
run it again, even after it was killed, it continues from there, with the frames that would have come next.
"""

from __future__ import annotations

from pathlib import Path

import torch
from autoencoder import Autoencoder, noise_to_signal
from harness import LossBar, at_least, files_or_demo, parser, pick_device, run, summary

from flowmo_data import ResumableDataLoader, StreamingAudioDataset


def main() -> None:
    """Train."""
    arguments = parser(__doc__, max_steps=100)
    arguments.add_argument(
        "--checkpoint", type=Path, metavar="PATH", help="save to this file, and resume from it if it exists"
    )
    arguments.add_argument(
        "--save-every", type=at_least(1), default=20, metavar="N", help="steps between saves [%(default)s]"
    )
    args = arguments.parse_args()
    device = pick_device()
    dataset = StreamingAudioDataset(
        files_or_demo(args.files),
        samples_per_frame=args.samples_per_frame,
        batch_size=args.batch_size,  # the dataset decodes straight into batches
        repeat=True,  # epoch after epoch: this loop counts steps
    )
    on_gpu = device.type == "cuda"
    loader = ResumableDataLoader(dataset, batch_size=None, num_workers=args.num_workers, pin_memory=on_gpu)
    torch.manual_seed(0)
    model = Autoencoder().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

    done = 0
    if args.checkpoint and args.checkpoint.exists():
        saved = torch.load(args.checkpoint, map_location=device, weights_only=True)
        done = saved["step"]
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        loader.load_state_dict(saved["loader"])
        print(f"{args.checkpoint}: resuming after step {done}")

    with LossBar(args.max_steps, done=done) as bar:
        # the range comes first, so that the loop ends before it takes a batch that is not trained on
        for step, batch in zip(range(done + 1, args.max_steps + 1), loader, strict=False):
            batch = batch.to(device, non_blocking=True)
            loss = noise_to_signal(model(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            bar.step(loss.item())
            if args.checkpoint and (step % args.save_every == 0 or step == args.max_steps):
                states = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
                save({"step": step, "loader": loader.state_dict(), **states}, args.checkpoint)
    print(summary(bar.losses))


def save(checkpoint: dict[str, object], path: Path) -> None:
    """Write a checkpoint to a temporary file and rename it, so that the file at `path` is always complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    torch.save(checkpoint, unfinished)
    unfinished.replace(path)


if __name__ == "__main__":
    run(main)
