"""`AudioIndex`: built from files, saved to a Parquet file, and loaded from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from hashlib import blake2b
from typing import Any

from flowmo_data.errors import FilesNotFoundError, OptionError
from flowmo_data.sources import AlignedFiles, Files, Store
from flowmo_data.sources.corpus_parts.files import PartFiles
from flowmo_data.sources.corpus_parts.part import CorpusPart, as_part
from flowmo_data.sources.listing.excluding import warn_if_nothing_is_excluded
from flowmo_data.sources.metadata.tables import Table
from flowmo_data.tracks.index.aligned_columns import SET, AlignedColumns, has_nothing
from flowmo_data.tracks.index.building import build_table
from flowmo_data.tracks.index.columns import Columns
from flowmo_data.tracks.index.filtering import kept_rows, without_files
from flowmo_data.tracks.index.joining import with_metadata, with_segments, without
from flowmo_data.tracks.index.merging import merged_table
from flowmo_data.tracks.index.schema import METADATA, SEGMENTS
from flowmo_data.tracks.index.segments import SegmentColumns
from flowmo_data.tracks.index.storing import read_index, write_index


class AudioIndex:
    """The contents, the exact length and the packet positions of every file of a corpus.

    With an index, all ranks have the same number of frames, lengths are known, and any frame is found at once. Make one
    with `build` or `load`, and give it to `StreamingAudioDataset`.
    """

    def __init__(
        self,
        table: Any,
        root: str,
        storage_options: Mapping[str, Any] | None = None,
        part: CorpusPart | None = None,
    ) -> None:
        self.table, self.root, self.store, self.part = table, root, Store(storage_options), part

    @classmethod
    def build(
        cls,
        files: Files | AlignedFiles,
        *,
        root: str | os.PathLike[str] | None = None,
        previous: AudioIndex | None = None,
        num_workers: int = 0,
        on_files: Callable[[int, int], None] | None = None,
        metadata: str | os.PathLike[str] | None = None,
        segments: str | os.PathLike[str] | None = None,
        part: tuple[int, int] | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> AudioIndex:
        """Read the headers of all packets of all files. Nothing is decoded.

        Args:
            files: as for `StreamingAudioDataset`: a folder, a file, a glob, a manifest, a sequence of these, or a
                dictionary of those for files that are aligned with each other.
            root: folder, or its URL, that the index's paths are relative to, so that the two can be moved together;
                None for the folder that holds all files.
            previous: an earlier index; files with the same size and modification time as in it are not read again.
            num_workers: processes that read; 0 reads in this process. They are spawned, so a script that uses them
                needs its `if __name__ == "__main__":`.
            on_files: called now and then with the number of finished files and the number of all files.
            metadata: a table with a row for each file; see `with_metadata`.
            segments: a table with a row for each segment of a file; see `with_segments`.
            part: the number of a part and the number of parts, such as (3, 16): read the files of that part only, for
                `merge`. Parts count from 1. Each lists all files, and has its share of them by a hash of their paths.
            storage_options: options for URLs; see `StreamingAudioDataset`. The index keeps them in memory, but does not
                save them.

        Raises:
            FilesError: `files` names nothing, or a file is not under `root`, or a table does not fit the files.
            OptionError: there is no such part, or a table is to be joined with a part.
            MissingPackageError: pyarrow is not installed.
        """
        if part is not None and (metadata is not None or segments is not None):
            raise OptionError(
                f"part={part!r}: tables are about the whole corpus; join them with the merged index: "
                "AudioIndex.merge(PARTS).with_metadata(TABLE), or flowmo-data merge PARTS --metadata TABLE"
            )
        table, found_root, corpus_part = build_table(
            files,
            root=None if root is None else os.fspath(root),
            previous=None if previous is None else previous.table,
            num_workers=num_workers,
            on_files=on_files,
            store=Store(storage_options),
            part=None if part is None else as_part(part),
        )
        index = cls(table, found_root, storage_options, corpus_part)
        if metadata is not None:
            index = index.with_metadata(metadata)
        return index if segments is None else index.with_segments(segments)

    def with_metadata(self, table: str | os.PathLike[str]) -> AudioIndex:
        """Return the index with the metadata of its files, in place of any that it has.

        A file without a row in the table is left out of epochs, and reported. Of aligned files, the first of a set has
        the row.

        Args:
            table: a CSV, JSON lines or Parquet file, or its URL. A column `file_name` (or `path`, or `audio_filepath`)
                names the file of each row, relative to the folder of the table; the other columns are the metadata.

        Raises:
            FilesError: the table cannot be read, or is about none of the files, or has two different rows for a file.
            OptionError: its suffix is not that of a table.
        """
        paths = self.columns.first_paths() if isinstance(self.columns, AlignedColumns) else self.files.all_paths()
        return self._with(with_metadata(self.table, paths, Table(table, self.store)))

    def without_metadata(self) -> AudioIndex:
        """Return the index without the metadata of its files."""
        return self._with(without(self.table, METADATA))

    def with_segments(self, table: str | os.PathLike[str]) -> AudioIndex:
        """Return the index with segments of its files, in place of any that it has. Each is a track of its own.

        Segments may overlap. One that goes past the end of its file is cut there, and reported. A file without a
        segment gives no frames.

        Args:
            table: a table as for `with_metadata`, with a row for each segment, and columns `start` and `stop`, or
                `offset` and `duration`, in seconds. An empty start is the start of the file; an empty stop or duration
                is the end. The other columns are the metadata of the segment.

        Raises:
            FilesError: the table cannot be read, or is about none of the files, or a row has a place that no file has.
            OptionError: its suffix is not that of a table, or the index has aligned files.
        """
        if self.names:
            raise OptionError("segments= is not for aligned files: leave it out, or index the files on their own")
        return self._with(with_segments(self.table, self.files, Table(table, self.store)))

    def filter(self, expression: Any) -> AudioIndex:
        """Return the index with the files, or if it has segments the segments, that an expression accepts.

        A set of aligned files is accepted or not by its first file.

        Args:
            expression: an expression of `pyarrow.compute`, such as `field("seconds") > 30`. Its fields are `path` (as
                in the index, relative to the root), `seconds`, `sample_rate` (Hz), `channels` and `format` of the file
                or segment, and each column of the metadata. `field("metadata", "path")` gives a column of the metadata
                that has the name of another field.

        Raises:
            OptionError: it is not an expression, or has a field that is not there, or a type that does not fit.
            FilesNotFoundError: it accepts nothing.
        """
        table = kept_rows(self.table, self.columns, expression)
        if has_nothing(table):
            raise FilesNotFoundError(f"{self.root}: filter keeps none of {len(self.columns)} tracks: {expression}")
        return self._with(table)

    def _with(self, table: Any) -> AudioIndex:
        """Return the index with another table."""
        return AudioIndex(table, self.root, self.store.options)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        root: str | os.PathLike[str] | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> AudioIndex:
        """Read an index.

        Args:
            path: the Parquet file, or its URL.
            root: the folder that its paths are relative to. None: the folder at its old place relative to the index
                file, else at its old absolute path.
            storage_options: options for URLs, of the index and of its files; see `StreamingAudioDataset`.

        Raises:
            FilesError: the file is not an index, or has another version, or its folder does not exist.
            MissingPackageError: pyarrow is not installed.
        """
        table, found_root, part = read_index(path, root, Store(storage_options))
        return cls(table, found_root, storage_options, part)

    @classmethod
    def merge(
        cls,
        parts: PartFiles,
        *,
        root: str | os.PathLike[str] | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> AudioIndex:
        """Return the index of a corpus from those of its parts: the same as if `build` had read all files.

        Args:
            parts: indexes that were built with `part=`, all of them, in any order: a folder that holds them, a file, a
                glob, or a sequence of these; each a path or a URL.
            root: the folder of the files; None if all parts were built with the folder at the same place.
            storage_options: options for URLs, of the parts and of the files; see `StreamingAudioDataset`.

        Raises:
            FilesError: a part is missing, or they are not parts of one corpus; the message names the files.
        """
        return cls(*merged_table(parts, root, Store(storage_options)), storage_options)

    def save(self, path: str | os.PathLike[str], *, storage_options: Mapping[str, Any] | None = None) -> None:
        """Write the index to a Parquet file, or to an object at a URL.

        A file is first written under a temporary name, so that it is always complete.

        Args:
            path: the new file, or its URL.
            storage_options: options for a URL; None for those of the index.

        Raises:
            OptionError: its name does not end in `.parquet`.
            OSError: it cannot be written.
        """
        store = self.store if storage_options is None else Store(storage_options)
        write_index(self.table, self.root, path, store, self.part)

    def __len__(self) -> int:
        """Return the number of files, or of sets of aligned files, including bad ones."""
        return len(self.columns) if self.names else int(self.table.num_rows)

    @cached_property
    def files(self) -> Columns:
        """The columns as arrays, file by file."""
        return Columns(self.table, self.root, self.store)

    @cached_property
    def columns(self) -> Columns | SegmentColumns | AlignedColumns:
        """The columns as arrays, by tracks: of the segments, of the sets of aligned files, or else of the files."""
        if self.has_segments:
            return SegmentColumns(self.table, self.files)
        return AlignedColumns(self.table, self.files) if SET in self.table.column_names else self.files

    @property
    def names(self) -> tuple[str, ...]:
        """The names of aligned files, such as "mixture" and "vocals"; empty if each file is on its own."""
        return self.columns.names if isinstance(self.columns, AlignedColumns) else ()

    def misaligned(self) -> dict[str, str]:
        """Return the problems of aligned files with each other, by the path of the first of them."""
        return self.columns.misaligned() if isinstance(self.columns, AlignedColumns) else {}

    @property
    def has_segments(self) -> bool:
        """True if the index lists segments."""
        return SEGMENTS in self.table.column_names

    def metadata_types(self) -> dict[str, str]:
        """Return the type of each column of metadata, of files and of segments, as Arrow calls it."""
        structs = [self.table[METADATA].type] if METADATA in self.table.column_names else []
        if self.has_segments:
            segment = self.table[SEGMENTS].type.value_type
            structs += [field.type for field in segment if field.name == METADATA]
        return {field.name: str(field.type) for struct in structs for field in struct}

    def bad_files(self) -> dict[str, str]:
        """Return the reason why each bad file cannot be read, by path; also files without a row of metadata."""
        return {self.files.path(index): reason for index, reason in self.files.left_out().items()}

    def without(self, paths: Collection[str]) -> AudioIndex:
        """Return the index without some files, and without those that are aligned with them.

        Args:
            paths: absolute paths; paths that are not in the index are ignored.

        Raises:
            FilesNotFoundError: no file is left.
        """
        if isinstance(paths, str):
            raise OptionError(f"paths={paths!r}: give a list of paths, not one")
        table, num_dropped = without_files(self.table, self.root, paths)
        warn_if_nothing_is_excluded(paths, num_dropped)
        if has_nothing(table):
            raise FilesNotFoundError(f"{self.root}: all {len(self)} files of the index are excluded")
        return self._with(table)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that are different for other files, or files of other lengths."""
        digest = blake2b("\0".join(self.table["path"].to_pylist()).encode(), digest_size=8)
        digest.update(self.table["num_samples"].to_numpy().tobytes())
        if self.names:
            digest.update("\0".join(self.names).encode() + self.table[SET].to_numpy().tobytes())
        if not self.files.has_metadata.all():
            digest.update(self.files.has_metadata.tobytes())
        if isinstance(self.columns, SegmentColumns):
            for values in self.columns.bounds:
                digest.update(values.tobytes())
        return digest.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        return {"table": self.table, "root": self.root, "store": self.store, "part": self.part}
