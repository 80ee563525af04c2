"""Headers of WAV (RIFF, RIFX), RF64 (EBU Tech 3306) and W64: whether they contradict themselves, or state no length."""

from __future__ import annotations

from flowmo_data.tracks.chunks import LARGEST_SIZE, Check, Chunk, Layout, chunks, has_samples_from, repaired
from flowmo_data.tracks.mpeg.tags import Read

MARKERS = (b"RIFF", b"RIFX", b"RF64", b"riff")
_RIFF, _RIFX = Layout("little"), Layout("big")
_W64 = Layout("little", id_bytes=16, size_bytes=8, size_counts_header=True, alignment=8)
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
    fmt, data = found[b"fmt "], found[b"data"]
    contradiction = _contradiction(read(fmt.start, fmt.start + min(fmt.size, 40)), layout)
    if contradiction or layout is _W64 or data.start >= size:  # libsndfile reads a W64 of size 0 to its end
        return Check(contradiction)
    ds64 = found.get(b"ds64") if marker == b"RF64" else None
    if ds64 is not None:
        is_unstated = data.size in (0, LARGEST_SIZE) and not int.from_bytes(
            read(ds64.start + 8, ds64.start + 16), "little"
        )
    else:
        is_unstated = not data.size
    if not is_unstated or not has_samples_from(read, data.start, size, layout):
        return Check()
    if ds64 is not None:
        sizes = (size - start - 8).to_bytes(8, "little") + (size - data.start).to_bytes(8, "little")
        fields = {ds64.start: sizes, data.start - 4: LARGEST_SIZE.to_bytes(4, "little")}
    else:
        fields = {
            start + 4: min(size - start - 8, LARGEST_SIZE).to_bytes(4, layout.order),
            data.start - 4: min(size - data.start, LARGEST_SIZE).to_bytes(4, layout.order),
        }
    return Check("", repaired(read, start, data.start, size, fields))


def _contradiction(fmt: bytes, layout: Layout) -> str:
    """Return how the fields of a `fmt ` chunk contradict each other.

    The bytes of a second are not held against the others: nothing depends on them, and some programs get them wrong.
    """
    if len(fmt) < 16:
        return ""
    codec, channels, align, bits = (int.from_bytes(fmt[at : at + 2], layout.order) for at in (0, 2, 12, 14))
    if codec == _EXTENSIBLE and len(fmt) >= 26:
        codec = int.from_bytes(fmt[24:26], layout.order)
    if codec in (_ALAW, _MULAW):
        sample_bytes = 1
    elif codec in (_PCM, _FLOAT):
        sample_bytes = -(-bits // 8)
    else:
        return ""
    if not align or align == channels * sample_bytes:
        return ""
    return f"{channels} channels of {bits} bits are {channels * sample_bytes} bytes, but its block align is {align}"
