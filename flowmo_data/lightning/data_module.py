"""`StreamingAudioDataModule`: the dataset for a Lightning Trainer, with checkpoints that resume exactly."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, Union

import torch
from torch.utils.data import Dataset
from typing_extensions import Unpack

from flowmo_data.datasets import AudioFrameDataset, StreamingAudioDataset
from flowmo_data.decoding import choose_decoder
from flowmo_data.epochs import Options
from flowmo_data.errors import AudioFileError, MissingPackageError, OptionError
from flowmo_data.lightning.lagging import Batches, LaggingLoader, Used
from flowmo_data.loading import ResumableDataLoader
from flowmo_data.sources import Metadata
from flowmo_data.sources.listing.hugging_face import paths_in_column
from flowmo_data.tracks import AudioIndex

try:
    from lightning.pytorch import LightningDataModule
    from lightning.pytorch.trainer.states import TrainerFn
except ImportError as error:
    raise MissingPackageError(
        f"flowmo_data.lightning needs lightning ({error}): pip install 'flowmo_data[lightning]'"
    ) from error

Files = Union[str, Sequence[str], "os.PathLike[str]", Mapping[str, Any], AudioIndex]
"""A folder, a file, a glob or a sequence of these, or several by name, or an index: see `StreamingAudioDataset`."""


class DatasetOptions(TypedDict, total=False):
    """The options of `StreamingAudioDataset` that the three sets share; see there for meanings and defaults."""

    sr: int
    samples_per_frame: int
    hop: int | None
    shuffle_buffer_size: int | None
    channels: int
    seed: int
    framing: str
    decoder: str
    decode_threads: int
    exclude: str | Sequence[str] | os.PathLike[str] | None
    on_error: str | Callable[[AudioFileError], None]
    on_other_rate: str
    dtype: torch.dtype | str
    transform: Callable[[Any], Any] | None
    return_info: bool
    metadata: Metadata | None
    remainder: str
    limit: int | None
    storage_options: Mapping[str, Any] | None
    max_buffered_bytes: int


class StreamingAudioDataModule(LightningDataModule):
    """Batches `(batch_size, channels, samples_per_frame)` of three sets of files, for training, validation and test.

    Training is shuffled, differently in every epoch. Validation and test come in order, without a phase.
    A Trainer's checkpoint records the position among the training frames, also in the middle of an epoch. After a
    resume, training continues with the frames that would have come next.

    Each rank gets its own frames. With an index, all ranks get the same number. Without one, the number is not known
    before the epoch is over, so ranks agree on each batch, also in validation and test: when it ends for one rank, it
    ends for all, without the remaining frames of the others. With `repeat`, a Trainer's epoch of `limit_train_batches`
    continues where the last one stopped.

    Args:
        train: files for training; see `files` of `StreamingAudioDataset`.
        val: files for validation; None for no validation.
        test: files for the test; None for no test.
        batch_size: frames in a batch. The last batch of a worker's epoch may have fewer.
        num_workers: processes that decode, in each rank; 0 decodes in the process that trains.
        prefetch_factor: batches that each worker keeps ready; None for torch's default, 2.
        persistent_workers: keep workers from epoch to epoch, if processes are slow to start (macOS).
        pin_memory: copy batches into page-locked memory; None does so if there is a CUDA device.
        repeat: in training, continue with the next epoch when one ends; see `StreamingAudioDataset`.
        **options: further options of `StreamingAudioDataset`, for all three sets: `sr`, `samples_per_frame`, `hop`,
            `shuffle_buffer_size`, `channels`, `seed`, `framing`, `decoder`, `decode_threads`, `exclude`, `on_error`,
            `on_other_rate`, `dtype` (also by its name, "float16"), `transform`, `return_info`, `metadata`, `remainder`,
            `storage_options`, `max_buffered_bytes`; `limit` not for training. A checkpoint keeps them as
            hyperparameters, except functions, files not given by path, and `storage_options`, which may be secret.

    Raises:
        MissingPackageError: importing this module: lightning is not installed.
        OptionError: an option has an invalid value.
    """

    def __init__(
        self,
        train: Files,
        val: Files | None = None,
        test: Files | None = None,
        *,
        batch_size: int = 32,
        num_workers: int = 2,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory: bool | None = None,
        repeat: bool = False,
        **options: Unpack[DatasetOptions],
    ) -> None:
        super().__init__()
        options["dtype"] = dtype = _named(options.get("dtype", torch.float32))  # the form that checkpoints keep
        options["exclude"] = _as_text(options.get("exclude"))
        options["metadata"] = _as_text(options.get("metadata"))
        train, val, test = _as_text(train), _as_text(val), _as_text(test)
        self._options: dict[str, Any] = {**options, "dtype": getattr(torch, dtype, dtype)}
        checked = {name: value for name, value in self._options.items() if name not in ("exclude", "storage_options")}
        checked["decoder"] = choose_decoder(checked.get("decoder", "auto"))
        Options(**checked, batch_size=batch_size, repeat=repeat)
        self._repeat = repeat
        self._loading = {
            "num_workers": num_workers,
            "prefetch_factor": prefetch_factor,
            "persistent_workers": persistent_workers,
            "pin_memory": torch.cuda.is_available() if pin_memory is None else pin_memory,
        }
        self._files = {"train": train, "val": val, "test": test}
        kept_out = ["storage_options", *(name for name, files in self._files.items() if isinstance(files, AudioIndex))]
        kept_out += [name for name in ("transform", "on_error", "metadata") if callable(options.get(name))]
        self.save_hyperparameters(ignore=kept_out)
        for name in ("val", "test"):
            if self._files[name] is None:
                setattr(self, f"{name}_dataloader", None)  # the sign for Trainers that there is none
        self._loaders: list[ResumableDataLoader] = []
        self._train: LaggingLoader | None = None
        self._state: Mapping[str, Any] | None = None  # a loaded state, until there is a loader for it

    def train_dataloader(self) -> LaggingLoader:
        """Return the training batches; each iteration over them is another epoch."""
        dataset = self._dataset("train", repeat=self._repeat, limit=None)
        state, self._state = self._state, None
        if state is None and self.trainer is not None:
            dataset.set_epoch(self.trainer.current_epoch)
        self._train = LaggingLoader(self._loader(dataset), self._used)
        if state is not None:
            self._train.load_state_dict(state)
        return self._train

    def val_dataloader(self) -> Batches:
        """Return the validation batches."""
        return Batches(self._loader(self._dataset("val", shuffle=False)))

    def test_dataloader(self) -> Batches:
        """Return the test batches."""
        return Batches(self._loader(self._dataset("test", shuffle=False)))

    def _dataset(self, name: str, **options: Any) -> StreamingAudioDataset:
        files, batch_size = self._files[name], self.hparams["batch_size"]  # Lightning's batch size finder sets it there
        assert files is not None
        return StreamingAudioDataset(files, batch_size=batch_size, **{**self._options, **options})

    def _loader(self, dataset: StreamingAudioDataset) -> ResumableDataLoader:
        loader = ResumableDataLoader(dataset, batch_size=None, **self._loading)  # the dataset makes batches
        self._loaders.append(loader)
        return loader

    def teardown(self, stage: str) -> None:  # noqa: ARG002
        """Stop the workers. Trainers call this at the end."""
        while self._loaders:
            self._loaders.pop().stop_workers()

    def _used(self) -> Used | None:
        """Return the progress of the Trainer; None if no Trainer is training."""
        if self.trainer is None or self.trainer.state.fn is not TrainerFn.FITTING:
            return None
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        batches: int = progress.total.processed  # type: ignore[attr-defined]
        return Used(batches, progress.is_last_batch and progress.total.ready == batches)

    def state_dict(self) -> dict[str, Any]:
        """Return the position among the training frames on all ranks. All ranks must call this, as Trainers do."""
        return dict(self._state or {}) if self._train is None else self._train.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume training from a state. Trainers call this before they ask for batches."""
        self._state = state_dict or None


def _as_text(files: Files | Metadata | None) -> Any:
    """Return files in the form that a checkpoint can keep: torch does not load paths."""
    if isinstance(files, Dataset):
        loader = "DataLoader" if isinstance(files, AudioFrameDataset) else "ResumableDataLoader"
        raise OptionError(
            "the data module takes files, and makes datasets of them itself: "
            f"give the Trainer a {loader} of the {type(files).__name__}, without a data module"
        )
    if files is None or isinstance(files, (str, AudioIndex)) or callable(files):
        return files
    column = paths_in_column(files)
    if column is not None:
        return [os.fspath(each) for each in column]
    if isinstance(files, Mapping):
        return {name: _as_text(each) for name, each in files.items()}
    return os.fspath(files) if isinstance(files, os.PathLike) else [os.fspath(each) for each in files]


def _named(dtype: torch.dtype | str) -> str:
    """Return the name of a dtype, as in a configuration file: "float16"."""
    return str(dtype).removeprefix("torch.")
