"""The shortest training loop: batches from a folder.

Run it with a folder of audio: `python examples/minimal.py FOLDER`.
"""

from __future__ import annotations

import sys

from torch.utils.data import DataLoader

from flowmo_data import StreamingAudioDataset


def main(folder: str) -> None:
    """Print the shape and the level of the first batches."""
    loader = DataLoader(StreamingAudioDataset(folder), batch_size=8, num_workers=2)
    for step, batch in zip(range(10), loader, strict=False):
        print(f"step {step}: {tuple(batch.shape)}, level {batch.square().mean().sqrt():.4f}")


if __name__ == "__main__":
    main(sys.argv[1])
