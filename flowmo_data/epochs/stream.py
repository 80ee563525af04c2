"""The stream of spans for the user's files: from an index, or from the files themselves."""

from __future__ import annotations

import os

from flowmo_data import sources
from flowmo_data.epochs.error_log import ErrorLog
from flowmo_data.epochs.from_files import FileStream
from flowmo_data.epochs.from_index import IndexedStream
from flowmo_data.epochs.options import Options
from flowmo_data.epochs.span import Stream
from flowmo_data.errors import FilesError, OptionError
from flowmo_data.tracks.index import INDEX_SUFFIX, AudioIndex

Files = sources.Files | AudioIndex
"""A folder, a file, a glob or a sequence of these; or an index, or the path of one."""


def open_stream(
    files: Files, options: Options, error_log: ErrorLog, *, exclude: sources.Exclude | None = None
) -> Stream:
    """Return the stream of `files`, without the files in `exclude`.

    Raises:
        FilesError: `files` names nothing.
        OptionError: an option needs an index.
    """
    if isinstance(files, (str, os.PathLike)) and str(files).endswith(INDEX_SUFFIX):
        files = AudioIndex.load(files)
    if isinstance(files, (list, tuple)) and any(str(each).endswith(INDEX_SUFFIX) for each in files):
        raise FilesError(f"files={files!r}: an index cannot be part of a list; give its path, or an AudioIndex")
    excluded = sources.excluded_paths(exclude)
    if isinstance(files, AudioIndex):
        return IndexedStream(files.without(excluded) if excluded else files, options, error_log)
    if options.shuffle_buffer_size is None:
        raise OptionError(
            "shuffle_buffer_size=None shuffles all frames of an epoch, which needs an index (flowmo-data index FOLDER "
            "-o corpus.parquet); give one, or a number of frames"
        )
    if options.limit is not None:
        raise OptionError(
            f"limit={options.limit}: the frames are spread evenly over all files, which needs an index (flowmo-data "
            "index FOLDER -o corpus.parquet); give one, or leave out limit"
        )
    return FileStream(sources.find_sources(files, excluded=excluded), options, error_log)
