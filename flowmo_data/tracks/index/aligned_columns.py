"""The columns of an index of aligned files: what `Columns` gives for a file, for a set of files."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from flowmo_data.tracks.aligned import MOST_SECONDS_APART, AlignedTrack, samples_before
from flowmo_data.tracks.index.columns import Columns, one_chunk

NAME, SET = "name", "set"
"""columns that only such an index has: the name of each file (null if its set is incomplete), and its set's number"""


class AlignedColumns:
    """A view of a table that has several rows for each set of aligned files.

    Args:
        table: a `pyarrow.Table` with the index's schema and the two further columns.
        files: a view of the same table, file by file.
    """

    def __init__(self, table: Any, files: Columns) -> None:
        self.files = files
        encoded = one_chunk(table[NAME]).dictionary_encode()
        self.names: tuple[str, ...] = tuple(
            encoded.dictionary.to_pylist()
        )  # in the order of the first set, a whole one
        names, sets = encoded.indices.fill_null(0).to_numpy(), one_chunk(table[SET]).to_numpy()
        _, numbers = np.unique(sets, return_inverse=True)
        width = max(len(self.names), 1)  # a part of a corpus may have no whole set, and so no names
        self._rows = np.full((int(numbers.max(initial=-1)) + 1, width), -1, np.int64)
        """`(sets, names)`: the row of each file; -1 if there is none"""
        self._rows[numbers, names] = np.arange(len(sets))

    def __len__(self) -> int:
        return len(self._rows)

    def path(self, index: int) -> str:
        """Return the absolute path of a set's first file."""
        return self.files.path(int(self._first_rows[index]))

    @cached_property
    def _first_rows(self) -> npt.NDArray[np.int64]:
        """The row of each set's first file, which has the metadata of the set."""
        rows: npt.NDArray[np.int64] = self._rows[np.arange(len(self)), (self._rows >= 0).argmax(axis=1)]
        return rows

    def metadata(self, index: int) -> dict[str, Any] | None:
        """Return a set's metadata; None if it has none."""
        return self.files.metadata(int(self._first_rows[index]))

    def first_paths(self) -> list[str]:
        """Return for each file the absolute path of the first file of its set."""
        first = np.empty(len(self.files), np.int64)
        for rows in self._rows.T:
            first[rows[rows >= 0]] = self._first_rows[rows >= 0]
        return [self.files.path(row) for row in first.tolist()]

    def with_partners(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the rows of all files whose set has its first file among `rows`, in order."""
        found = self._rows[np.isin(self._first_rows, rows)]
        return np.sort(found[found >= 0])

    def left_out(self) -> set[int]:
        """Return the numbers of the sets that are incomplete, cannot be read, or have no row of metadata."""
        return set(np.flatnonzero(~self._is_good).tolist())

    def reported(self, index: int) -> AlignedTrack:
        """Return the tracks to report a set's problems from."""
        return self.track(index)

    def paths(self, index: int) -> list[str]:
        """Return the absolute paths of a set's files; fewer than there are names if it is incomplete."""
        return [self.files.path(row) for row in self._rows[index].tolist() if row >= 0]

    @cached_property
    def _is_good(self) -> npt.NDArray[np.bool_]:
        """Whether all files of a set can be read, and its metadata is known."""
        good = np.ones(len(self.files) + 1, np.bool_)
        good[[*self.files.left_out(), -1]] = False
        return np.asarray(good[self._rows].all(axis=1))

    def damaged_files(self) -> dict[int, str]:
        """Return the problems of each set that can be read and has some, of one of its files or between them."""
        tracks = {int(number): self.track(int(number)) for number in np.flatnonzero(self._is_good & self._is_odd)}
        return {
            number: "; ".join(
                problem for problem in (track.damage, *(each.damage for each in track.members)) if problem
            )
            for number, track in tracks.items()
        }

    def misaligned(self) -> dict[str, str]:
        """Return the problems of the files of a set with each other, by the path of its first file."""
        tracks = (self.track(int(number)) for number in np.flatnonzero(self._is_good & self._is_odd))
        return {track.path: track.damage for track in tracks if track.damage}

    @cached_property
    def _is_odd(self) -> npt.NDArray[np.bool_]:
        """Whether a file of a set is damaged, or their lengths differ."""
        by_file = self._of_files(self.files.seconds(), np.inf)
        apart = by_file.max(axis=1) - by_file.min(axis=1) > MOST_SECONDS_APART
        return np.asarray(apart | self._sets_of(list(self.files.damaged_files())))

    def seconds(self) -> npt.NDArray[np.float64]:
        """Return the duration of every set, that of its shortest file, seconds; 0 if one of them cannot be read."""
        return self._shortest(self.files.seconds())

    def files_at_other_rates(self, sr: int) -> list[int]:
        """Return the numbers of the sets that have a part at another rate."""
        return self._good_sets_of(self.files.files_at_other_rates(sr))

    def files_not_resampled(self, sr: int) -> list[int]:
        """Return the sets with a part at a rate that cannot be resampled."""
        return self._good_sets_of(self.files.files_not_resampled(sr))

    def lengths(self, sr: int, *, on_other_rate: str) -> npt.NDArray[np.int64]:
        """Return the samples of every set at `sr` Hz, int64, as far as its files are aligned; 0 if it is skipped."""
        of_files = self.files.lengths(sr, on_other_rate=on_other_rate)
        if on_other_rate != "resample":  # files without some of their parts are not aligned
            of_files = of_files.copy()
            of_files[self.files.files_at_other_rates(sr)] = 0
        lengths = self._shortest(of_files)
        first = self._of_files(self.files.first_losses(), np.inf).min(axis=1)
        for index in np.flatnonzero(np.isfinite(first)):
            lengths[index] = min(lengths[index], samples_before(float(first[index]), sr))
        return lengths

    def track(self, index: int) -> AlignedTrack:
        """Return the tracks of a set, without access to the files."""
        return AlignedTrack(self.names, tuple(self.files.track(row) for row in self._rows[index].tolist()))

    def _of_files(self, values: npt.NDArray[Any], missing: float) -> npt.NDArray[Any]:
        """Return the value of each file, `(sets, names)`; `missing` for files that are not there."""
        return np.append(values, np.asarray(missing, values.dtype))[self._rows]

    def _shortest(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        shortest: npt.NDArray[Any] = self._of_files(values, 0).min(axis=1)
        return shortest

    def _sets_of(self, files: list[int]) -> npt.NDArray[np.bool_]:
        """Return whether each set has one of the files."""
        marked = np.zeros(len(self.files) + 1, np.bool_)
        marked[files] = True
        return np.asarray(marked[self._rows].any(axis=1))

    def _good_sets_of(self, files: list[int]) -> list[int]:
        return [int(index) for index in np.flatnonzero(self._sets_of(files) & self._is_good)]


def has_nothing(table: Any) -> bool:
    """Return whether a table has no file, or aligned files but no whole set of them."""
    return not len(table) or (NAME in table.column_names and table[NAME][0].as_py() is None)  # whole sets come first
