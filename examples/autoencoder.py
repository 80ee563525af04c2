"""A small convolutional autoencoder for raw frames, treated as images of 256 x 256 pixels with three values each."""

from __future__ import annotations

import math

import torch
from torch import nn

from flowmo_data import OptionError

# A channel of a frame is 196,608 samples = 256 x 256 x 3. Here a pixel is three consecutive samples:
#
#   pixel (0, 0) = samples 0 1 2    pixel (0, 1) = samples 3 4 5 ...       a row is 768 samples, 17 ms at 44.1 kHz
#   pixel (1, 0) = samples 768 769 770 ...                                 the row below continues where it ends
#
# So the first kernel, 4 x 4 pixels, sees four groups of twelve consecutive samples, 768 apart. `frames.view(-1, 3, 256,
# 256)` is shorter, but each of its pixels is three unrelated samples, 65,536 apart (1.5 s). The kernel then sees twelve
# groups of four consecutive samples, and the loss falls more slowly. Neither version copies a sample. torch calls the
# memory order used here channels_last.


def to_images(frames: torch.Tensor) -> torch.Tensor:
    """View frames `(B, channels, 3 * side * side)` as images `(B * channels, 3, side, side)` in the same memory."""
    num_samples = frames.shape[-1]
    side = math.isqrt(num_samples // 3)
    if 3 * side * side != num_samples or side % 4:
        raise OptionError(
            f"samples_per_frame={num_samples}: take 3 * side * side, with a side divisible by 4, such as 196,608"
        )
    return frames.reshape(-1, side, side, 3).permute(0, 3, 1, 2)


def to_frames(images: torch.Tensor, channels: int) -> torch.Tensor:
    """Undo `to_images`: view images `(B * channels, 3, side, side)` as frames `(B, channels, 3 * side * side)`."""
    return images.permute(0, 2, 3, 1).reshape(-1, channels, images[0].numel())


class Autoencoder(nn.Module):
    """An autoencoder with a quarter as many latent values as samples. It has no biases, so silence stays silence."""

    def __init__(self, width: int = 64, latent_channels: int = 12) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=4, bias=False),
            nn.GELU(),
            nn.Conv2d(width, latent_channels, 3, padding=1, bias=False),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latent_channels, width, 3, padding=1, bias=False),
            nn.GELU(),
            nn.ConvTranspose2d(width, 3, 4, stride=4, bias=False),
        )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Rebuild frames `(B, channels, samples)`."""
        latents = self.encoder(to_images(frames))  # (B * channels, 12, 64, 64)
        return to_frames(self.decoder(latents), frames.shape[1])


def noise_to_signal(rebuilt: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Return the power of the error divided by the power of the frames: 1 for silence, 0 for the frames themselves.

    Unlike the mean squared error, this does not change with the level of the music. -10 log10 of it is the
    signal-to-noise ratio in dB.
    """
    return (rebuilt - frames).square().mean() / frames.square().mean().clamp_min(1e-8)
