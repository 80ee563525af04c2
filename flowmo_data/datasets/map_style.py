"""`AudioFrameDataset`: any frame of a corpus by its number, for samplers, splits and frameworks that index."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import get_spawning_popen
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from flowmo_data.decoding import choose_decoder
from flowmo_data.decoding.batching import Slot, Slots, slots_of_a_batch
from flowmo_data.decoding.frames import FrameReader
from flowmo_data.epochs import ErrorLog, Options, Report, open_indexed_stream
from flowmo_data.epochs.sharding import current_shard
from flowmo_data.errors import AudioFileError, NoReadableFileError
from flowmo_data.runtime.collating import check_for_trainer
from flowmo_data.runtime.epoch_clock import EpochClock
from flowmo_data.runtime.processes import freeze_in_worker
from flowmo_data.runtime.ranks import current_rank
from flowmo_data.runtime.threads import closed_after, ordered_map
from flowmo_data.sources import Exclude, Metadata
from flowmo_data.tracks.index import AudioIndex


class AudioFrameDataset(Dataset[Any]):
    """The frames of an indexed corpus in file order, each by its number, as `(channels, T)` tensors.

    It has no order and no shards of its own: samplers choose the frames. `dataset[i]` decodes one frame. A DataLoader
    asks for whole batches, which are decoded in place and in reused memory (`__getitems__`).

    Args:
        index: an `AudioIndex`, or the path of one (`.parquet`).
        sr: sample rate of the frames, Hz.
        samples_per_frame: T, the length of a frame in samples; 196,608 is 4.46 s at 44.1 kHz.
        hop: samples from the start of a frame to the start of the next; None for `samples_per_frame`. Fewer make frames
            overlap, more leave gaps between them.
        jitter: move each frame by a random number of samples below a hop, which depends on `seed`, the epoch (see
            `set_epoch`) and the frame's number: later, or earlier if the frame would otherwise end past its file.
        seed: seed of the jitter, of `seed` in the items, and of the replacements for unreadable frames.
        limit: this many of the frames, evenly spaced over the corpus (for validation). None for all.
        channels: 1 or 2; see `StreamingAudioDataset`.
        framing: "pad": frames cover every sample of a file, and zeros follow its end. "drop": whole frames only; a file
            shorter than a frame gives nothing.
        decoder: "native", "minimp3py", "soundfile", or "auto" for the first of these that is installed.
        decode_threads: threads that decode the frames of a batch, in every worker; 0 decodes in the calling thread.
        exclude: files to leave out; see `StreamingAudioDataset`.
        on_error: what to do about an unreadable frame: "skip" logs one warning for each file and gives another frame in
            its place, drawn from `seed`, the epoch and the frame's number; "raise" raises. A function is called with
            the AudioFileError, in the worker, once for each unreadable file; if it returns, another frame is given.
            Files that the index lists as bad have no frames; they are reported when the dataset is made, on rank 0.
        on_other_rate: what to do about a file with a sample rate other than `sr`: "resample" it, "skip" or "raise".
        dtype: torch.float32, float16, bfloat16 or int16; see `StreamingAudioDataset`.
        transform: a function of the frame (with `return_info`, of the dictionary) that returns what to give, or None to
            reject the frame: then another comes in its place, as for an unreadable one.
        return_info: give dictionaries; see `StreamingAudioDataset`.
        metadata: what belongs to each file, in place of the metadata in the index; see `StreamingAudioDataset`.
        storage_options: options of fsspec for URLs; see `StreamingAudioDataset`.
        max_buffered_bytes: bytes of remote files that a worker holds.

    Raises:
        OptionError: an option has an invalid value.
        FilesError: `index` is no index (FilesTypeError), or does not exist (FilesNotFoundError).
        MissingPackageError: the decoder or pyarrow is not installed.
        NoReadableFileError: the index has no frame; while accessing: a hundred replacements are unreadable, too.
        AudioFileError: a file cannot be read and `on_error="raise"`.
        AllFramesRejectedError: while accessing: the transform rejects a frame and a thousand replacements.
    """

    def __init__(
        self,
        index: AudioIndex | str | os.PathLike[str],
        *,
        sr: int = 44_100,
        samples_per_frame: int = 196_608,
        hop: int | None = None,
        jitter: bool = False,
        seed: int = 0,
        limit: int | None = None,
        channels: int = 2,
        framing: str = "pad",
        decoder: str = "auto",
        decode_threads: int = 0,
        exclude: Exclude | None = None,
        on_error: str | Callable[[AudioFileError], None] = "skip",
        on_other_rate: str = "resample",
        dtype: torch.dtype = torch.float32,
        transform: Callable[[Any], Any] | None = None,
        return_info: bool = False,
        metadata: Metadata | None = None,
        storage_options: Mapping[str, Any] | None = None,
        max_buffered_bytes: int = 1 << 28,
    ) -> None:
        self.options = Options(
            sr=sr,
            samples_per_frame=samples_per_frame,
            hop=hop,
            jitter=jitter,
            seed=seed,
            limit=limit,
            channels=channels,
            framing=framing,
            decoder=choose_decoder(decoder),
            decode_threads=decode_threads,
            on_error=on_error,
            on_other_rate=on_other_rate,
            dtype=dtype,
            transform=transform,
            return_info=return_info,
            metadata=metadata,
            max_buffered_bytes=max_buffered_bytes,
            shuffle=False,
        )
        self._error_log = ErrorLog(self.options)
        self._stream = open_indexed_stream(
            index, self.options, self._error_log, exclude=exclude, storage_options=storage_options
        )
        self._frame_reader = FrameReader(self.options, self._stream, self._error_log)
        self._clock = EpochClock()
        self._rank_and_world_size: tuple[int, int] | None = None  # of the parent, in a spawned worker
        self._known_reported: set[int] = set()  # epochs in which the problems that the index knows were reported
        self._report_known(0)
        if not len(self):
            raise NoReadableFileError(
                f"no frame in any of {len(self._stream.index)} files of the index; see the skipped files"
            )

    def __len__(self) -> int:
        """Return the number of frames. The index knows it; no file is opened."""
        return len(self._stream.plan(0))  # made before workers are forked, so that they share its memory

    def __getitem__(self, index: SupportsIndex) -> Any:
        """Return the frame at `index`, as the options say; a negative index counts from the end.

        Raises:
            IndexError: there is no such frame.
            TypeError: `index` is not a whole number.
        """
        (item,) = self._items([self._place(index)], [next(Slots(None, *self._shape()))])
        return item

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[Any]:
        """Return the frames at `indices`. The standard collate function makes a batch of them without a copy."""
        places = [self._place(index) for index in indices]
        return self._items(places, slots_of_a_batch(len(places), *self._shape()))

    def _shape(self) -> tuple[int, int, torch.dtype, tuple[str, ...]]:
        """Return the channels, length and dtype of a frame, and the names of aligned files."""
        options = self.options
        return options.channels, options.samples_per_frame, options.dtype, self._stream.names

    def _place(self, index: SupportsIndex) -> int:
        """Return the number of a frame, 0 or greater."""
        try:
            number = operator.index(index)
        except TypeError:
            number = None
        if number is None or isinstance(index, bool) or getattr(index, "dtype", None) is torch.bool:
            raise TypeError(
                f"index={index!r}: give a whole number; for several frames, torch.utils.data.Subset(dataset, numbers)"
            )
        if not -len(self) <= number < len(self):
            raise IndexError(f"there are {len(self)} frames, none at {number}")
        return number % len(self)

    def _items(self, places: list[int], slots: list[Slot]) -> list[Any]:
        """Return what is given for the frames at some places, each decoded into its slot."""
        freeze_in_worker()
        rank, world_size = self._ranks()
        epoch = self._clock.upcoming(rank)
        self._error_log.begin_accesses(epoch, current_shard(rank, world_size))
        threads = min(self.options.decode_threads, len(places) - 1)  # a single frame needs no thread
        try:
            with closed_after(self._stream.spans_at(places, epoch)) as spans:
                work = zip(spans, slots, strict=True)
                decoded = ordered_map(self._frame_reader.decoded, work, threads=threads)
                items = [self._frame_reader.finished(each, epoch) for each in decoded]
        finally:
            self._error_log.write_accesses(epoch)
        for item in items[:1]:
            check_for_trainer(item, self)
        return items

    def set_epoch(self, epoch: int) -> None:
        """Make `epoch`, a whole number, the epoch of the jitter and the report, also in workers that are running.

        A sampler has a `set_epoch` of its own. Call both before each iteration over a loader.
        """
        self._clock.set(epoch, *self._ranks())
        self._report_known(epoch)

    @property
    def epoch(self) -> int:
        """The current epoch: 0, or the one that was set last."""
        return self._clock.upcoming(self._ranks()[0])

    def report(self, epoch: int | None = None) -> Report:
        """Return the losses of this rank in an epoch so far; `is_complete` is always False, as an epoch has no end.

        Args:
            epoch: the epoch; None for the current one. Only rank 0 reports the files that the index lists as bad.
        """
        rank, _ = self._ranks()
        return self._error_log.report(self.epoch if epoch is None else epoch, rank)

    def frames_per_file(self) -> npt.NDArray[np.int64]:
        """Return the number of frames of each file, in the order of the index: int64, shape `(num_files,)`.

        Frames are in file order. So with a weight for each file, `np.repeat(weights, dataset.frames_per_file())` are
        the weights of the frames.
        """
        return self._stream.plan(0).frames_per_file()

    def _report_known(self, epoch: int) -> None:
        """Report the problems that the index knows, in each epoch once, as a dataset that streams does."""
        rank, world_size = self._ranks()
        raises = "raise" in (self.options.on_error, self.options.on_other_rate)
        if epoch in self._known_reported or (rank and not raises):
            return
        self._known_reported.add(epoch)
        self._error_log.begin_accesses(epoch, current_shard(rank, world_size))
        self._stream.report_bad_files(epoch)
        self._error_log.write_accesses(epoch)

    def _ranks(self) -> tuple[int, int]:
        """Return this process's rank and the number of ranks."""
        return current_rank() if self._rank_and_world_size is None else self._rank_and_world_size

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if get_spawning_popen() is not None:
            state["_rank_and_world_size"] = self._ranks()  # a spawned worker cannot look these up
        return state
