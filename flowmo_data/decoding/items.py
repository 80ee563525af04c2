"""What a dataset emits for a decoded frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from flowmo_data.epochs.options import Options
from flowmo_data.epochs.randomness import frame_seed
from flowmo_data.epochs.span import Span


def emitted(
    span: Span,
    audio: torch.Tensor | dict[str, torch.Tensor],
    *,
    options: Options,
    epoch: int,
    key: tuple[int, ...],
    extra: Mapping[str, Any],
) -> Any:
    """Return what to emit for a frame: the tensor or, with `return_info`, a dictionary, after the transform.

    Args:
        span: the origin of the frame.
        audio: its samples, `(channels, samples_per_frame)`; a dictionary of them by name for aligned files.
        options: `return_info`, `transform` and `seed` are used.
        epoch: the epoch.
        key: whole numbers, 0 or greater, that no other frame of the epoch has. The frame's seed comes from them.
        extra: what to add to the dictionary.

    Returns:
        The item; None if the transform rejects the frame.
    """
    item: Any = audio
    if options.return_info:
        paths = [file.path for file in span.timeline.members]
        item = {
            "audio": audio,
            "path": dict(zip(audio, paths, strict=True)) if isinstance(audio, dict) else paths[0],
            "start": span.start,
            "num_valid": span.num_valid,
            "num_samples": span.timeline.num_samples,
            "seed": frame_seed(options.seed, epoch, *key),
            **extra,
        }
    return item if options.transform is None else options.transform(item)
