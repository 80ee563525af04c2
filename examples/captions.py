"""Train a tiny model that processes music as captions say: "dark and quiet", "bright and loud".

    python examples/captions.py [FILES] [--captions TABLE]

The script first writes a table with a caption for each file, and with the filter and the gain that it describes. Frames
then come with the row of their file. From the caption, the model estimates the gains of an equaliser; the loss compares
the result with that of the filter. At the end, the script gives the model the captions of the opposite too: if the loss
is much larger with these, the model reads what it is told.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from zlib import crc32

import torch
from autoencoder import noise_to_signal
from harness import LossBar, files_or_demo, parser, pick_device, run, summary
from torch import nn
from torch.utils.data import DataLoader

from flowmo_data import AudioIndex, StreamingAudioDataset

SAMPLE_RATE = 44_100
WINDOW, HOP = 1_024, 512
BUCKETS = 256
"""rows of the embedding; each word has one of them"""
CUTOFF_HZ = {"dark": 500.0, "bright": 22_050.0}
GAIN = {"quiet": 0.2, "loud": 1.0}
OPPOSITE = {"dark": "bright", "bright": "dark", "quiet": "loud", "loud": "quiet"}


class Equaliser(nn.Module):
    """A network that estimates the gains of an equaliser from a caption, and applies them."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(BUCKETS, width)  # the mean over the words of a caption
        self.gains = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, WINDOW // 2 + 1), nn.Softplus())

    def forward(self, spectrogram: torch.Tensor, captions: list[str]) -> torch.Tensor:
        """Return spectrograms `(B, bands, times)` as captions say."""
        texts = [[crc32(word.encode()) % BUCKETS for word in caption.split()] for caption in captions]
        starts = [sum(map(len, texts[:number])) for number in range(len(texts))]
        numbers = [number for text in texts for number in text]
        device = spectrogram.device
        gains = self.gains(self.words(torch.tensor(numbers, device=device), torch.tensor(starts, device=device)))
        return spectrogram * gains[:, :, None]


def main() -> None:
    """Write the captions and train."""
    arguments = parser(__doc__, max_steps=60)
    arguments.add_argument("--captions", type=Path, metavar="TABLE", help="keep the table here (.jsonl) [temporary]")
    args = arguments.parse_args()
    files = files_or_demo(args.files)
    with tempfile.TemporaryDirectory() as temporary:
        table = args.captions or Path(temporary) / "captions.jsonl"
        index = AudioIndex.load(files) if files.endswith(".parquet") else AudioIndex.build(files)
        write_captions(index, table)
        train(index, table, args)


def write_captions(index: AudioIndex, table: Path) -> None:
    """Write a table with a row for each file: a caption, and the numbers that it describes."""
    captions = [(colour, level) for colour in CUTOFF_HZ for level in GAIN]
    with table.open("w", encoding="utf-8") as lines:
        for number, path in enumerate(index.files.all_paths()):
            colour, level = captions[number % len(captions)]
            row = {"file_name": path, "caption": f"{colour} and {level}"}
            lines.write(json.dumps({**row, "cutoff_hz": CUTOFF_HZ[colour], "gain": GAIN[level]}) + "\n")


def processed(spectrogram: torch.Tensor, cutoff_hz: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    """Return spectrograms `(B, bands, times)` below a cutoff and at a gain; these are `(B,)`."""
    bands_hz = torch.linspace(0, SAMPLE_RATE / 2, spectrogram.shape[1], device=spectrogram.device)
    gains = (bands_hz <= cutoff_hz[:, None]) * gain[:, None]  # (B, bands)
    return spectrogram * gains[:, :, None]


def train(index: AudioIndex, table: Path, args: argparse.Namespace) -> None:
    """Train on frames with their captions."""
    device = pick_device()
    dataset = StreamingAudioDataset(
        index,
        sr=SAMPLE_RATE,
        samples_per_frame=args.samples_per_frame,
        channels=1,
        return_info=True,
        metadata=table,
        batch_size=args.batch_size,
        repeat=True,
    )
    loader = DataLoader(dataset, batch_size=None, num_workers=args.num_workers)
    torch.manual_seed(0)
    model = Equaliser().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    window = torch.hann_window(WINDOW, device=device)
    opposites = []
    with LossBar(args.max_steps) as bar:
        for _, batch in zip(range(args.max_steps), loader, strict=False):
            row = batch["metadata"]  # of each frame's file: a list of texts, and a tensor for each column of numbers
            audio = batch["audio"][:, 0].to(device)  # (B, samples)
            spectrogram = torch.stft(audio, WINDOW, HOP, window=window, return_complex=True)  # (B, bands, times)
            cutoff_hz, gain = (row[name].float().to(device) for name in ("cutoff_hz", "gain"))
            target = torch.view_as_real(processed(spectrogram, cutoff_hz, gain))
            loss = noise_to_signal(torch.view_as_real(model(spectrogram, row["caption"])), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            bar.step(loss.item())
            with torch.no_grad():
                wrong = model(spectrogram, [opposite(caption) for caption in row["caption"]])
                opposites.append(noise_to_signal(torch.view_as_real(wrong), target).item())
    print(summary(bar.losses))
    print(f"last step: loss {bar.losses[-1]:.4f} with the captions, {opposites[-1]:.4f} with the opposite ones")


def opposite(caption: str) -> str:
    """Return a caption that describes the opposite."""
    return " ".join(OPPOSITE.get(word, word) for word in caption.split())


if __name__ == "__main__":
    run(main)
