"""The index's columns as NumPy arrays over its own memory, and the tracks that they describe.

Forked workers share that memory. It holds no Python objects, because changes of their reference counts would copy it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from flowmo_data.sources import Source, Stamp, Store, indexed_source
from flowmo_data.sources.metadata.of_files import missing_row
from flowmo_data.sources.metadata.rows import Rows
from flowmo_data.sources.paths import joined
from flowmo_data.tracks.containers.part import ContainerPart
from flowmo_data.tracks.excerpt import Excerpt
from flowmo_data.tracks.index.schema import CONTAINER, CONTAINER_NUMBERS
from flowmo_data.tracks.mpeg import Gap, Section, SeekOffsets, section_lengths
from flowmo_data.tracks.mpeg.headers import Header, parse_header
from flowmo_data.tracks.mpeg_part import MpegPart
from flowmo_data.tracks.parts import Loss, Part, refusal
from flowmo_data.tracks.soundfile_part import SoundFilePart
from flowmo_data.tracks.track import Track

_PART_NUMBERS = (
    "sample_rate", "channels", "num_samples", "delay", "header", "free_bytes", "num_packets", "stated_packets", "end",
    "lead", "last_seek", "excerpt_start", "excerpt_first_sample", *CONTAINER_NUMBERS,
)  # fmt: skip
_GAP_NUMBERS = ("packet", "start", "lost_bytes", "resumes")


class Columns:
    """A view of an index's table.

    Args:
        table: a `pyarrow.Table` with the index's schema.
        root: the folder that its paths are relative to.
        store: access to the folder, if it is a URL.
    """

    def __init__(self, table: Any, root: str, store: Store | None = None) -> None:
        self._root, self._store = root, store
        self._paths, self._damage = one_chunk(table["path"]), one_chunk(table["damage"])
        self._stamps = [numbers(one_chunk(table[name])) for name in ("size", "mtime_ns", "digest")]
        self._offsets = numbers(one_chunk(table["offset"]))
        self._errors, losses = one_chunk(table["error"]), one_chunk(table["losses"])
        self._loss_stops = numbers(losses.offsets)
        self._loss = {name: numbers(losses.values.field(name)) for name in Loss._fields}
        parts = one_chunk(table["parts"])
        self._part_stops = numbers(parts.offsets)
        part = parts.values
        self._formats, self._heads = part.field("format"), part.field("excerpt_head")
        self._part = {name: numbers(part.field(name)) for name in _PART_NUMBERS}
        points, gaps = part.field("points"), part.field("gaps")
        self._point_stops, self._points = numbers(points.offsets), numbers(points.values)
        self._gap_stops = numbers(gaps.offsets)
        self._gap = {name: numbers(gaps.values.field(name)) for name in _GAP_NUMBERS}
        self._metadata = StructRows(one_chunk(table["metadata"])) if "metadata" in table.column_names else None

    def __len__(self) -> int:
        return len(self._stamps[0])

    def path(self, index: int) -> str:
        """Return a file's absolute path."""
        return joined(self._root, self._paths[index].as_py())

    def all_paths(self) -> list[str]:
        """Return the absolute paths of all files."""
        return [self.path(index) for index in range(len(self))]

    def metadata(self, index: int) -> dict[str, Any] | None:
        """Return a file's metadata; None if it has none."""
        return None if self._metadata is None else self._metadata[index]

    @property
    def has_metadata(self) -> npt.NDArray[np.bool_]:
        """Whether each file has its row of metadata; True for all if there is no metadata in the index."""
        return np.ones(len(self), np.bool_) if self._metadata is None else self._metadata.is_there

    @property
    def part_stops(self) -> npt.NDArray[np.int64]:
        """One past the last part of each file, after a 0: `(len(self) + 1,)`."""
        return self._part_stops.astype(np.int64)

    @property
    def part_rates(self) -> npt.NDArray[np.int64]:
        """Sample rate of each part, Hz."""
        return self._part["sample_rate"].astype(np.int64)

    @property
    def part_lengths(self) -> npt.NDArray[np.int64]:
        """Samples of each part."""
        return self._part["num_samples"]

    @property
    def part_starts(self) -> npt.NDArray[np.int64]:
        """Samples of its file that come before each part."""
        before = np.concatenate([[0], np.cumsum(self.part_lengths)])
        of_files = np.repeat(before[self.part_stops[:-1]], np.diff(self.part_stops))
        starts: npt.NDArray[np.int64] = before[:-1] - of_files
        return starts

    def bad_files(self) -> dict[int, str]:
        """Return the reason why each bad file cannot be read, by file number."""
        return _there(self._errors)

    def left_out(self) -> dict[int, str]:
        """Return the reason why each file cannot be read, or has no row of metadata, by file number."""
        missing = missing_row("the table of metadata")
        return {**{int(file): missing for file in np.flatnonzero(~self.has_metadata)}, **self.bad_files()}

    def damaged_files(self) -> dict[int, str]:
        """Return the problem inside each damaged file that can be read, by file number."""
        return _there(self._damage)

    def sizes(self) -> npt.NDArray[np.int64]:
        """Return the bytes of every file."""
        return self._stamps[0]

    def seconds(self) -> npt.NDArray[np.float64]:
        """Return the duration of every file, seconds; 0 if it cannot be read."""
        return self._by_file(self._part["num_samples"] / self._part["sample_rate"])

    def first_losses(self) -> npt.NDArray[np.float64]:
        """Return the second at which audio is missing first, by file; infinity if none is missing."""
        first = self._loss_stops[:-1]
        seconds = np.full(len(self), np.inf)
        damaged = first < self._loss_stops[1:]
        seconds[damaged] = self._loss["start_seconds"][first[damaged]]
        return seconds

    def files_at_other_rates(self, sr: int) -> list[int]:
        """Return the numbers of the files that have a part at another rate."""
        other = self._by_file((self._part["sample_rate"] != sr).astype(np.int64))
        return [int(index) for index in np.flatnonzero(other)]

    def files_not_resampled(self, sr: int) -> list[int]:
        """Return the files with a part at a rate that cannot be resampled."""
        rates = np.unique(self._part["sample_rate"]).tolist()
        refused = [rate for rate in rates if rate != sr and refusal(rate, sr)]
        return [int(index) for index in np.flatnonzero(self._by_file(np.isin(self._part["sample_rate"], refused)))]

    def lengths(self, sr: int, *, on_other_rate: str) -> npt.NDArray[np.int64]:
        """Return the samples of every file at `sr` Hz, int64, without skipped parts.

        A file has 0 if it cannot be read, or has no row of metadata though others do.
        """
        lengths: npt.NDArray[np.int64] = self._by_file(
            lengths_at(sr, self.part_lengths, self.part_rates, on_other_rate)
        )
        lengths[~self.has_metadata] = 0
        return lengths

    def _by_file(self, part_values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the sums over the parts of each file."""
        sums = np.concatenate([[0], np.cumsum(part_values)])
        by_file: npt.NDArray[Any] = sums[self._part_stops[1:]] - sums[self._part_stops[:-1]]
        return by_file

    def track(self, index: int) -> Track:
        """Return a file's track, without access to the file. A read notices if the file has changed."""
        path = self.path(index)
        stamp = Stamp(*(int(values[index]) for values in self._stamps))
        source = indexed_source(path, stamp, self._store, int(self._offsets[index]))
        first, stop = self._part_stops[index : index + 2].tolist()
        parts = tuple(self._open_part(part, source) for part in range(first, stop))
        first, stop = self._loss_stops[index : index + 2].tolist()
        losses = zip(*(values[first:stop].tolist() for values in self._loss.values()), strict=True)
        return Track(path, parts, self._damage[index].as_py() or "", tuple(map(Loss._make, losses)))

    def reported(self, index: int) -> Track | None:
        """Return the track to report a file's problems from."""
        return self.track(index)

    def _open_part(self, index: int, source: Source) -> Part:
        row = {name: int(values[index]) for name, values in self._part.items()}
        points = self._points[self._point_stops[index] : self._point_stops[index + 1]]
        if row["header"] == CONTAINER:
            return _container_part(row, source, self._formats[index].as_py(), points)
        if not row["header"]:
            names = ("sample_rate", "channels", "num_samples", "lead", "last_seek")
            place = (row["excerpt_start"], row["end"], row["excerpt_first_sample"])
            excerpt = Excerpt(self._heads[index].as_py(), *place) if row["end"] else None
            numbers = {name: row[name] for name in names}
            return SoundFilePart(source, format=self._formats[index].as_py(), excerpt=excerpt, **numbers)
        header, lengths = _header(row["header"], row["free_bytes"])
        first_gap, stop_gap = self._gap_stops[index : index + 2].tolist()
        gaps = [{name: int(values[gap]) for name, values in self._gap.items()} for gap in range(first_gap, stop_gap)]
        offsets = SeekOffsets(
            points,  # type: ignore[arg-type]
            num_packets=row["num_packets"],
            end=row["end"],
            gaps={gap["packet"]: (gap["start"], gap["resumes"]) for gap in gaps},
            lengths=lengths,
            read=source.read,
        )
        section = Section(
            header,
            lengths,
            offsets,
            gaps=[Gap(gap["packet"], gap["start"], gap["lost_bytes"]) for gap in gaps],
            end=row["end"],
            delay=row["delay"],
            num_samples=row["num_samples"],
            stated_packets=row["stated_packets"],
        )
        return MpegPart(source, section)


def _container_part(row: dict[str, int], source: Source, kind: str, points: Any) -> ContainerPart:
    names = ("sample_rate", "channels", "num_samples", "delay", "num_packets", *CONTAINER_NUMBERS)
    values: dict[str, Any] = {name: row[name] for name in names}
    num_keys = min(-(-row["num_packets"] // row["packets_per_point"]), len(points))
    excerpt = Excerpt(b"", row["excerpt_start"], row["end"])
    places = {"points": points[:num_keys], "point_samples": points[num_keys:]}
    return ContainerPart(source, format=kind, excerpt=excerpt, **values, **places)


@lru_cache(maxsize=256)
def _header(number: int, free_bytes: int) -> tuple[Header, list[int]]:
    head = number.to_bytes(4, "big")
    header = parse_header(head)
    assert header is not None
    return header, section_lengths(head, free_bytes)


def lengths_at(
    sr: int, num_samples: npt.NDArray[np.int64], rates: npt.NDArray[np.int64], on_other_rate: str
) -> npt.NDArray[np.int64]:
    """Return the samples at `sr` Hz of stretches at their own rates; 0 for those that are skipped."""
    lengths: npt.NDArray[np.int64] = num_samples.copy()
    for rate in set(np.unique(rates).tolist()) - {sr}:
        divisor, there = math.gcd(rate, sr), rates == rate
        resampled = -(-lengths[there] * (sr // divisor) // (rate // divisor))
        lengths[there] = resampled if on_other_rate == "resample" and not refusal(rate, sr) else 0
    return lengths


class StructRows:
    """The rows of an Arrow array of structs, some of which may be null."""

    def __init__(self, structs: Any) -> None:
        there = structs.is_valid()
        self.is_there: npt.NDArray[np.bool_] = there.to_numpy(zero_copy_only=False)
        """whether each is not null"""
        self._row_of = np.cumsum(self.is_there, dtype=np.int64) - 1
        names = [field.name for field in structs.type]
        self._rows = Rows(dict(zip(names, structs.filter(there).flatten(), strict=True)))

    def __getitem__(self, index: int) -> dict[str, Any] | None:
        return self._rows[int(self._row_of[index])] if self.is_there[index] else None


def _there(strings: Any) -> dict[int, str]:
    """Return the strings of an Arrow array that are not null, by position."""
    return {int(index): strings[index].as_py() for index in np.flatnonzero(strings.is_valid())}


def one_chunk(column: Any) -> Any:
    """Return an Arrow column's values as one array, without a copy if they are one already."""
    combined = column.combine_chunks()
    return combined.chunk(0) if hasattr(combined, "num_chunks") and combined.num_chunks else combined


def numbers(array: Any) -> npt.NDArray[Any]:
    """Return an Arrow array of numbers as a NumPy array over the same memory."""
    numbers: npt.NDArray[Any] = array.to_numpy(zero_copy_only=True)
    return numbers
