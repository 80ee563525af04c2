"""`StreamingAudioDataset`: cut in the compressed domain, shuffle references, decode last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import ceil
from typing import Any

import torch

from flowmo_data.datasets.iteration import StreamDataset
from flowmo_data.decoding import choose_decoder
from flowmo_data.decoding.batching import Item, Slots
from flowmo_data.decoding.frames import FrameReader
from flowmo_data.epochs import ErrorLog, Files, FrameStream, Options, Progress, Shard, open_stream
from flowmo_data.errors import AudioFileError
from flowmo_data.sources import Exclude, Metadata


class StreamingAudioDataset(StreamDataset):
    """Shuffled frames of audio from a folder of MP3s, or of any format of libsndfile, as `(channels, T)` tensors.

    Each iteration is the next epoch. It reads every file once, in a new order and cut at new places, and divides the
    work among ranks and DataLoader workers. It shuffles references, and decodes a frame only when it hands it out.

    Args:
        files: a folder (searched at all levels for known audio suffixes, without hidden files), a file, a tar (searched
            like a folder), a glob, a manifest (.txt, .m3u, .csv, .tsv, .jsonl; with paths relative to it), or a
            sequence of these; paths or URLs of fsspec, also with braces, as in `shards/{0000..0127}.tar`. Or a column
            of audio of Hugging Face `datasets`, with paths. They are sorted by absolute path, without duplicates. A tar
            in a store is read from end to end, and counts as one file when the work is divided. Or several by name, for
            files that are aligned with each other, `{"mixture": "mix/", "vocals": "vocals/"}`: instead of a tensor,
            each frame is then a dictionary of tensors, and `path` in its information is a dictionary of paths. Or an
            `AudioIndex`, or the path of one (`.parquet`): all ranks get as many frames, in one order for any number of
            ranks.
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
        decoder: "native", "minimp3py", "soundfile", or "auto" for the first that is installed.
        decode_threads: threads that decode ahead, in every worker; 0 decodes in the calling thread.
        exclude: files to leave out: a sequence of paths, or the path of a text file with a path (relative to the text
            file's folder) on each line, as written by `flowmo-data check --quarantine`.
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
        storage_options: options of fsspec for URLs, `{"anon": True}`; for several protocols, `{"s3": {"anon": True}}`.
        max_buffered_bytes: bytes of remote files that a worker holds. To not exceed this, it shuffles fewer frames.
        rank: rank of this process in the job. If omitted, it is looked up when iteration starts: in torch.distributed
            if that is initialised, else in RANK and WORLD_SIZE in the environment, else it is 0 of 1. It is also 0 of 1
            in a loader from `accelerator.prepare`, which shards by itself.
        world_size: number of ranks; given together with `rank` or not at all.

    Raises:
        OptionError: an option has an invalid value.
        FilesError: `files` names nothing (FilesNotFoundError), or is not a path (FilesTypeError).
        MissingPackageError: the decoder is not installed.
        AudioFileError: while iterating: a file cannot be read and `on_error="raise"`.
        NoReadableFileError: while iterating: none of the files could be read or, with `repeat`, gave a frame.
        AllFramesRejectedError: while iterating: the transform rejects every frame.
    """

    stream: FrameStream
    reader: FrameReader

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
        storage_options: Mapping[str, Any] | None = None,
        max_buffered_bytes: int = 1 << 28,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        self.options = Options(
            sr=sr, samples_per_frame=samples_per_frame, hop=hop, shuffle_buffer_size=shuffle_buffer_size,
            channels=channels, shuffle=shuffle, seed=seed, framing=framing, decoder=choose_decoder(decoder),
            decode_threads=decode_threads, on_error=on_error, on_other_rate=on_other_rate, dtype=dtype,
            transform=transform, return_info=return_info, metadata=metadata, batch_size=batch_size, repeat=repeat,
            remainder=remainder, limit=limit, max_buffered_bytes=max_buffered_bytes,
        )  # fmt: skip
        self.error_log = ErrorLog(self.options)
        self.error_logs = [self.error_log]
        self.stream = open_stream(files, self.options, self.error_log, exclude=exclude, storage_options=storage_options)
        self.reader = FrameReader(self.options, self.stream, self.error_log)
        self._begin(rank, world_size)

    def _emitted(self, progress: Progress, shard: Shard, slots: Slots, turn: int | None) -> Iterator[Item]:
        return (self._epochs if self.options.repeat else self._frames)(progress, shard, slots, turn)

    def _epochs(self, progress: Progress, shard: Shard, slots: Slots, turn: int | None) -> Iterator[Item]:
        """Yield epoch after epoch, without end if there is anything to emit."""
        empty = 0
        while self.stream.has_frames(shard):
            was_whole = progress.handed_out == 0
            progress, has_emitted = yield from self._frames(progress, shard, slots, turn)
            empty = 0 if has_emitted else empty + was_whole
            self.stream.check_empty_epochs(empty, shard)
            progress = self._progress = self.stream.after(progress)
            self._clock.went_on(progress.epoch, shard.rank, shard.world_size)

    def __len__(self) -> int:
        """Return the number of frames (batches if `batch_size` is set) in an iteration on this rank. Needs an index.

        It is the same in every epoch, for any number of workers.

        Raises:
            TypeError: there is no index, or no end.
        """
        _, world_size = self._last_rank_and_world_size()
        return ceil(self.stream.num_frames(world_size) / (self.options.batch_size or 1))

    @property
    def frames_per_epoch(self) -> int | None:
        """Frames of all ranks in an epoch, with an index; None without one."""
        return self.stream.frames_per_epoch
