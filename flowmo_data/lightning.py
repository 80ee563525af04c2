"""`StreamingAudioDataModule`: the dataset under a Lightning Trainer, whose checkpoints resume exactly.

A Trainer asks for a batch ahead of the one that it works on, so the state of its loader has to lag behind:

Trainer                is through with   b0 b1 b2 b3
                       works on                      b4
                       has fetched ahead                b5
ResumableDataLoader    is after                         b5
LaggingLoader          is after                   b3
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, Union

import torch
from typing_extensions import Unpack

from flowmo_data.dataset import StreamingAudioDataset
from flowmo_data.decoding import choose_decoder
from flowmo_data.epochs import Options
from flowmo_data.errors import AudioFileError, MissingPackageError
from flowmo_data.loading import ResumableDataLoader
from flowmo_data.runtime.ranks import Ranks
from flowmo_data.tracks import AudioIndex

try:
    from lightning.pytorch import LightningDataModule
    from lightning.pytorch.trainer.states import TrainerFn
except ImportError as error:
    raise MissingPackageError(
        f"flowmo_data.lightning needs lightning ({error}): pip install 'flowmo_data[lightning]'"
    ) from error

Files = Union[str, Sequence[str], "os.PathLike[str]", AudioIndex]
"""See `StreamingAudioDataset`: a folder, a file, a glob, a sequence of these; or an index, or the path of one."""


class DatasetOptions(TypedDict, total=False):
    """The options of `StreamingAudioDataset` that the three sets share; it describes them and has their defaults."""

    sr: int
    samples_per_frame: int
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
    transform: Callable[[torch.Tensor], Any] | None
    return_info: bool
    remainder: str


class StreamingAudioDataModule(LightningDataModule):
    """Batches `(batch_size, channels, samples_per_frame)` of three sets of files for training, validation and test.

    Training is shuffled, and every epoch is another one; validation and test come in order, uncut by any phase.
    A Trainer's checkpoint holds where training is among the frames, in the middle of an epoch too: resumed, it goes on
    with the frames that would have come next.

    Each rank gets frames of its own. With an index, all ranks get equally many. Without one, nobody knows how many
    there are before the epoch is over, so ranks agree on each batch: the epoch ends for all when it ends for one, and
    the rest of the others' frames is left out of it. With `repeat`, a Trainer's epoch of `limit_train_batches` goes on
    after the last one.

    Args:
        train: what to train on; see `files` of `StreamingAudioDataset`.
        val: what to validate on; None for nothing.
        test: what to test on; None for nothing.
        batch_size: frames in a batch. The last one of a worker's epoch may be shorter.
        num_workers: processes that decode, in each rank; 0 decodes in the process that trains.
        prefetch_factor: batches that each worker has ready; None for torch's two.
        persistent_workers: keep workers from epoch to epoch, if processes are slow to start (macOS).
        pin_memory: copy batches into page-locked memory; None does so if there is a CUDA device.
        repeat: go on with the next epoch when one ends, in training; see `StreamingAudioDataset`.
        **options: further options of `StreamingAudioDataset`, for all three sets: `sr`, `samples_per_frame`,
            `shuffle_buffer_size`, `channels`, `seed`, `framing`, `decoder`, `decode_threads`, `exclude`, `on_error`,
            `on_other_rate`, `dtype` (also by its name, "float16"), `transform`, `return_info`, `remainder`. A
            checkpoint keeps them as hyperparameters, without functions, and without files that are not given by path.

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
        **options: Unpack[DatasetOptions],
    ) -> None:
        super().__init__()
        options["dtype"] = dtype = _named(options.get("dtype", torch.float32))  # as checkpoints keep it
        options["exclude"] = _as_text(options.get("exclude"))
        train, val, test = _as_text(train), _as_text(val), _as_text(test)
        self._options: dict[str, Any] = {**options, "dtype": getattr(torch, dtype, dtype)}
        checked = {name: value for name, value in self._options.items() if name != "exclude"}
        Options(
            **{**checked, "decoder": choose_decoder(checked.get("decoder", "auto"))},
            batch_size=batch_size,
            repeat=repeat,
        )
        self._repeat = repeat
        self._loading = {
            "num_workers": num_workers,
            "prefetch_factor": prefetch_factor,
            "persistent_workers": persistent_workers,
            "pin_memory": torch.cuda.is_available() if pin_memory is None else pin_memory,
        }
        self._files = {"train": train, "val": val, "test": test}
        indexes = [name for name, files in self._files.items() if isinstance(files, AudioIndex)]
        functions = [name for name in ("transform", "on_error") if callable(options.get(name))]
        self.save_hyperparameters(ignore=[*functions, *indexes])
        for name in ("val", "test"):
            if self._files[name] is None:
                setattr(self, f"{name}_dataloader", None)  # which is how Trainers see that there is none
        self._loaders: list[ResumableDataLoader] = []
        self._train: LaggingLoader | None = None
        self._state: Mapping[str, Any] | None = None  # that was loaded, until there is a loader for it

    def train_dataloader(self) -> LaggingLoader:
        """Return the batches of an epoch, another one each time."""
        dataset = self._dataset("train", repeat=self._repeat)
        state, self._state = self._state, None
        if state is None and self.trainer is not None:
            dataset.set_epoch(self.trainer.current_epoch)
        self._train = LaggingLoader(self._loader(dataset), self._used)
        if state is not None:
            self._train.load_state_dict(state)
        return self._train

    def val_dataloader(self) -> _Batches:
        """Return the batches to validate on."""
        return _Batches(self._loader(self._dataset("val", shuffle=False)))

    def test_dataloader(self) -> _Batches:
        """Return the batches to test on."""
        return _Batches(self._loader(self._dataset("test", shuffle=False)))

    def _dataset(self, name: str, **options: Any) -> StreamingAudioDataset:
        files, batch_size = self._files[name], self.hparams["batch_size"]  # which Lightning's batch size finder sets
        assert files is not None
        return StreamingAudioDataset(files, batch_size=batch_size, **self._options, **options)

    def _loader(self, dataset: StreamingAudioDataset) -> ResumableDataLoader:
        loader = ResumableDataLoader(dataset, batch_size=None, **self._loading)  # the dataset makes batches
        self._loaders.append(loader)
        return loader

    def teardown(self, stage: str) -> None:  # noqa: ARG002
        """End the workers. Trainers call it at the end."""
        while self._loaders:
            self._loaders.pop().stop_workers()

    def _used(self) -> Used | None:
        """Return how far the Trainer is; None if none is training."""
        if self.trainer is None or self.trainer.state.fn is not TrainerFn.FITTING:
            return None
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        batches: int = progress.total.processed  # type: ignore[attr-defined]
        return Used(batches, progress.is_last_batch and progress.total.ready == batches)

    def state_dict(self) -> dict[str, Any]:
        """Return where training is among the frames, of all ranks: all of them must ask, as Trainers do."""
        return dict(self._state or {}) if self._train is None else self._train.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Make training go on there. Trainers call it before they ask for batches."""
        self._state = state_dict or None


class Used(NamedTuple):
    """How far a user is."""

    batches: int
    """that it is through with, of all epochs"""
    epoch_is_over: bool
    """it wants no more of this epoch"""


class LaggingLoader:
    """The batches of a loader, for a user who can say how far it is.

    An iteration gives the next epoch. It gives the same one again where nothing of the last iteration was used; with
    `repeat=True`, it goes on with the endless one.

    Without an index, ranks have different numbers of batches, which none of them knows before: an epoch ends for all
    when it ends for one.

    Args:
        loader: the loader.
        used: says how far the user is; None where there is none, and a batch counts when it is handed out.
    """

    def __init__(self, loader: ResumableDataLoader, used: Callable[[], Used | None]) -> None:
        self.loader, self._used = loader, used
        self._used_before = 0  # when the iteration began
        self._states: dict[int, dict[str, Any]] = {}  # by batches of the iteration
        self._ranks = Ranks()

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        start = self._reached(leaving=True)
        if start != self.loader.next_epoch_state():
            self.loader.load_state_dict(start)
        used = self._used()
        self._used_before, self._states = (used.batches, {0: start}) if used else (0, {})
        batches = self._remembered(iter(self.loader))
        return batches if self._dataset().stream.ranks_end_together else self._ranks.while_all_have_one(batches)

    def _remembered(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The batches, with the states that may be asked for kept."""
        for number, batch in enumerate(batches, 1):
            if self._states:
                self._states[number] = self.loader.state_dict()
                oldest = self._batches_used(number)
                self._states = {after: state for after, state in self._states.items() if after >= oldest}
            yield batch

    def _batches_used(self, handed_out: int) -> int:
        """Batches of this iteration that the user is through with."""
        used = self._used()
        return handed_out if used is None else used.batches - self._used_before

    def _reached(self, *, leaving: bool) -> dict[str, Any]:
        """The loader's state after what was used, and after the epoch where the user is leaving it."""
        used = self._used()
        if used is None or not self._states:
            return self.loader.state_dict()
        of_iteration = used.batches - self._used_before
        if of_iteration and leaving and not self._dataset().options.repeat:
            return self.loader.next_epoch_state()
        return self._states[of_iteration]

    def state_dict(self) -> dict[str, Any]:
        """How far the users on all ranks are: all of them have to ask."""
        used = self._used()
        return {"ranks": self._ranks.gather(self._reached(leaving=used is not None and used.epoch_is_over))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Start the next iteration where `state` was taken.

        Raises:
            StateError: the state belongs to other files, options or shards.
        """
        rank, world_size = self._dataset().rank_and_world_size()
        ranks = state["ranks"]
        self.loader.load_state_dict(ranks[rank if len(ranks) == world_size else 0])
        self._states = {}

    def _dataset(self) -> StreamingAudioDataset:
        assert isinstance(self.loader.dataset, StreamingAudioDataset)
        return self.loader.dataset


class _Batches:
    """Batches to iterate over, for a Trainer. It would rebuild a real DataLoader."""

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
