"""Resources that a process can run out of, without the fault of any file; and files in memory."""

from __future__ import annotations

import errno
import os
import resource

from flowmo_data.errors import ResourceError

HAS_MEMORY_FILES = hasattr(os, "memfd_create")
"""True on Linux, False on macOS"""

SHORT_OF = {
    errno.EMFILE: "this process has reached its limit of {limit} open files; raise the limit (ulimit -n 4096)",
    errno.ENFILE: "the system has too many files open",
    errno.ENOMEM: "the system has no more memory: use fewer workers, or a smaller batch_size or prefetch_factor",
}


def open_memory_file() -> int:
    """Return the descriptor of a new file without a name, in memory.

    Raises:
        ResourceError: no more files can be opened.
    """
    try:
        return os.memfd_create("flowmo_data")
    except OSError as error:
        raise out_of("a file in memory", error) from error


def out_of(what: str, error: OSError) -> ResourceError:
    """Return the error for a resource that is not available now."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    reason = SHORT_OF.get(error.errno or 0, error.strerror or str(error)).format(limit=limit)
    return ResourceError(f"{what} is not available: {reason}")
