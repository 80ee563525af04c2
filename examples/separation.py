"""Train a mask estimator to separate the bass from the rest of a mixture, on files that are aligned with each other.

    python examples/separation.py [FILES] [--stems FOLDER]

The script first makes stems of some music: for the beginning of each file, an MP3 of the mixture, a WAV file with its
bass, and a FLAC file with the rest. Then it trains on them. All three are cut at the same places, to the sample.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile
import torch
from autoencoder import noise_to_signal
from harness import LossBar, files_or_demo, parser, pick_device, run, summary
from rich.progress import track
from torch import nn
from torch.utils.data import DataLoader

from flowmo_data import StreamingAudioDataset

SAMPLE_RATE = 44_100
WINDOW, HOP = 1_024, 256
CROSSOVER_HZ = 400.0
"""the bass lies below"""
NUM_STEMS, SECONDS = 8, 10
"""number of files that are taken, and seconds of each"""
SUFFIXES = {"mixture": ".mp3", "bass": ".wav", "rest": ".flac"}


class MaskEstimator(nn.Module):
    """A network that estimates, from a mixture's spectrogram, the share of the bass in each of its values."""

    window: torch.Tensor

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        bands = WINDOW // 2 + 1
        self.net = nn.Sequential(
            nn.Conv1d(bands, width, 3, padding=1), nn.GELU(), nn.Conv1d(width, bands, 3, padding=1), nn.Sigmoid()
        )
        self.register_buffer("window", torch.hann_window(WINDOW))

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        """Return the bass in a mixture; both are `(B, samples)`."""
        spectrogram = torch.stft(mixture, WINDOW, HOP, window=self.window, return_complex=True)  # (B, bands, times)
        mask = self.net(torch.log1p(spectrogram.abs()))
        return torch.istft(spectrogram * mask, WINDOW, HOP, window=self.window, length=mixture.shape[-1])


def main() -> None:
    """Make the stems and train."""
    arguments = parser(__doc__, max_steps=40)
    arguments.add_argument("--stems", type=Path, help="an empty folder to keep the stems in [a temporary one]")
    args = arguments.parse_args()
    files = files_or_demo(args.files)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.stems or Path(temporary)
        make_stems(files, folder)
        train({name: str(folder / name) for name in SUFFIXES}, args)


def make_stems(files: str, folder: Path) -> None:
    """Write the mixture, the bass and the rest of the first files, each to a folder of its own."""
    samples_per_frame = SECONDS * SAMPLE_RATE  # one frame of each file, if the files are not shuffled
    dataset = StreamingAudioDataset(
        files, sr=SAMPLE_RATE, samples_per_frame=samples_per_frame, channels=1, shuffle=False, return_info=True
    )
    beginnings = (item for item in dataset if item["start"] == 0)
    numbered = enumerate(islice(beginnings, NUM_STEMS))
    for number, item in track(numbered, "making stems", total=NUM_STEMS, transient=True):
        mixture = item["audio"][0, : item["num_valid"]].numpy()
        spectrum = np.fft.rfft(mixture)
        spectrum[np.fft.rfftfreq(len(mixture), 1 / SAMPLE_RATE) > CROSSOVER_HZ] = 0
        bass = np.fft.irfft(spectrum, len(mixture)).astype(np.float32)
        for name, samples in (("mixture", mixture), ("bass", bass), ("rest", mixture - bass)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / name / f"{number:03d}{SUFFIXES[name]}", samples, SAMPLE_RATE)


def train(files: dict[str, str], args: argparse.Namespace) -> None:
    """Train on files that are aligned with each other, given by name."""
    device = pick_device()
    dataset = StreamingAudioDataset(
        files,
        sr=SAMPLE_RATE,
        samples_per_frame=args.samples_per_frame,
        channels=1,
        batch_size=args.batch_size,
        repeat=True,
    )
    loader = DataLoader(dataset, batch_size=None, num_workers=args.num_workers, pin_memory=device.type == "cuda")
    torch.manual_seed(0)
    model = MaskEstimator().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    with LossBar(args.max_steps) as bar:
        for _, batch in zip(range(args.max_steps), loader, strict=False):
            # each is (B, 1, samples): "mixture" from an MP3, "bass" from a WAV file, "rest" from a FLAC file
            mixture, bass, rest = (batch[name][:, 0].to(device, non_blocking=True) for name in SUFFIXES)
            estimate = model(mixture)
            loss = (noise_to_signal(estimate, bass) + noise_to_signal(mixture - estimate, rest)) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            bar.step(loss.item())
    print(summary(bar.losses))


if __name__ == "__main__":
    run(main)
