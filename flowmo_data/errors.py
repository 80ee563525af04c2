"""The exceptions of the package, all rooted in `FlowmoDataError`.

Every message names the value or the file, and says what was found and what to do about it.
"""

from __future__ import annotations


class FlowmoDataError(Exception):
    """The base class of all errors that this package raises on purpose."""


class OptionError(FlowmoDataError, ValueError):
    """An invalid value of an option."""


class FilesError(FlowmoDataError, ValueError):
    """A `files` argument that names nothing that can be streamed."""


class FilesTypeError(FilesError, TypeError):
    """A `files` argument that is neither a path nor a sequence of paths."""


class FilesNotFoundError(FilesError, FileNotFoundError):
    """A path in `files` that does not exist, or has no audio file under it."""


class IndexVersionError(FilesError):
    """An index written by another version of this package, in another format."""


class MissingPackageError(FlowmoDataError, ImportError):
    """A package that is needed and installed separately, but is missing or does not import."""


class StateError(FlowmoDataError, ValueError):
    """A state that belongs to other files, options or shards than the dataset that loads it."""


class ResourceError(FlowmoDataError, OSError):
    """A shortage of file descriptors or memory in this process. No file is to blame, so none is skipped."""


class AudioFileError(FlowmoDataError):
    """A file that cannot be read. The message is `path: reason`.

    The message is the only argument, so that the exception keeps its type when it leaves a DataLoader's worker.
    """

    path = ""
    """the file; unknown in the main process if a worker raised the error"""
    reason = ""
    """the problem with the file"""

    @classmethod
    def of(cls, path: str, reason: str) -> AudioFileError:
        """Return the error for the file at `path` with the problem `reason`."""
        error = cls(f"{shown(path)}: {shown(reason)}")
        error.path, error.reason = path, reason
        return error


class SampleRateError(AudioFileError):
    """A file at another sample rate, although the options do not allow that."""


class NoReadableFileError(AudioFileError):
    """A whole epoch in which no file could be read."""


class AllFramesRejectedError(FlowmoDataError):
    """A transform that returned None for every frame."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the singular or the plural.

    >>> counted(1, "worker"), counted(2_000, "file")
    ('1 worker', '2,000 files')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def shown(text: str) -> str:
    r"""Return a path, or a text with one in it, for a terminal or a log: unprintable characters are escaped.

    >>> print(shown("a\nb\x1b[31m.mp3"))
    a\nb\x1b[31m.mp3
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
