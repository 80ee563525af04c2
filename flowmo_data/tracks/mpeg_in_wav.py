"""MPEG audio inside a WAV file: the bytes of its packets. Its packets are walked like those of an MP3 file.

    RIFF size WAVE | fmt: format tag 0x50 or 0x55 | fact | LIST | data: packets | pad byte | LIST

See Microsoft, "Multimedia Registration Kit", revision 3.0, under WAVE_FORMAT_MPEG and WAVE_FORMAT_MPEGLAYER3.
"""

from __future__ import annotations

from flowmo_data.tracks.mpeg import Read

_MPEG_TAGS = (0x50, 0x55)
_CHUNK_HEADER_BYTES = 8
_MOST_CHUNKS = 1_000
"""a file with more chunks before its data is hostile"""


def packets_end(read: Read, size: int) -> int | None:
    """Return the byte at which the packets in a WAV file end; None if it is no WAV file of MPEG audio.

    Args:
        read: returns the bytes `[start, stop)` of the file.
        size: bytes of the file.
    """
    head = read(0, 12)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    pos, is_mpeg = 12, False
    for _ in range(_MOST_CHUNKS):
        chunk = read(pos, pos + _CHUNK_HEADER_BYTES + 2)
        if len(chunk) < _CHUNK_HEADER_BYTES:
            return None
        num_bytes, content = int.from_bytes(chunk[4:8], "little"), pos + _CHUNK_HEADER_BYTES
        if chunk[:4] == b"fmt ":
            is_mpeg = int.from_bytes(chunk[8:10], "little") in _MPEG_TAGS
        elif chunk[:4] == b"data":
            if not is_mpeg:
                return None
            stop = content + num_bytes
            return stop if num_bytes and stop < size else size  # streamed files state 0, or a number past their end
        pos = content + num_bytes + num_bytes % 2
    return None
