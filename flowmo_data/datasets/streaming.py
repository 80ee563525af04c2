"""`StreamingAudioDataset`: cut in the compressed domain, shuffle references, decode last."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, replace
from math import ceil
from multiprocessing.context import get_spawning_popen
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from flowmo_data.decoding import choose_decoder
from flowmo_data.decoding.batching import Item, Slots, batches
from flowmo_data.decoding.frames import FrameReader
from flowmo_data.epochs import ErrorLog, Files, Options, Position, Progress, Report, Shard, Span, open_stream
from flowmo_data.epochs.progress import check_state
from flowmo_data.epochs.sharding import current_shard
from flowmo_data.errors import AudioFileError
from flowmo_data.runtime.epoch_clock import EpochClock
from flowmo_data.runtime.ranks import Place, current_rank, place_of
from flowmo_data.runtime.threads import ordered_map
from flowmo_data.sources import Exclude, Metadata


class StreamingAudioDataset(IterableDataset[Any]):
    """Shuffled frames of audio from a folder of MP3s, or of any format of libsndfile, as `(channels, T)` tensors.

    Each iteration is the next epoch. It reads every file once, in a new order and cut at new places, and divides the
    work among ranks and DataLoader workers. It shuffles references, and decodes a frame only when it hands it out.

    Args:
        files: a folder (searched at all levels for known audio suffixes, without hidden files), a file, a glob, or a
            sequence of these. Files are sorted by absolute path, without duplicates. Or an `AudioIndex`, or the path of
            one (`.parquet`): all ranks then get the same number of frames, in an order that does not depend on the
            number of ranks.
        sr: sample rate of the emitted audio, Hz.
        samples_per_frame: T, the length of a frame in samples; 196,608 is 4.46 s at 44.1 kHz.
        hop: samples from a frame's start to the next; None for `samples_per_frame`. Fewer: frames overlap. More: gaps.
        shuffle_buffer_size: number of frames to shuffle among each other. They are held as references of about 170
            bytes each, never as audio. The frames of a file enter the buffer in order, so choose a size several times
            larger than the number of frames in a file. None shuffles all frames of the epoch, and needs an index.
        channels: 1 or 2. Mono is duplicated, stereo is averaged. Of more channels, 2 takes the first two.
        shuffle: False emits all files in order, each from its first sample (for validation).
        seed: seed of all randomness, together with the epoch; a whole number, 0 or greater.
        framing: "pad" emits every sample once, with zeros before a file (a random number of them, the phase, so that
            cut points differ from epoch to epoch) and after it. "drop" emits whole frames only, and skips samples
            instead of adding zeros; a file shorter than a frame gives nothing.
        decoder: "native", "minimp3py", "soundfile", or "auto" for the first of these that is installed.
        decode_threads: threads that decode ahead, in every worker; 0 decodes in the calling thread.
        exclude: files to leave out: a sequence of paths, or the path of a text file with one path per line (relative to
            the folder of the text file), as written by `flowmo-data check --quarantine`.
        on_error: what to do about an unreadable file: "skip" logs one warning and continues, "raise" raises. A function
            is called with the AudioFileError, in the worker, once for each unreadable file; if it returns, the file is
            skipped. `report()` lists the skipped files.
        on_other_rate: what to do about a file with a sample rate other than `sr`: "resample" it, "skip" or "raise".
        dtype: torch.float32, float16 or bfloat16, nominally in [-1, 1], not clipped; or int16, scaled and clipped.
        transform: a function of the frame (with `return_info`, of the dictionary) that returns the value to emit, or
            None to reject it (with an index, another comes in its place). It runs in order, in the iterating thread.
        return_info: emit a dictionary: `audio`, the frame; `path`, its file; `start`, the index of its first sample in
            the file at `sr` (negative if it begins with padding); `num_valid`, the number of its samples that are not
            padding; `num_samples`, the length of the file at `sr`; `seed`, an int below 2^63 for random augmentation,
            the same after a resume and for any number of workers (with an index, also of ranks).
        metadata: what belongs to each file, to be emitted under "metadata" with `return_info`: a function from the path
            to a dictionary (or None, to leave the file out); "sidecar": a `.json` file beside each file; or the path of
            a table with a column `file_name`. A file without metadata is treated as `on_error` says.
        batch_size: None emits frames, for the DataLoader to collate. A number emits batches of this many frames; the
            last batch of a worker's epoch may have fewer. Batches are tensors `(batch_size, channels, T)`. Frames are
            decoded straight into them, and their memory is reused. For `DataLoader(dataset, batch_size=None)`; faster.
        repeat: continue with the next epoch when one ends, without end: for training that counts steps, and for ranks
            that must not run out of frames before others do.
        remainder: with an index, if ranks do not divide an epoch's frames evenly: "drop" leaves the last frames out,
            "repeat" emits some frames twice.
        limit: with an index, emit only this many frames on all ranks together: evenly spaced, the same in every epoch.
        rank: rank of this process in the job. If omitted, it is looked up when iteration starts: in torch.distributed
            if that is initialised, else in RANK and WORLD_SIZE in the environment, else it is 0 of 1. It is also 0 of 1
            in a loader from `accelerator.prepare`, which shards by itself.
        world_size: number of ranks; give it together with `rank` or not at all.

    Raises:
        OptionError: an option has an invalid value.
        FilesError: `files` names nothing (FilesNotFoundError), or is not a path (FilesTypeError).
        MissingPackageError: the decoder is not installed.
        AudioFileError: while iterating: a file cannot be read and `on_error="raise"`.
        NoReadableFileError: while iterating: none of the files could be read or, with `repeat`, gave a frame.
        AllFramesRejectedError: while iterating: the transform rejects every frame.
    """

    def __init__(
        self,
        files: Files,
        *,
        sr: int = 44_100,
        samples_per_frame: int = 196_608,
        hop: int | None = None,
        shuffle_buffer_size: int | None = 1_000,
        channels: int = 2,
        shuffle: bool = True,
        seed: int = 0,
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
        batch_size: int | None = None,
        repeat: bool = False,
        remainder: str = "drop",
        limit: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        self.options = Options(
            sr=sr,
            samples_per_frame=samples_per_frame,
            hop=hop,
            shuffle_buffer_size=shuffle_buffer_size,
            channels=channels,
            shuffle=shuffle,
            seed=seed,
            framing=framing,
            decoder=choose_decoder(decoder),
            decode_threads=decode_threads,
            on_error=on_error,
            on_other_rate=on_other_rate,
            dtype=dtype,
            transform=transform,
            return_info=return_info,
            metadata=metadata,
            batch_size=batch_size,
            repeat=repeat,
            remainder=remainder,
            limit=limit,
        )
        if (rank, world_size) != (None, None):
            Shard(*current_rank(rank, world_size))
        self._rank, self._world_size = rank, world_size
        self._error_log = ErrorLog(self.options)
        self.stream = open_stream(files, self.options, self._error_log, exclude=exclude)
        self._frame_reader = FrameReader(self.options, self.stream, self._error_log)
        self._clock = EpochClock()
        self._frozen = False
        self._shard: Shard | None = None  # of the current or the last iteration
        self._progress = Progress(0, 0)
        self._start: Position | None = None  # of the next iteration; None: start of an epoch
        self._frames_per_turn: int | None = None  # set by a loader
        self._place: Place | None = None  # when it was looked up last

    def __iter__(self) -> Iterator[Any]:
        if get_worker_info() is not None and not self._frozen:
            gc.freeze()  # the collector must not touch inherited objects: that would copy their memory pages
            self._frozen = True
        shard = current_shard(*self.rank_and_world_size())
        start, self._start = self._start, None
        if start is None:
            progress = Progress(self._clock.next(shard.rank, shard.world_size), 0)
        else:
            worker, progress = start.of(shard)
            shard = replace(shard, worker=worker)
            self._clock.begin_at(progress.epoch, shard.rank, shard.world_size)
        self._shard, self._progress = shard, progress
        options = self.options
        slots = Slots(options.batch_size, options.channels, options.samples_per_frame, options.dtype)
        frames = (self._epochs if options.repeat else self._frames)(progress, shard, slots)
        return (item for item, _ in frames) if options.batch_size is None else batches(frames, options.batch_size)

    def _epochs(self, progress: Progress, shard: Shard, slots: Slots) -> Iterator[Item]:
        """Yield epoch after epoch, without end if there is anything to emit."""
        empty = 0
        while self.stream.has_frames(shard):
            was_whole = progress.handed_out == 0
            progress, has_emitted = yield from self._frames(progress, shard, slots)
            empty = 0 if has_emitted else empty + was_whole
            self.stream.check_empty_epochs(empty, shard)
            progress = self._progress = self.stream.after(progress)
            self._clock.went_on(progress.epoch, shard.rank, shard.world_size)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if get_spawning_popen() is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
            # a spawned worker cannot look these up
            state["_rank"], state["_world_size"] = self.rank_and_world_size()
            state["_frames_per_turn"] = self._turn()
        return state

    def spans(self, progress: Progress, shard: Shard) -> Iterator[Span]:
        """Return the spans that are left in a shard's epoch, in the order in which they are emitted."""
        return self.stream.spans(progress, shard, self._turn())

    def _turn(self) -> int | None:
        """Return the number of frames that a worker hands out before the next worker's turn; None if nobody says."""
        if self._frames_per_turn is None and self._place is not None and self._place.taken:
            return (self.options.batch_size or 1) * self._place.taken
        return self._frames_per_turn or self.options.batch_size

    def _frames(self, progress: Progress, shard: Shard, slots: Slots) -> Generator[Item, None, tuple[Progress, bool]]:
        """Emit each frame that is left in an epoch; return the progress, and whether any frame was emitted."""
        has_emitted = False
        work = zip(self.spans(progress, shard), slots, strict=False)
        with self._error_log.epoch(progress.epoch, shard, self._clock.iteration, is_resumed=progress.handed_out > 0):
            for decoded in ordered_map(self._frame_reader.decoded, work, threads=self.options.decode_threads):
                progress = self._progress = replace(progress, handed_out=progress.handed_out + 1)
                item = self._frame_reader.finished(decoded, progress.epoch)
                if item is None:
                    slots.give_back(decoded.slot)
                else:
                    has_emitted = True
                    yield item, decoded.slot
        if not has_emitted:
            self._frame_reader.check_some_accepted(progress.epoch, shard)
        return progress, has_emitted

    def set_epoch(self, epoch: int) -> None:
        """Make `epoch`, a whole number, the epoch of the next iteration, also in workers that are already running."""
        self._clock.set(epoch, *self.rank_and_world_size())

    @property
    def next_epoch(self) -> int:
        """The epoch of the next iteration."""
        return self._clock.upcoming(self.rank_and_world_size()[0])

    def rank_and_world_size(self) -> tuple[int, int]:
        """Return this process's rank and the number of ranks, as given or as looked up now."""
        self._place = place_of(self, self._rank, self._world_size)
        return self._place[:2]

    def _last_rank_and_world_size(self) -> tuple[int, int]:
        """Return those of the last iteration if it was sharded from outside, which cannot be seen in between."""
        return self._place[:2] if self._place and self._place.taken else self.rank_and_world_size()

    def __len__(self) -> int:
        """Return the number of frames (batches if `batch_size` is set) in an iteration on this rank. Needs an index.

        It is the same in every epoch, for any number of workers.

        Raises:
            TypeError: there is no index, or with `repeat`, no end.
        """
        return ceil(self.stream.num_frames(self._last_rank_and_world_size()[1]) / (self.options.batch_size or 1))

    def __bool__(self) -> bool:
        return True  # even if the length is 0 or unknown

    def report(self, epoch: int | None = None) -> Report:
        """Return the losses of this rank in an epoch. Workers report them when they finish the epoch.

        Args:
            epoch: the epoch; None for the one running in this process, or else the last one that a worker has finished.
                With an index, only rank 0 reports the files that the index lists as bad.
        """
        return self._error_log.report(epoch, self._last_rank_and_world_size()[0])

    @property
    def frames_per_epoch(self) -> int | None:
        """Frames of all ranks in an epoch, with an index; None without one."""
        return self.stream.frames_per_epoch

    def state_dict(self) -> dict[str, Any]:
        """Return the progress of this process's iteration, in its worker: for torchdata's `StatefulDataLoader`.

        It holds numbers and strings, for JSON and pickle. Frames that were decoded ahead do not count as handed out.
        """
        shard = current_shard(*self.rank_and_world_size())
        if self._start is not None:  # loaded, but not begun yet
            worker, progress = self._start.of(shard)
            shard = replace(shard, worker=worker)
        elif self._shard is not None:
            shard, progress = self._shard, self._progress
        else:
            progress = Progress(self.next_epoch, 0)
        return {**self.stream.identity(shard, self._turn()), "worker": shard.worker, **asdict(progress)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Start the next iteration of this process, and only that one, where `state` was taken.

        Raises:
            StateError: the state belongs to other files, options, ranks or number of workers, or when the iteration
                starts: to another worker.
        """
        shard = current_shard(*self.rank_and_world_size())
        check_state(state, self.stream.identity(shard, self._turn()), ("worker", "epoch", "handed_out", "begin"))
        progress = Progress(state["epoch"], state["handed_out"], state["begin"])
        self._start = Position({state["worker"]: progress}, shard.num_workers)

    def start_at(self, position: Position | None, *, frames_per_turn: int | None = None) -> None:
        """Start the next iteration, here or in a worker, at `position`, with such batches of the loader, if any."""
        self._start, self._frames_per_turn = position, frames_per_turn

    def progress(self) -> tuple[int, Progress]:
        """Return the worker that this process acts as, and the progress of that worker."""
        assert self._shard is not None
        return self._shard.worker, self._progress
