"""Indexes as Parquet files, local or in a store."""

from __future__ import annotations

import io
import json
import os
from typing import IO, Any

from flowmo_data.errors import FilesError, FilesNotFoundError, IndexVersionError, OptionError
from flowmo_data.sources import Store, is_url
from flowmo_data.sources.member_paths import file_of
from flowmo_data.sources.paths import absolute, folder_of, joined, relative, resolved
from flowmo_data.tracks.index.schema import METADATA_KEY, VERSION, import_pyarrow

INDEX_SUFFIX = ".parquet"


def read_index(path: str | os.PathLike[str], root: str | os.PathLike[str] | None, store: Store) -> tuple[Any, str]:
    """Return the table of an index, and the root of its paths: see `AudioIndex.load`."""
    path = absolute(path)
    pa = import_pyarrow()
    make_one = f"make one: flowmo-data index FOLDER -o {path}"
    try:
        table = pa.parquet.read_table(pa.BufferReader(store.read_all(path)) if is_url(path) else path)
    except FileNotFoundError:
        raise FilesNotFoundError(f"{path}: there is no such index; {make_one}") from None
    except (pa.ArrowException, OSError) as error:
        raise FilesError(f"{path}: this is not an index ({error}); delete it, and {make_one}") from error
    metadata = json.loads((table.schema.metadata or {}).get(METADATA_KEY, b"{}"))
    if metadata.get("version") != VERSION:
        if "version" not in metadata:
            raise FilesError(f"{path}: it is a Parquet file, but not an index; delete it, and {make_one}")
        was = f"{path} is an index of version {metadata['version']}, and this is flowmo_data for version {VERSION}"
        raise IndexVersionError(f"{was}; {make_one}")
    return table, _find_root(path, metadata, root, table["path"], store)


def write_index(table: Any, root: str, path: str | os.PathLike[str], store: Store) -> None:
    """Write the table of an index: see `AudioIndex.save`."""
    path = absolute(path)
    if not path.endswith(INDEX_SUFFIX):
        raise OptionError(f"{path}: the name of an index must end in {INDEX_SUFFIX}")
    metadata = {
        "version": VERSION,
        "root": relative(root, folder_of(path)),
        "absolute_root": root,
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


def _find_root(
    path: str, metadata: dict[str, str], root: str | os.PathLike[str] | None, names: Any, store: Store
) -> str:
    """Return the first possible folder that contains some of the files."""
    samples = [names[place].as_py() for place in sorted({0, len(names) // 2, len(names) - 1}) if len(names)]
    candidates = [resolved(metadata["root"], folder_of(path)), metadata["absolute_root"]]
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
