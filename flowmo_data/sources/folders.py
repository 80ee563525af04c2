"""The audio files under a folder, and what is left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping

from flowmo_data.errors import FilesError, counted, shown
from flowmo_data.runtime.extras import is_installed
from flowmo_data.runtime.resources import SHORT_OF, out_of
from flowmo_data.sources.member_paths import TAR_SUFFIX, name_of

AUDIO_SUFFIXES = (
    ".mp3", ".mp2", ".mp1", ".mpga", ".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus",
    ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf",
)  # fmt: skip
"""Suffixes of the files that are taken from a folder. A file that is named directly may have any name."""

CONTAINER_SUFFIXES = (
    ".m4a", ".m4b", ".m4r", ".mp4", ".mov", ".3gp", ".3g2", ".alac", ".aac", ".adts", ".ac3", ".eac3", ".ec3",
    ".webm", ".weba", ".mka", ".mkv", ".wma", ".asf", ".ape", ".wv", ".tta", ".amr", ".awb",
)  # fmt: skip
"""suffixes of the files that are taken from a folder if PyAV is installed"""

UNREAD_SUFFIXES = (
    ".m4p", ".dts", ".ogx", ".spx", ".tak", ".mpc", ".ofr", ".shn", ".dsf", ".dff", ".ra", ".rm", ".aa", ".aax",
)  # fmt: skip
"""suffixes of files with audio that are left out of a folder, because they cannot be read"""

_COMPRESSED = {
    ".tar.gz": "gzip", ".tgz": "gzip", ".tar.bz2": "bzip2", ".tbz2": "bzip2", ".tbz": "bzip2", ".tar.xz": "xz",
    ".txz": "xz", ".tar.zst": "zstd", ".tzst": "zstd", ".tar.lz4": "lz4",
}  # fmt: skip
"""suffixes of compressed tars"""

_NEEDS_AV = "files in this format are read by PyAV, which is not installed: pip install 'flowmo_data[av]'"
_UNREAD = "files in this format are not read; convert them, to FLAC for instance"
_DANGLING = "it is a link that leads nowhere"
_NO_FILE = "it is a pipe, a socket or a device, not a file"


def walk_folder(folder: str, left_out: dict[str, str]) -> Iterator[str]:
    """Yield the audio files and the tars under a folder. Links to folders are followed, each folder once.

    Args:
        folder: the folder.
        left_out: receives what is left out, by path, with the reason: files in formats that are not read, links that
            lead nowhere or in a circle, folders below this one that cannot be listed, and what is no file.

    Raises:
        FilesError: the folder itself cannot be listed.
        ResourceError: no folder can be listed now.
    """
    pending, seen = [folder], set()
    while pending:
        current = pending.pop()
        try:
            identity = os.stat(current)
            if (identity.st_dev, identity.st_ino) in seen:
                continue
            seen.add((identity.st_dev, identity.st_ino))
            with os.scandir(current) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    kind = _kind(entry)
                    if kind == "folder":
                        pending.append(entry.path)
                    elif kind in ("audio", "tar"):
                        yield entry.path
                    elif kind:
                        left_out[entry.path] = kind
        except OSError as error:
            if error.errno in SHORT_OF:
                raise out_of(shown(current), error) from error
            if current == folder:
                raise FilesError(
                    f"files: the folder {current} cannot be listed ({error.strerror}); make it readable, or name the "
                    "other folders instead"
                ) from error
            left_out[current] = f"the folder cannot be listed ({error.strerror})"


def _kind(entry: os.DirEntry[str]) -> str:
    """Return "folder", "audio", "tar", the reason to leave something out that may be audio, or "" for anything else."""
    name = entry.name.lower()
    is_audio = kind_of_name(name) == "audio"
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return kind_of_name(name)
        if entry.is_symlink() and not os.path.exists(entry.path):
            return _DANGLING  # to a file or, whatever its name, to a folder
    except OSError as error:
        return f"it cannot be accessed ({error.strerror})"
    return _NO_FILE if is_audio else ""


def kind_of_name(name: str) -> str:
    """Return "audio", "tar", the reason to leave a file out that may be audio, or "" for any other, by its name."""
    name = name.lower()
    if name.endswith(AUDIO_SUFFIXES):
        return "audio"
    if name.endswith(CONTAINER_SUFFIXES):
        return "audio" if is_installed("av") else _NEEDS_AV
    if name.endswith(UNREAD_SUFFIXES):
        return _UNREAD
    return "tar" if name.endswith(TAR_SUFFIX) else compression_of(name)


def is_hidden(name: str) -> bool:
    """Return whether a file, or a folder that it is in, has a name that starts with a dot."""
    return any(part.startswith(".") for part in name.split("/"))


def compression_of(name: str) -> str:
    """Return the reason why a file is not read if it is a compressed tar, by its name; "" if it is not."""
    name = name.lower()
    if not name.endswith(tuple(_COMPRESSED)):
        return ""
    return compressed(next(how for suffix, how in _COMPRESSED.items() if name.endswith(suffix)))


def compressed(how: str) -> str:
    """Return the reason why a compressed tar is not read."""
    return (
        f"it is a compressed tar ({how}), so its members cannot be read in place; unpack it (tar -xf), and use the "
        "folder, or make shards of it: flowmo-data pack FOLDER -o shards/"
    )


def summary(left_out: Mapping[str, str]) -> str:
    """Return what is left out in one line, with the numbers of files by suffix or by reason.

    >>> summary({"/a/b.tak": _UNREAD, "/a/c.TAK": _UNREAD, "/a/d": _DANGLING})
    '2 files in formats that are not read (2 .tak), 1 other (it is a link that leads nowhere: /a/d)'
    >>> summary({"/a/b.m4a": _NEEDS_AV})
    "1 file in formats that need PyAV (1 .m4a): pip install 'flowmo_data[av]'"
    """
    by_suffix = {
        _NEEDS_AV: "in formats that need PyAV ({}): pip install 'flowmo_data[av]'",
        _UNREAD: "in formats that are not read ({})",
    }
    others = {path: reason for path, reason in left_out.items() if reason not in by_suffix}
    parts = []
    for reason, words in by_suffix.items():
        suffixes = Counter(
            os.path.splitext(name_of(path))[1].lower() for path, each in left_out.items() if each == reason
        )
        numbers = ", ".join(f"{number:,} {suffix}" for suffix, number in suffixes.most_common())
        if suffixes:
            parts.append(f"{counted(suffixes.total(), 'file')} {words.format(numbers)}")
    if others:
        first: dict[str, str] = {}
        for path, reason in others.items():
            first.setdefault(reason, path)
        reasons = Counter(others.values())
        examples = "; ".join(
            f"{reason}: {shown(first[reason])}{f' and {number - 1:,} more' if number > 1 else ''}"
            for reason, number in reasons.most_common()
        )
        parts.append(f"{counted(len(others), 'other')} ({examples})")
    return ", ".join(parts)
