"""Indexes as Parquet files, local or in a store."""

from __future__ import annotations

import io
import json
import os
from typing import IO, Any, NamedTuple

from flowmo_data.errors import FilesError, FilesNotFoundError, IndexVersionError, OptionError
from flowmo_data.sources import Store, is_url
from flowmo_data.sources.corpus_parts.part import CorpusPart, part_in
from flowmo_data.sources.member_paths import file_of
from flowmo_data.sources.paths import absolute, folder_of, joined, relative, resolved
from flowmo_data.tracks.index.schema import METADATA_KEY, VERSION, import_pyarrow

INDEX_SUFFIX = ".parquet"


class StoredIndex(NamedTuple):
    """An index as its file has it."""

    path: str
    """absolute, or a URL"""
    table: Any
    values: dict[str, Any]
    """what the file says about the index: `docs/corpus_index.md` lists the keys"""

    @property
    def part(self) -> CorpusPart | None:
        """The part of a corpus that it is the index of; None if that is the whole corpus."""
        return part_in(self.values)


def read_index(
    path: str | os.PathLike[str], root: str | os.PathLike[str] | None, store: Store
) -> tuple[Any, str, CorpusPart | None]:
    """Return the table of an index, the root of its paths, and the part that it is: see `AudioIndex.load`."""
    stored = read_stored(absolute(path), store)
    return stored.table, _find_root(stored, root, store), stored.part


def read_stored(path: str, store: Store, *, use_threads: bool = True) -> StoredIndex:
    """Return the index in a file, without a look at its files. Raises as `AudioIndex.load`.

    Args:
        path: absolute path, or URL.
        store: access to a URL.
        use_threads: read columns in threads; False where several files are read at once.
    """
    pa = import_pyarrow()
    make_one = f"make one: flowmo-data index FOLDER -o {path}"
    try:
        data = pa.BufferReader(store.read_all(path)) if is_url(path) else path
        with pa.parquet.ParquetFile(data, pre_buffer=False) as file:
            table = file.read(use_threads=use_threads)
    except FileNotFoundError:
        raise FilesNotFoundError(f"{path}: there is no such index; {make_one}") from None
    except (pa.ArrowException, OSError) as error:
        raise FilesError(f"{path}: this is not an index ({error}); leave it out, or {make_one}") from error
    values = json.loads((table.schema.metadata or {}).get(METADATA_KEY, b"{}"))
    if values.get("version") != VERSION:
        if "version" not in values:
            raise FilesError(f"{path}: it is a Parquet file, but not an index; leave it out, or {make_one}")
        was = f"{path} is an index of version {values['version']}, and this is flowmo_data for version {VERSION}"
        raise IndexVersionError(f"{was}; {make_one}")
    return StoredIndex(path, table, values)


def stored_columns(path: str | os.PathLike[str], store: Store) -> set[str]:
    """Return the columns of the index that is at a path, of any version; none if there is nothing.

    Raises:
        FilesError: something else is there.
    """
    path = absolute(path)
    pa = import_pyarrow()
    if not (store.exists(path) if is_url(path) else os.path.exists(path)):
        return set()
    try:
        found = pa.parquet.read_schema(pa.BufferReader(store.read_all(path)) if is_url(path) else path)
    except (pa.ArrowException, OSError) as error:
        raise FilesError(f"{path}: this is not an index ({error}); delete it, or choose another name") from error
    if METADATA_KEY not in (found.metadata or {}):
        raise FilesError(f"{path}: it is a Parquet file, but not an index; delete it, or choose another name")
    return set(found.names)


def write_index(
    table: Any, root: str, path: str | os.PathLike[str], store: Store, part: CorpusPart | None = None
) -> None:
    """Write the table of an index: see `AudioIndex.save`."""
    path = absolute(path)
    if not path.endswith(INDEX_SUFFIX):
        raise OptionError(f"{path}: the name of an index must end in {INDEX_SUFFIX}")
    metadata = {
        "version": VERSION,
        "root": relative(root, folder_of(path)),
        "absolute_root": root,
        **(part.as_json() if part else {}),
    }
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(metadata).encode()})
    if is_url(path):
        buffer = io.BytesIO()
        _write(table, buffer)
        store.write(path, buffer.getvalue())
        return
    unfinished = f"{path}.{os.getpid()}.part"
    try:
        with open(unfinished, "wb") as file:
            _write(table, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)


def _write(table: Any, file: IO[bytes]) -> None:
    import_pyarrow().parquet.write_table(
        table,
        file,
        compression="zstd",
        use_dictionary=["format", "parts.list.element.format"],
        column_encoding={"parts.list.element.points.list.element": "DELTA_BINARY_PACKED"},
    )


def _find_root(stored: StoredIndex, root: str | os.PathLike[str] | None, store: Store) -> str:
    """Return the first possible folder that contains some of the files."""
    path, names = stored.path, stored.table["path"]
    samples = [names[place].as_py() for place in sorted({0, len(names) // 2, len(names) - 1}) if len(names)]
    candidates: list[str] = [resolved(stored.values["root"], folder_of(path)), stored.values["absolute_root"]]
    if root is not None:
        candidates = [absolute(root)]
    if len(set(candidates)) == 1 and is_url(candidates[0]):
        return candidates[0]  # there is no choice, and asking the store takes time
    for candidate in candidates:
        exists = store.exists if is_url(candidate) else os.path.exists
        if any(exists(file_of(joined(candidate, sample))) for sample in samples):
            return candidate
    for candidate in reversed(candidates):
        if is_url(candidate) or os.path.isdir(candidate):  # its files may be gone: reading them reports that
            return candidate
    raise FilesNotFoundError(
        f"{path}: its files are not where they were (looked in {' and '.join(dict.fromkeys(candidates))}); "
        f"give their folder: AudioIndex.load({path!r}, root=FOLDER), or run flowmo-data index again"
    )
