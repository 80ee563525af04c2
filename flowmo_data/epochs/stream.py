"""The stream of spans for the user's files: from an index, or from the files themselves."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from flowmo_data import sources
from flowmo_data.epochs.error_log import ErrorLog
from flowmo_data.epochs.from_files import FileStream
from flowmo_data.epochs.from_index import IndexedStream
from flowmo_data.epochs.options import Options
from flowmo_data.epochs.span import FrameStream
from flowmo_data.errors import FilesError, FilesTypeError, OptionError
from flowmo_data.sources.metadata.of_files import is_table, open_metadata
from flowmo_data.tracks.index import INDEX_SUFFIX, AudioIndex

logger = logging.getLogger(__name__)

Files = sources.Files | sources.AlignedFiles | AudioIndex
"""A folder, a file, a glob or a sequence of these; several of them by name, aligned; an index, or the path of one."""

_MAKE_ONE = "flowmo-data index FOLDER -o corpus.parquet"


def open_stream(
    files: Files,
    options: Options,
    error_log: ErrorLog,
    *,
    exclude: sources.Exclude | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> FrameStream:
    """Return the stream of `files`, without the files in `exclude`.

    Raises:
        FilesError: `files` names nothing, or the table of metadata does not fit the files.
        OptionError: an option needs an index.
    """
    if _is_index(files):
        return open_indexed_stream(files, options, error_log, exclude=exclude, storage_options=storage_options)
    if isinstance(files, (list, tuple)) and any(str(each).endswith(INDEX_SUFFIX) for each in files):
        raise FilesError(f"files={files!r}: an index cannot be part of a list; give its path, or an AudioIndex")
    assert not isinstance(files, AudioIndex)
    store = sources.Store(storage_options)
    excluded = sources.excluded_paths(exclude, store)
    if options.shuffle_buffer_size is None:
        raise OptionError(
            f"shuffle_buffer_size=None shuffles all frames of an epoch, which needs an index ({_MAKE_ONE}); give one, "
            "or a number of frames"
        )
    if options.limit is not None:
        raise OptionError(
            f"limit={options.limit}: the frames are spread evenly over all files, which needs an index ({_MAKE_ONE}); "
            "give one, or leave out limit"
        )
    found: sources.Sources | sources.AlignedSources
    if isinstance(files, Mapping):
        found = sources.find_aligned(files, excluded=excluded, store=store)
        paths: Sequence[str] = [of_set[0] for of_set in found]
    else:
        # a table has to be compared with all files, so that these must be known
        found = sources.find_sources(files, excluded=excluded, store=store, whole_tars=not is_table(options.metadata))
        paths = found
    metadata = None if options.metadata is None else open_metadata(options.metadata, paths, store)
    return FileStream(found, options, error_log, metadata)


def open_indexed_stream(
    index: AudioIndex | str | os.PathLike[str],
    options: Options,
    error_log: ErrorLog,
    *,
    exclude: sources.Exclude | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> IndexedStream:
    """Return the stream of an index, without the files in `exclude`.

    Raises:
        FilesTypeError: `index` is neither an index nor the path of one.
        FilesError: the index cannot be read, or all of its files are excluded.
    """
    if not _is_index(index):
        raise FilesTypeError(
            f"index={index!r}: frames have numbers only if the lengths of all files are known, which needs an index; "
            f"make one: {_MAKE_ONE}, or AudioIndex.build(FOLDER)"
        )
    if not isinstance(index, AudioIndex):
        index = AudioIndex.load(index, storage_options=storage_options)
    elif storage_options is not None:
        index = AudioIndex(index.table, index.root, storage_options, index.part)
    if index.part is not None:
        logger.warning(
            "%s: this index has part %s of a corpus only; for all of it, merge the parts: flowmo-data merge PARTS -o "
            "corpus.parquet", index.root, index.part,
        )  # fmt: skip
    excluded = sources.excluded_paths(exclude, index.store)
    return _with_metadata(index.without(excluded) if excluded else index, options, error_log)


def _with_metadata(index: AudioIndex, options: Options, error_log: ErrorLog) -> IndexedStream:
    if sources.is_url(index.root):
        index.store.prepare(index.root)
    if options.metadata is None:
        return IndexedStream(index, options, error_log)
    if is_table(options.metadata):
        return IndexedStream(index.with_metadata(options.metadata), options, error_log)  # type: ignore[arg-type]
    metadata = open_metadata(options.metadata, (), index.store)
    return IndexedStream(index.without_metadata(), options, error_log, metadata)


def _is_index(files: object) -> TypeGuard[AudioIndex | str | os.PathLike[str]]:
    """Return whether `files` is an index, or the path of one."""
    return isinstance(files, AudioIndex) or (
        isinstance(files, (str, os.PathLike)) and str(files).endswith(INDEX_SUFFIX)
    )
