"""The exceptions of the package, all rooted in `FlowmoDataError`.

Every message names the value or the file, says what was found there, and what to do about it.
"""

from __future__ import annotations


class FlowmoDataError(Exception):
    """Whatever this package raises on purpose."""


class OptionError(FlowmoDataError, ValueError):
    """An option has a value that it cannot have."""


class FilesError(FlowmoDataError, ValueError):
    """`files` names nothing that can be streamed."""


class FilesTypeError(FilesError, TypeError):
    """`files` is neither a path nor a sequence of paths."""


class FilesNotFoundError(FilesError, FileNotFoundError):
    """A path in `files` does not exist, or no audio file is found under it."""


class IndexVersionError(FilesError):
    """An index was made by another version of this package, which writes it in another way."""


class MissingPackageError(FlowmoDataError, ImportError):
    """A package that is installed separately is needed, and is not there or does not import."""


class StateError(FlowmoDataError, ValueError):
    """A state belongs to other files, options or shards than the dataset it is loaded into."""


class ResourceError(FlowmoDataError, OSError):
    """The process has run out of something: file descriptors, memory. No file is to blame, so that none is skipped."""


class AudioFileError(FlowmoDataError):
    """One file cannot be read. The message is `path: reason`.

    The one argument is the message, so that the exception comes out of a DataLoader's worker as itself.
    """

    path = ""
    """the file; unknown in the main process where a worker raised"""
    reason = ""
    """what is wrong with it"""

    @classmethod
    def of(cls, path: str, reason: str) -> AudioFileError:
        """The error for the file at `path`, because of `reason`."""
        error = cls(f"{shown(path)}: {shown(reason)}")
        error.path, error.reason = path, reason
        return error


class SampleRateError(AudioFileError):
    """A file is at another sample rate, and that is not wanted."""


class NoReadableFileError(AudioFileError):
    """A whole epoch went by in which no file could be read."""


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "worker"), counted(2_000, "file")
    ('1 worker', '2,000 files')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def shown(text: str) -> str:
    r"""A path, or words with one in them, for a terminal or a log: what is not printable is escaped.

    >>> print(shown("a\nb\x1b[31m.mp3"))
    a\nb\x1b[31m.mp3
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
