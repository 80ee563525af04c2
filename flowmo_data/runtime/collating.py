"""The data collators of transformers, which cannot take every item, and do not say so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import Dataset

from flowmo_data.errors import OptionError
from flowmo_data.runtime.ranks import accelerate_loader_of


def checked_for_trainer(items: Iterator[Any], dataset: Dataset[Any], batch_size: int | None) -> Iterator[Any]:
    """Return the items of an iteration; if transformers collates them, check them.

    Raises:
        OptionError: while iterating: see `check_for_trainer`.
    """
    return _checked(items, batch_size) if _is_collated_by_transformers(dataset) else items


def _checked(items: Iterator[Any], batch_size: int | None) -> Iterator[Any]:
    for item in items:
        _check(item, batch_size)
        yield item


def check_for_trainer(item: Any, dataset: Dataset[Any]) -> None:
    """Raise `OptionError` if transformers collates an item that is not a dictionary."""
    if _is_collated_by_transformers(dataset):
        _check(item, None)


def _check(item: Any, batch_size: int | None) -> None:
    if batch_size is not None:
        raise OptionError(
            f"batch_size={batch_size} is set for the dataset, and transformers' Trainer makes batches too, which would "
            "give batches of batches: leave it out, or use data_collator=operator.itemgetter(0) and "
            "per_device_train_batch_size=1"
        )
    if not isinstance(item, Mapping):
        kind = "Tensor" if isinstance(item, torch.Tensor) else type(item).__name__
        raise OptionError(
            f"transformers' Trainer takes dictionaries, and an item is a {kind}: use return_info=True, "
            "or a transform that returns a dictionary with the names of the model's arguments"
        )


def _is_collated_by_transformers(dataset: Dataset[Any]) -> bool:
    """Return whether a prepared loader iterates over the dataset with a data collator of transformers itself."""
    loader = accelerate_loader_of(dataset)
    if loader is None:
        return False
    collate = loader.collate_fn
    collate = getattr(collate, "data_collator", collate)  # inside the one that removes columns
    module: str = getattr(collate, "__module__", None) or ""
    return module.startswith("transformers.")
