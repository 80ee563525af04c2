"""What a process can run out of, which is no fault of the file that it wanted to read; and files in memory."""

from __future__ import annotations

import errno
import os
import resource

from flowmo_data.errors import ResourceError

HAS_MEMORY_FILES = hasattr(os, "memfd_create")
"""Linux has; macOS has not"""

SHORT_OF = {
    errno.EMFILE: "this process has as many files open as it may, {limit}; allow it more (ulimit -n 4096)",
    errno.ENFILE: "the system has too many files open",
    errno.ENOMEM: "the system has no more memory: take fewer workers, or a smaller batch_size or prefetch_factor",
}


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
    reason = SHORT_OF.get(error.errno or 0, error.strerror or str(error)).format(limit=limit)
    return ResourceError(f"{what} cannot be had: {reason}")
