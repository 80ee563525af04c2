"""Headers of WAV (RIFF, RIFX), RF64 (EBU Tech 3306) and W64: whether they contradict themselves, or state no length."""

from __future__ import annotations

from flowmo_data.tracks.chunks import (
    LARGEST_SIZE,
    Check,
    Chunk,
    Layout,
    check_length,
    chunks,
    has_samples_from,
    repaired,
)
from flowmo_data.tracks.excerpt import Excerpt
from flowmo_data.tracks.mpeg.tags import Read

MARKERS = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff")
_RIFF, _RIFX = Layout("little"), Layout("big")
_W64 = Layout("little", id_bytes=16, size_bytes=8, size_counts_header=True, alignment=8)
_UNKNOWN_SIZE = 1 << 62
"""bytes; sizes from this one on are not meant"""
_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
"""codes of codecs in which every sample has as many bytes"""


def check_wav(read: Read, start: int, size: int) -> Check:
    """Check a header.

    Args:
        read: returns the bytes `[start, stop)` of the file.
        start: byte at which the header starts.
        size: bytes of the file.
    """
    marker = read(start, start + 4)
    layout = {b"riff": _W64, b"RIFX": _RIFX}.get(marker, _RIFF)
    found: dict[bytes, Chunk] = {}
    for chunk in chunks(read, start + layout.header_bytes + layout.id_bytes, size, layout):
        found.setdefault(chunk.name, chunk)
        if chunk.name == b"data":
            break
    if b"fmt " not in found or b"data" not in found:
        return Check()
    data = found[b"data"]
    fmt = read(found[b"fmt "].start, found[b"fmt "].start + min(found[b"fmt "].size, 40))
    contradiction = _contradiction(fmt, layout)
    if contradiction or data.start >= size:
        return Check(contradiction)
    ds64 = found.get(b"ds64") if marker in (b"RF64", b"BW64") else None
    stated = data.size
    if ds64 is not None and data.size in (0, LARGEST_SIZE):
        stated = int.from_bytes(read(ds64.start + 8, ds64.start + 16), "little")
        stated = 0 if stated >= _UNKNOWN_SIZE else stated
    if stated:
        problem, num_lost = check_length(read, data.start, stated, size, layout, _frame_bytes(fmt, layout))
        return Check("", _for_libsndfile(read, start, data.start, stated, size), problem, num_lost)
    if layout is _W64 or not has_samples_from(read, data.start, size, layout):
        return Check()  # libsndfile reads a W64 of size 0 to its end
    if ds64 is not None:
        sizes = (size - start - 8).to_bytes(8, "little") + (size - data.start).to_bytes(8, "little")
        fields = {start: b"RF64", ds64.start: sizes, data.start - 4: LARGEST_SIZE.to_bytes(4, "little")}
    else:
        fields = {
            start + 4: min(size - start - 8, LARGEST_SIZE).to_bytes(4, layout.order),
            data.start - 4: min(size - data.start, LARGEST_SIZE).to_bytes(4, layout.order),
        }
    return Check("", repaired(read, start, data.start, size, fields))


def _for_libsndfile(read: Read, start: int, data_start: int, stated: int, size: int) -> Excerpt | None:
    """Return a file without what libsndfile 1.2.2 takes amiss; None if there is nothing.

    It reads what follows the samples of a W64 as samples, too. It does not know BW64 (ITU-R BS.2088), which is RF64
    with another name.
    """
    marker = read(start, start + 4)
    if marker == b"riff" and data_start + stated < size:
        return Excerpt(b"", start, data_start + stated)
    return Excerpt(b"RF64", start + 4, size) if marker == b"BW64" else None


def _frame_bytes(fmt: bytes, layout: Layout) -> int:
    """Return the bytes of a sample of all channels; 0 if they differ."""
    channels, align = (int.from_bytes(fmt[at : at + 2], layout.order) for at in (2, 12))
    return align or channels * _sample_bytes(fmt, layout) if _sample_bytes(fmt, layout) else 0


def _sample_bytes(fmt: bytes, layout: Layout) -> int:
    """Return the bytes of a sample of one channel; 0 if they differ."""
    if len(fmt) < 16:
        return 0
    codec, bits = (int.from_bytes(fmt[at : at + 2], layout.order) for at in (0, 14))
    if codec == _EXTENSIBLE and len(fmt) >= 26:
        codec = int.from_bytes(fmt[24:26], layout.order)
    if codec in (_ALAW, _MULAW):
        return 1
    return -(-bits // 8) if codec in (_PCM, _FLOAT) else 0


def _contradiction(fmt: bytes, layout: Layout) -> str:
    """Return how the fields of a `fmt ` chunk contradict each other.

    The bytes of a second are not held against the others: nothing depends on them, and some programs get them wrong.
    """
    sample_bytes = _sample_bytes(fmt, layout)
    channels, align, bits = (int.from_bytes(fmt[at : at + 2], layout.order) for at in (2, 12, 14))
    if not sample_bytes or not align or align == channels * sample_bytes:
        return ""
    return f"{channels} channels of {bits} bits are {channels * sample_bytes} bytes, but its block align is {align}"
