"""`StreamingAudioDataModule`: the dataset under a Lightning Trainer, whose checkpoints resume exactly."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Union

import torch

from flowmo_data.dataset import StreamingAudioDataset
from flowmo_data.decoding import choose_decoder
from flowmo_data.epochs.options import Options
from flowmo_data.errors import AudioFileError, MissingPackageError
from flowmo_data.lagging import LaggingLoader, Used
from flowmo_data.loading import ResumableDataLoader
from flowmo_data.tracks.index import AudioIndex

try:
    from lightning.pytorch import LightningDataModule
    from lightning.pytorch.trainer.states import TrainerFn
except ImportError as error:
    raise MissingPackageError(
        f"flowmo_data.lightning needs lightning ({error}): pip install 'flowmo_data[lightning]'"
    ) from error

Exclude = Union[str, Sequence[str], "os.PathLike[str]"]
"""See `StreamingAudioDataset`: the path of a list of files, or a sequence of paths."""

Files = Union[str, Sequence[str], "os.PathLike[str]", AudioIndex]
"""See `StreamingAudioDataset`: a folder, a file, a glob, a sequence of these; or an index, or the path of one."""


class StreamingAudioDataModule(LightningDataModule):
    """Batches `(batch_size, channels, samples_per_frame)` of three sets of files for training, validation and test.

    Training is shuffled, and every epoch is another one; validation and test come in order, uncut by any phase.
    A Trainer's checkpoint holds where training is among the frames, in the middle of an epoch too: resumed, it goes on
    with the frames that would have come next.

    Several ranks get frames of their own each. With an index they get equally many. Without one, nobody knows how many
    there are before the epoch is over, so that ranks agree on each batch: the epoch ends for all when it ends for one,
    and what the others have left then is left out of it. With `repeat`, a Trainer's epoch of `limit_train_batches` goes
    on where the one before it stopped.

    Args:
        train: what to train on; see `files` of `StreamingAudioDataset`.
        val: what to validate on; None for nothing.
        test: what to test on; None for nothing.
        batch_size: frames in a batch. The last one of a worker's epoch may be shorter.
        num_workers: processes that decode, in each rank; 0 decodes in the process that trains.
        prefetch_factor: batches that each worker has ready; None for torch's two.
        persistent_workers: keep workers from epoch to epoch: where processes are slow to start (macOS).
        pin_memory: copy batches into page-locked memory; None does so where there is a CUDA device.
        repeat: for training; see `StreamingAudioDataset`, as for all that follow.
        sr: sample rate, Hz.
        samples_per_frame: length of a frame, samples.
        shuffle_buffer_size: frames that are shuffled among each other; None, with an index, for all.
        channels: 1 or 2.
        seed: what all randomness comes from.
        framing: "pad" or "drop".
        decoder: "auto", "minimp3py" or "soundfile".
        decode_threads: threads that decode, in each worker.
        exclude: files to leave out of all three sets.
        on_error: "skip", "raise", or a function, which is left out of the hyperparameters as `transform` is.
        on_other_rate: "resample", "skip" or "raise".
        dtype: of what is emitted; also by its name, "float16" for instance.
        transform: a function from a frame to what is emitted for it. It is left out of the hyperparameters that a
            checkpoint keeps, as files and indexes are that are not given by their paths.
        return_info: emit dictionaries that say where a frame is from.
        remainder: "drop" or "repeat", with an index.

    Raises:
        MissingPackageError: importing this module: lightning is not installed.
        OptionError: an option has a value that it cannot have.
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
        sr: int = 44_100,
        samples_per_frame: int = 196_608,
        shuffle_buffer_size: int | None = 1_000,
        channels: int = 2,
        seed: int = 0,
        framing: str = "pad",
        decoder: str = "auto",
        decode_threads: int = 0,
        exclude: Exclude | None = None,
        on_error: str | Callable[[AudioFileError], None] = "skip",
        on_other_rate: str = "resample",
        dtype: torch.dtype | str = torch.float32,
        transform: Callable[[torch.Tensor], Any] | None = None,
        return_info: bool = False,
        remainder: str = "drop",
    ) -> None:
        super().__init__()
        dtype = _named(dtype)
        self._options = Options(
            sr=sr,
            samples_per_frame=samples_per_frame,
            shuffle_buffer_size=shuffle_buffer_size,
            channels=channels,
            shuffle=True,
            seed=seed,
            framing=framing,
            decoder=choose_decoder(decoder),
            decode_threads=decode_threads,
            on_error=on_error,
            on_other_rate=on_other_rate,
            dtype=getattr(torch, str(dtype), dtype),  # type: ignore[arg-type]
            transform=transform,
            return_info=return_info,
            batch_size=batch_size,
            repeat=repeat,
            remainder=remainder,
        )
        self._loading = {
            "num_workers": num_workers,
            "prefetch_factor": prefetch_factor,
            "persistent_workers": persistent_workers,
            "pin_memory": torch.cuda.is_available() if pin_memory is None else pin_memory,
        }
        train, val, test, exclude = _as_text(train), _as_text(val), _as_text(test), _as_text(exclude)
        self._files, self._exclude = {"train": train, "val": val, "test": test}, exclude
        indexes = [name for name, files in self._files.items() if isinstance(files, AudioIndex)]
        functions = ["transform", *(["on_error"] if callable(on_error) else [])]
        self.save_hyperparameters(ignore=[*functions, *indexes])
        for name in ("val", "test"):
            if self._files[name] is None:
                setattr(self, f"{name}_dataloader", None)  # which is how Trainers see that there is none
        self._loaders: list[ResumableDataLoader] = []
        self._train: LaggingLoader | None = None
        self._state: Mapping[str, Any] | None = None  # that was loaded, until there is a loader for it

    def train_dataloader(self) -> LaggingLoader:
        """The batches of an epoch, another one each time."""
        dataset = self._dataset("train", self._options)
        state, self._state = self._state, None
        if state is None and self.trainer is not None:
            dataset.set_epoch(self.trainer.current_epoch)
        self._train = LaggingLoader(self._loader(dataset), self._used)
        if state is not None:
            self._train.load_state_dict(state)
        return self._train

    def val_dataloader(self) -> _Batches:
        """The batches to validate on."""
        return _Batches(self._loader(self._dataset("val", self._in_order())))

    def test_dataloader(self) -> _Batches:
        """The batches to test on."""
        return _Batches(self._loader(self._dataset("test", self._in_order())))

    def _in_order(self) -> Options:
        return replace(self._options, shuffle=False, repeat=False)

    def _dataset(self, name: str, options: Options) -> StreamingAudioDataset:
        files = self._files[name]
        assert files is not None
        keywords = {field.name: getattr(options, field.name) for field in fields(options)}
        keywords["batch_size"] = self.hparams["batch_size"]  # where Lightning's batch size finder sets it
        return StreamingAudioDataset(files, exclude=self._exclude, **keywords)

    def _loader(self, dataset: StreamingAudioDataset) -> ResumableDataLoader:
        loader = ResumableDataLoader(dataset, batch_size=None, **self._loading)  # the dataset makes batches
        self._loaders.append(loader)
        return loader

    def teardown(self, stage: str) -> None:  # noqa: ARG002
        """End the workers. Trainers call it when they are through."""
        while self._loaders:
            self._loaders.pop().stop_workers()

    def _used(self) -> Used | None:
        """How far the Trainer is; None where none is training."""
        if self.trainer is None or self.trainer.state.fn is not TrainerFn.FITTING:
            return None
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        batches: int = progress.total.processed  # type: ignore[attr-defined]
        return Used(batches, progress.is_last_batch and progress.total.ready == batches)

    def state_dict(self) -> dict[str, Any]:
        """Where training is among the frames: of all ranks, so that all of them have to ask, as Trainers do."""
        return dict(self._state or {}) if self._train is None else self._train.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Make training go on there. Trainers call it, before they ask for batches."""
        self._state = state_dict or None


class _Batches:
    """What a Trainer gets of a DataLoader: something to iterate over. A DataLoader as such, it would take to pieces."""

    def __init__(self, loader: ResumableDataLoader) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Any]:
        return iter(self.loader)

    def __len__(self) -> int:
        return len(self.loader)


def _as_text(files: Files | None) -> Any:
    """Files as a checkpoint can keep them: torch loads no paths."""
    if files is None or isinstance(files, (str, AudioIndex)):
        return files
    return os.fspath(files) if isinstance(files, os.PathLike) else [os.fspath(each) for each in files]


def _named(dtype: torch.dtype | str) -> str:
    """A dtype as a configuration file has it: "float16"."""
    return str(dtype).removeprefix("torch.")
