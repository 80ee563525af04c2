"""Pretrain the autoencoder on a mixture: two corpora in fixed proportions, which change during training.

    python examples/pretrain_mixture.py [FILES] [--other FILES] [--checkpoint PATH]

Without --other, the second corpus is the first one with all samples at half the level. Training begins with the first
corpus alone, and takes in the second one step by step. The weights are part of the checkpoint: run it again, and it
continues at the same place of the curriculum.
"""

from __future__ import annotations

from pathlib import Path

import torch
from autoencoder import Autoencoder, noise_to_signal
from harness import LossBar, files_or_demo, parser, pick_device, run, summary

from flowmo_data import MixedAudioDataset, ResumableDataLoader, StreamingAudioDataset


def half_level(item: dict[str, object]) -> dict[str, object]:
    """Return the item with its samples at half the level."""
    audio = item["audio"] if isinstance(item, dict) else item
    assert isinstance(audio, torch.Tensor)
    return {**item, "audio": audio * 0.5} if isinstance(item, dict) else audio * 0.5


def main() -> None:
    """Train."""
    arguments = parser(__doc__, max_steps=100)
    arguments.add_argument("--other", metavar="FILES", help="the second corpus [the first at half the level]")
    arguments.add_argument("--checkpoint", type=Path, metavar="PATH", help="save to this file, and resume from it")
    args = arguments.parse_args()
    device, files = pick_device(), files_or_demo(args.files)
    options = {"samples_per_frame": args.samples_per_frame, "return_info": True}
    first = StreamingAudioDataset(files, **options)
    second = StreamingAudioDataset(args.other or files, seed=1, transform=None if args.other else half_level, **options)
    mixture = MixedAudioDataset({"first": first, "second": second}, weights={"first": 1, "second": 0}, stop="never")
    loader = ResumableDataLoader(mixture, batch_size=args.batch_size, num_workers=args.num_workers)
    torch.manual_seed(0)
    model = Autoencoder().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

    done, seen = 0, {"first": 0, "second": 0}
    if args.checkpoint and args.checkpoint.exists():
        saved = torch.load(args.checkpoint, map_location=device, weights_only=True)
        done, seen = saved["step"], saved["seen"]
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        loader.load_state_dict(saved["loader"])
        print(f"{args.checkpoint}: resuming after step {done}")

    with LossBar(args.max_steps, done=done) as bar:
        for step, batch in zip(range(done + 1, args.max_steps + 1), loader, strict=False):
            audio = batch["audio"].to(device)
            loss = noise_to_signal(model(audio), audio)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            bar.step(loss.item())
            for name in batch["dataset"]:
                seen[name] += 1
            if step % 10 == 0:  # at once: with the first batch that no worker has been asked for
                mixture.set_weights({"first": 1, "second": min(step / 50, 1)})
    if args.checkpoint:
        states = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "loader": loader.state_dict()}
        torch.save({"step": args.max_steps, "seen": seen, **states}, args.checkpoint)
    print(", ".join(f"{count} frames of {name}" for name, count in seen.items()))
    print(summary(bar.losses))


if __name__ == "__main__":
    run(main)
