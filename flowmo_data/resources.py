"""What a process can run out of, which is no fault of the file that it wanted to read; and files in memory."""

from __future__ import annotations

import errno
import os
import resource

from flowmo_data.errors import AudioFileError, FlowmoDataError, ResourceError
from flowmo_data.words import shown

HAS_MEMORY_FILES = hasattr(os, "memfd_create")
"""Linux has; macOS has not"""

_SHORT_OF = {
    errno.EMFILE: "this process has as many files open as it may, {limit}; allow it more (ulimit -n 4096)",
    errno.ENFILE: "the system has too many files open",
    errno.ENOMEM: "the system has no more memory: take fewer workers, or a smaller batch_size or prefetch_factor",
}


def file_error(path: str, error: OSError) -> FlowmoDataError:
    """What an error at a file means: that this file is bad, or that no file could be opened now.

    A file is skipped for the former. The latter would skip one good file after the other.
    """
    if error.errno in _SHORT_OF:
        return out_of(shown(path), error)
    return AudioFileError.of(path, error.strerror or str(error))


def open_memory_file() -> int:
    """The descriptor of a new file without a name, in memory.

    Raises:
        ResourceError: there can be no more of them.
    """
    try:
        return os.memfd_create("flowmo_data")
    except OSError as error:
        raise out_of("a file in memory", error) from error


def out_of(what: str, error: OSError) -> ResourceError:
    """The error for something that cannot be had now."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    reason = _SHORT_OF.get(error.errno or 0, error.strerror or str(error)).format(limit=limit)
    return ResourceError(f"{what} cannot be had: {reason}")
