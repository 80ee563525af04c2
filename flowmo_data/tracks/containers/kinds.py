"""The formats that FFmpeg reads: by which first bytes a file is known, and the name of the demuxer. Pure functions.

- MP4 and QuickTime: ISO/IEC 14496-12, 4.2. Matroska and WebM: RFC 8794, 11.2.1. ASF: its specification, 3.1.
- ADTS: ISO/IEC 13818-7, 6.2. AC-3 and E-AC-3: ATSC A/52, 5.3.1 and E.2.1.
- WavPack, Monkey's Audio, TTA, AMR: their magic words.
"""

from __future__ import annotations

from flowmo_data.tracks.mpeg.tags import Read

LABELS = {
    "mov": "MP4", "matroska": "Matroska", "asf": "ASF", "aac": "ADTS", "ac3": "AC-3", "eac3": "E-AC-3",
    "wv": "WavPack", "ape": "APE", "tta": "TTA", "amr": "AMR",
    "caf": "CAF",
}  # fmt: skip
"""what a container is called, by the name of FFmpeg's demuxer"""
BARE = ("aac", "ac3", "eac3", "wv")
"""formats that are nothing but packets: reading can begin at each of them"""

_MAGIC = (
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"wvpk", "wv"),
    (b"MAC ", "ape"),
    (b"TTA1", "tta"),
    (b"#!AMR", "amr"),
)
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""boxes that an MP4 or QuickTime file begins with"""
_ADTS_HEADER_BYTES = 7
_AC3_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
"""kbit/s, by the upper bits of the size code"""
_AC3_SAMPLE_RATES = (48_000, 44_100, 32_000)
_AC3_SAMPLES = 1_536
_LAST_AC3_ID, _LAST_EAC3_ID = 10, 16
HEAD_BYTES = 16
"""bytes that are looked at"""


def demuxer_of(read: Read, start: int, size: int) -> str:
    """Return the name of the demuxer for a file, by the bytes from `start` on; an empty string if there is none.

    Args:
        read: returns the bytes `[start, stop)` of the file.
        start: byte at which the tags in front of it end.
        size: bytes of the file.
    """
    head = read(start, start + HEAD_BYTES)
    if len(head) < HEAD_BYTES:
        return ""
    if head[4:8] in _BOXES and _is_box_size(int.from_bytes(head[:4], "big")):
        return "mov"
    for magic, demuxer in _MAGIC:
        if head.startswith(magic):
            return demuxer
    if head.startswith(b"\x0b\x77"):
        return _dolby(head)
    return "aac" if _is_adts(read, start, size) else ""


def _is_box_size(size: int) -> bool:
    """Return whether a box may have this size: 1 for one of 64 bits, 0 for one up to the end of the file."""
    return size in (0, 1) or size >= 8


def _dolby(head: bytes) -> str:
    """Return the demuxer for AC-3 or E-AC-3, or an empty string if the header is neither."""
    version = head[5] >> 3
    if version <= _LAST_AC3_ID:
        return "ac3" if head[4] >> 6 < 3 and head[4] >> 1 & 31 < len(_AC3_RATES) else ""
    return "eac3" if version <= _LAST_EAC3_ID else ""


def _is_adts(read: Read, start: int, size: int) -> bool:
    """Return whether two frames of ADTS follow each other, or one is the whole file."""
    length = adts_length(read(start, start + _ADTS_HEADER_BYTES))
    if not length:
        return False
    next_start = start + length
    return next_start == size or bool(adts_length(read(next_start, next_start + _ADTS_HEADER_BYTES)))


def adts_length(head: bytes) -> int:
    """Return the bytes of the frame of ADTS with this header; 0 if it is none.

    >>> adts_length(bytes.fromhex("fff150400a7ffc"))
    83
    """
    if len(head) < _ADTS_HEADER_BYTES or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length > _ADTS_HEADER_BYTES else 0


def dolby_length(head: bytes, demuxer: str) -> int:
    """Return the bytes of the frame of AC-3 or E-AC-3 with this header; 0 for other formats.

    FFmpeg decodes such a frame even if it is cut off.

    >>> dolby_length(bytes.fromhex("0b772f0b144043e1"), "ac3"), dolby_length(bytes.fromhex("0b7700bf3487c000"), "eac3")
    (768, 384)
    """
    if demuxer not in ("ac3", "eac3") or len(head) < HEAD_BYTES // 2:
        return 0
    if demuxer == "eac3" or head[5] >> 3 > _LAST_AC3_ID:
        return 2 * (((head[2] & 7) << 8 | head[3]) + 1)
    code, rate = head[4] & 63, head[4] >> 6
    if rate >= len(_AC3_SAMPLE_RATES) or code >> 1 >= len(_AC3_RATES):
        return 0
    words = _AC3_RATES[code >> 1] * 1_000 * _AC3_SAMPLES // 16 // _AC3_SAMPLE_RATES[rate]
    return 2 * (words + (code & 1 if rate == 1 else 0))
