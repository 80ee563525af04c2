"""Compute features on the GPU: mel spectrograms of each batch, their mean and spread, and a picture of both.

    python examples/features.py [FILES] [--out features.png]

The workers decode, and the device computes. So features take no time in the workers and no space on a disk, and each
epoch cuts them at new places. The example needs matplotlib, and a torchaudio that works with the installed torch.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from harness import files_or_demo, parser, pick_device, run
from matplotlib.figure import Figure
from rich.progress import track
from torch.utils.data import DataLoader

from flowmo_data import FlowmoDataError, MissingPackageError, StreamingAudioDataset

SAMPLE_RATE = 44_100
WINDOW, HOP, BANDS, LOWEST_HZ = 2_048, 512, 128, 30.0
TICKS_HZ = (200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
DRAWN = 6
"""frames in the picture"""
COLOR = "#b5367a"


def main() -> None:
    """Compute the features and draw them."""
    arguments = parser(__doc__, max_steps=20)
    arguments.add_argument("--out", type=Path, default=Path("features.png"), help="the picture [%(default)s]")
    args = arguments.parse_args()
    device = pick_device()
    mel_spectrogram = import_mel_spectrogram()(SAMPLE_RATE, WINDOW, None, HOP, LOWEST_HZ, n_mels=BANDS).to(device)
    dataset = StreamingAudioDataset(
        files_or_demo(args.files),
        sr=SAMPLE_RATE,
        samples_per_frame=args.samples_per_frame,
        channels=1,
        framing="drop",  # whole frames: padding would count as music in the mean
        return_info=True,
        batch_size=args.batch_size,
    )
    loader = DataLoader(dataset, batch_size=None, num_workers=args.num_workers, pin_memory=device.type == "cuda")

    drawn: list[tuple[str, float, torch.Tensor]] = []
    means, squares = [], []
    started = perf_counter()
    batches = zip(range(args.max_steps), loader, strict=False)
    for _, batch in track(batches, "mel spectrograms", total=args.max_steps):
        audio = batch["audio"].to(device, non_blocking=True)  # (B, 1, T)
        mels = decibels(mel_spectrogram(audio[:, 0]))  # (B, bands, times)
        means.append(mels.mean(-1).cpu())
        squares.append(mels.square().mean(-1).cpu())
        for path, start, mel in zip(batch["path"], batch["start"], mels[: DRAWN - len(drawn)], strict=False):
            drawn.append((path, float(start) / SAMPLE_RATE, mel.cpu()))
    seconds = perf_counter() - started
    if not drawn:
        raise FlowmoDataError(f"no file has {args.samples_per_frame} samples: give a smaller --samples-per-frame")

    mean = torch.cat(means).mean(0)  # (bands,)
    spread = (torch.cat(squares).mean(0) - mean.square()).clamp_min(0).sqrt()
    heard = sum(map(len, means)) * args.samples_per_frame / SAMPLE_RATE  # seconds
    print(f"{heard:.0f} s of audio in {seconds:.1f} s on {device}: {heard / seconds:.0f} times real time")
    print(f"mean {mean.mean():.1f} dB, standard deviation in a band {spread.mean():.1f} dB")
    draw(drawn, args.samples_per_frame / SAMPLE_RATE, mean, spread, args.out)
    print(f"picture: {args.out}")


def import_mel_spectrogram() -> Any:
    """Return the class `torchaudio.transforms.MelSpectrogram`."""
    try:
        from torchaudio.transforms import MelSpectrogram
    except (ImportError, OSError, RuntimeError, AttributeError) as error:  # its wheels need the torch of their build
        raise MissingPackageError(
            f"features.py needs a torchaudio that works with torch {torch.__version__} ({error}): "
            "pip install torch==2.14.1 torchaudio==2.11.0, the tested pair"
        ) from error
    return MelSpectrogram


def decibels(power: torch.Tensor) -> torch.Tensor:
    """Convert power to dB. A sine from -1 to 1 has about 0 dB: its power is (half of the window's sum) squared."""
    return 10 * torch.log10((power / (WINDOW / 4) ** 2).clamp_min(1e-10))


def to_mel(hertz: float) -> float:
    """Convert Hz to mel, on torchaudio's scale (HTK's)."""
    return float(2595 * np.log10(1 + hertz / 700))


def draw(
    frames: list[tuple[str, float, torch.Tensor]],
    frame_seconds: float,
    mean: torch.Tensor,
    spread: torch.Tensor,
    path: Path,
) -> None:
    """Draw spectrograms `(file, start in seconds, (bands, times) dB)`, and next to them the mean of each band."""
    edges = np.linspace(to_mel(LOWEST_HZ), to_mel(SAMPLE_RATE / 2), BANDS + 2)  # in mel, as the bands are spaced
    centres = edges[1:-1]
    loudest = max(float(mel.max()) for _, _, mel in frames)
    figure = Figure(figsize=(13, 6), layout="constrained")
    grid = figure.add_gridspec(2, 4, width_ratios=(3, 3, 3, 2))
    beside = figure.add_subplot(grid[:, 3])
    beside.plot(mean, centres, color=COLOR)
    beside.fill_betweenx(centres, mean - spread, mean + spread, color=COLOR, alpha=0.2, linewidth=0)
    beside.set_title("mean and standard deviation", fontsize=9)
    beside.set(xlabel="dB", ylim=(centres[0], centres[-1]))
    beside.set_yticks([to_mel(hertz) for hertz in TICKS_HZ], [f"{hertz / 1_000:g}" for hertz in TICKS_HZ])
    for number, (file, start, mel) in enumerate(frames):
        axes = figure.add_subplot(grid[divmod(number, 3)], sharey=beside)
        image = axes.imshow(
            mel, origin="lower", aspect="auto", cmap="magma", vmin=loudest - 80, vmax=loudest,
            extent=(start, start + frame_seconds, centres[0], centres[-1]),
        )  # fmt: skip
        axes.set_title(Path(file).name, fontsize=9)
        axes.set_xlabel("seconds in the file")
        if number % 3 == 0:
            axes.set_ylabel("kHz")
        else:
            axes.tick_params(labelleft=False)
    figure.colorbar(image, ax=figure.axes[1:], label="dB", pad=0.01, aspect=40)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    run(main)
