"""The state of an object, from what its store says about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import Any

from flowmo_data.errors import AudioFileError
from flowmo_data.sources.source import Stamp

_IDENTITIES = (
    "ETag", "etag", "md5Hash", "md5", "content_md5", "Content-MD5", "Digest", "sha256", "checksum", "blob_id", "oid",
    "sha", "generation", "CRC",
)  # fmt: skip
"""keys under which file systems give a hash of an object's bytes, or a number of its version"""
_TIMES = ("LastModified", "last_modified", "Last-Modified", "mtime", "updated", "modified", "created", "date_time")
"""keys of the time of its last change"""


def stamp_of(url: str, info: Mapping[str, Any]) -> Stamp:
    """Return the state of an object.

    Args:
        url: its URL.
        info: the entry for it, as the file systems of fsspec give them.

    Raises:
        AudioFileError: it is a folder, or its size is not known.
    """
    if info.get("type") == "directory":
        raise AudioFileError.of(url, "it is a folder, not a file with audio")
    size = info.get("size")
    if size is None:
        raise AudioFileError.of(url, "its store does not give its size; copy it to a local disk")
    time = next((info[key] for key in _TIMES if info.get(key)), None)
    identity = next((str(info[key]) for key in _IDENTITIES if info.get(key)), str(time))
    return Stamp(int(size), nanoseconds(time), digest_of(identity))


def nanoseconds(time: Any) -> int:
    """Return a time that a store gives, in nanoseconds since 1970; 0 if it is in another form than those of HTTP."""
    if isinstance(time, str):
        try:
            time = parsedate_to_datetime(time)
        except ValueError:
            return 0
    return int(time.timestamp()) * 1_000_000_000 if isinstance(time, datetime) else 0


def digest_of(identity: str) -> int:
    """Return a hash of an object's etag, or of its time: 64 bits, signed, for a column of an index."""
    return int.from_bytes(blake2b(identity.encode(), digest_size=8).digest(), "big", signed=True)
