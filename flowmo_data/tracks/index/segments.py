"""The segments of an index: stretches of files, each a track of its own.

    file         [0 ...................................... num_samples)
    segments         [start .. stop)  [start ......... stop)
                                            [start .. stop)             they may overlap

An index has one row for each file, which lists the file's segments. `SegmentColumns` has the same methods as `Columns`,
with the number of a segment in place of the number of a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from flowmo_data.errors import counted
from flowmo_data.tracks.index.columns import Columns, StructRows, lengths_at, numbers, one_chunk
from flowmo_data.tracks.parts import CutPart, Loss, Part
from flowmo_data.tracks.track import Track

START, STOP = "segment_start", "segment_stop"
"""names under which a segment's place in its file comes out, seconds"""


class SegmentColumns:
    """A view of an index's table, by segments.

    Args:
        table: a `pyarrow.Table` with the index's schema and segments.
        files: the view of the same table by files.
    """

    def __init__(self, table: Any, files: Columns) -> None:
        self.files = files
        segments = one_chunk(table["segments"])
        self._stops_of_files = numbers(segments.offsets)
        self.file_of = np.repeat(np.arange(len(files)), np.diff(self._stops_of_files))
        names = [field.name for field in segments.values.type]
        self._starts, self._stops, self.seconds_cut = (
            numbers(segments.values.field(name)) for name in ("start", "stop", "seconds_cut")
        )
        self._rows = StructRows(segments.values.field("metadata")) if "metadata" in names else None
        pieces = np.diff(files.part_stops)[self.file_of]
        self._of_piece = np.repeat(np.arange(len(self)), pieces)  # (pieces,): the segment of each
        before = np.cumsum(pieces) - pieces
        inside = np.arange(len(self._of_piece)) - before[self._of_piece]
        self._parts = files.part_stops[:-1][self.file_of[self._of_piece]] + inside  # the part of each piece
        begin = files.part_starts[self._parts]
        first, last = (bound[self._of_piece] - begin for bound in (self._starts, self._stops))
        self._first = np.clip(first, 0, files.part_lengths[self._parts])
        self._last = np.clip(last, 0, files.part_lengths[self._parts])
        rates = files.part_rates[self._parts]
        self.start_seconds = self._by_segment(self._first / rates)
        """start of each segment in its file, seconds"""
        self.stop_seconds = self._by_segment(self._last / rates)
        """end of each, seconds"""

    @property
    def bounds(self) -> tuple[npt.NDArray[np.int64], ...]:
        """What tells segments apart: their file, and their start and stop in its samples."""
        return self.file_of, self._starts, self._stops

    def __len__(self) -> int:
        return len(self.file_of)

    def path(self, index: int) -> str:
        """Return the absolute path of a segment's file."""
        return self.files.path(int(self.file_of[index]))

    def seconds(self) -> npt.NDArray[np.float64]:
        """Return the duration of every segment, seconds."""
        return self._by_segment((self._last - self._first) / self.files.part_rates[self._parts])

    def lengths(self, sr: int, *, on_other_rate: str) -> npt.NDArray[np.int64]:
        """Return the samples of every segment at `sr` Hz, as `Columns.lengths`."""
        pieces = lengths_at(sr, self._last - self._first, self.files.part_rates[self._parts], on_other_rate)
        lengths: npt.NDArray[np.int64] = self._by_segment(pieces).astype(np.int64)
        return np.where(self.files.has_metadata[self.file_of], lengths, 0)

    def _by_segment(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.bincount(self._of_piece, values, minlength=len(self))

    def track(self, index: int) -> Track:
        """Return a segment's track, without access to the file."""
        file, start, stop = (int(values[index]) for values in (self.file_of, self._starts, self._stops))
        whole = self.files.track(file)
        losses = tuple(
            loss._replace(start_seconds=loss.start_seconds - self.start_seconds[index])
            for loss in whole.losses
            if self._has(index, loss)
        )
        damage = whole.damage if losses or not whole.losses else ""
        return Track(whole.path, tuple(_cut(whole.parts, start, stop)), damage, losses)

    def _has(self, index: int, loss: Loss) -> bool:
        return bool(self.start_seconds[index] <= loss.start_seconds < self.stop_seconds[index])

    def metadata(self, index: int) -> dict[str, Any] | None:
        """Return what is known about a segment's file and about the segment, and its place in the file."""
        of_file = self.files.metadata(int(self.file_of[index])) or {}
        own = (self._rows and self._rows[index]) or {}
        place = {START: float(self.start_seconds[index]), STOP: float(self.stop_seconds[index])}
        return {**of_file, **own, **place}

    def damaged_files(self) -> dict[int, str]:
        """Return the problems of each file with damage inside a segment, or a segment past its end, by file number."""
        suspects = {*self.files.damaged_files(), *self.file_of[self.seconds_cut > 0].tolist()}
        tracks = {file: self.reported(file) for file in sorted(suspects)}
        return {file: track.damage for file, track in tracks.items() if track is not None and track.damage}

    def left_out(self) -> Mapping[int, str]:
        """Return the reason why each file cannot be read, or has no row of metadata, by file number."""
        return self.files.left_out()

    def files_at_other_rates(self, sr: int) -> list[int]:
        """Return the numbers of the files that have a part at another rate."""
        return self.files.files_at_other_rates(sr)

    def files_not_resampled(self, sr: int) -> list[int]:
        """Return the files with a part at a rate that cannot be resampled."""
        return self.files.files_not_resampled(sr)

    def reported(self, file: int) -> Track | None:
        """Return the track to report a file's problems from, with what lies in segments; None without segments."""
        first, stop = self._stops_of_files[file : file + 2].tolist()
        if first == stop:
            return None
        whole, segments = self.files.track(file), range(first, stop)
        losses = tuple(loss for loss in whole.losses if any(self._has(segment, loss) for segment in segments))
        problems = [whole.damage] if whole.damage and (losses or not whole.losses) else []
        cut = int((self.seconds_cut[first:stop] > 0).sum())
        if cut:
            most = self.seconds_cut[first:stop].max()
            problems.append(f"{counted(cut, 'segment')} cut at its end, by up to {most:.2f} s")
        touched = range(len(whole.parts)) if len(whole.parts) == 1 else self._touched(first, stop)
        return Track(whole.path, tuple(whole.parts[part] for part in touched), "; ".join(problems), losses)

    def _touched(self, first: int, stop: int) -> list[int]:
        """Return the numbers, in their file, of the parts that some segments `[first, stop)` of it have samples of."""
        pieces = (self._of_piece >= first) & (self._of_piece < stop) & (self._last > self._first)
        file = int(self.file_of[first])
        numbers_there: list[int] = np.unique(self._parts[pieces] - self.files.part_stops[file]).tolist()
        return numbers_there


def _cut(parts: tuple[Part, ...], start: int, stop: int) -> Iterator[Part]:
    """Yield the parts of the samples `[start, stop)` of a file."""
    before = 0
    for part in parts:
        begin, end = max(start - before, 0), min(stop - before, part.num_samples)
        if begin < end:
            yield part if (begin, end) == (0, part.num_samples) else CutPart(part, begin, end)
        before += part.num_samples
