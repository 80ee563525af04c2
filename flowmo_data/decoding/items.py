"""What a dataset emits for a decoded frame."""

from __future__ import annotations

from typing import Any

import torch

from flowmo_data.epochs.options import Options
from flowmo_data.epochs.randomness import frame_seed
from flowmo_data.epochs.span import Span


def emitted(
    span: Span,
    frame: torch.Tensor,
    num_valid: int,
    *,
    options: Options,
    epoch: int,
    key: tuple[int, ...],
    metadata: dict[str, Any] | None = None,
) -> Any:
    """Return what to emit for a frame: the tensor or, with `return_info`, a dictionary, after the transform.

    Args:
        span: the origin of the frame.
        frame: its samples, `(channels, samples_per_frame)`.
        num_valid: number of its samples that are not padding.
        options: `return_info`, `transform` and `seed` are used.
        epoch: the epoch.
        key: whole numbers, 0 or greater, that no other frame of the epoch has. The frame's seed comes from them.
        metadata: what the user knows about the file; None if there is no metadata.

    Returns:
        The item; None if the transform rejects the frame.
    """
    item: Any = frame
    if options.return_info:
        item = {
            "audio": frame,
            "path": span.timeline.path,
            "start": span.start,
            "num_valid": num_valid,
            "num_samples": span.timeline.num_samples,
            "seed": frame_seed(options.seed, epoch, *key),
            **({} if metadata is None else {"metadata": metadata}),
        }
    return item if options.transform is None else options.transform(item)
