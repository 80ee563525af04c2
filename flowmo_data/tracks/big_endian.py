"""Headers of AIFF, AU and CAF, mostly big-endian: contradictions in them, and lengths that they lack."""

from __future__ import annotations

from flowmo_data.tracks.chunks import (
    LARGEST_SIZE,
    PLACEHOLDER,
    ByteOrder,
    Check,
    Chunk,
    Layout,
    check_length,
    chunks,
    has_samples_from,
    repaired,
)
from flowmo_data.tracks.mpeg.tags import Read

AU_MARKERS = (b".snd", b"dns.")
"""first bytes of AU files, of big-endian and little-endian ones"""
_AIFF, _CAF = Layout("big"), Layout("big", size_bytes=8, alignment=1)
_UNCOMPRESSED = (b"NONE", b"twos", b"sowt")
_SAMPLE_BYTES = {b"ulaw": 1, b"alaw": 1, b"fl32": 4, b"fl64": 8, b"in24": 3, b"in32": 4}
"""bytes of a sample by the codec of an AIFF-C file, in lower case; those of `COMM` otherwise"""
_AU_SAMPLE_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
"""bytes of a sample by the encoding of an AU file"""
_CAF_CODECS = (b"lpcm", b"ulaw", b"alaw")
_MOST_FRAME_BYTES = 256
_AU_HEADER_BYTES = 24
_UNKNOWN_CAF = (1 << 64) - 1
"""size of a chunk up to the end of the file (Core Audio Format Specification, "Chunk Header")"""


def check_aiff(read: Read, start: int, size: int) -> Check:
    """Check the header of an AIFF or AIFF-C file; see `wav.check_wav`."""
    found: dict[bytes, Chunk] = {}
    for chunk in chunks(read, start + 12, size, _AIFF):
        found.setdefault(chunk.name, chunk)
        if len(found.keys() & {b"COMM", b"SSND"}) == 2:
            break
    if b"COMM" not in found or b"SSND" not in found:
        return Check()
    comm, sound = read(found[b"COMM"].start, found[b"COMM"].start + 22), found[b"SSND"]
    codec = comm[18:22] if read(start + 8, start + 12) == b"AIFC" else b"NONE"
    num_frames = int.from_bytes(comm[2:6], "big")
    data_start = sound.start + 8 + int.from_bytes(read(sound.start, sound.start + 4), "big")
    stated = sound.start + sound.size - data_start
    sample_bytes = _SAMPLE_BYTES.get(codec.lower(), -(-int.from_bytes(comm[6:8], "big") // 8))
    if codec not in _UNCOMPRESSED and codec.lower() not in _SAMPLE_BYTES:
        return Check()
    if stated > 0 and num_frames:
        contradiction = _aiff_contradiction(comm, num_frames, stated) if codec in _UNCOMPRESSED else ""
        frame_bytes = int.from_bytes(comm[:2], "big") * sample_bytes
        return Check(contradiction, None, *check_length(read, data_start, stated, size, _AIFF, frame_bytes))
    if codec not in _UNCOMPRESSED or stated > 0 or num_frames or not has_samples_from(read, data_start, size, _AIFF):
        return Check()
    fields = {
        start + 4: min(size - start - 8, LARGEST_SIZE).to_bytes(4, "big"),
        sound.start - 4: min(size - sound.start, LARGEST_SIZE).to_bytes(4, "big"),
    }
    return Check("", repaired(read, start, data_start, size, fields))


def _aiff_contradiction(comm: bytes, num_frames: int, stated: int) -> str:
    """Return how a `COMM` chunk contradicts the bytes that the `SSND` chunk states for samples."""
    channels, bits = int.from_bytes(comm[:2], "big"), int.from_bytes(comm[6:8], "big")
    frame_bytes = channels * -(-bits // 8)
    is_known = max(stated, num_frames) < PLACEHOLDER
    if (
        stated // num_frames > _MOST_FRAME_BYTES
        or not is_known
        or stated % num_frames
        or stated // num_frames == frame_bytes
    ):
        return ""
    return (
        f"{channels} channels of {bits} bits are {frame_bytes} bytes, but for each sample of all channels it states "
        f"{stated // num_frames}"
    )


def check_au(read: Read, start: int, size: int) -> Check:
    """Check the header of an AU file, of either byte order; see `wav.check_wav`."""
    head = read(start, start + _AU_HEADER_BYTES)
    order: ByteOrder = "little" if head.startswith(b"dns.") else "big"
    data_start, stated, encoding, _, channels = (int.from_bytes(head[at : at + 4], order) for at in range(4, 24, 4))
    if data_start < _AU_HEADER_BYTES:
        return Check(f"its samples start at byte {data_start}, inside of its header of {_AU_HEADER_BYTES} bytes")
    there = size - start - data_start
    if PLACEHOLDER <= stated < LARGEST_SIZE and stated > there:  # libsndfile knows the largest size only
        stated = 0
    if stated:
        frame_bytes = _AU_SAMPLE_BYTES.get(encoding, 0) * channels
        return Check("", None, *check_length(read, start + data_start, stated, size, None, frame_bytes))
    if there <= 0:
        return Check()
    fields = {start + 8: LARGEST_SIZE.to_bytes(4, order)}
    return Check("", repaired(read, start, start + data_start, size, fields))


def check_caf(read: Read, start: int, size: int) -> Check:
    """Check the header of a CAF file; see `wav.check_wav`. libsndfile refuses contradictions in it."""
    frame_bytes = 0
    for chunk in chunks(read, start + 8, size, _CAF):
        if chunk.name == b"desc":
            desc = read(chunk.start, chunk.start + 20)
            frame_bytes = int.from_bytes(desc[16:20], "big") if desc[8:12] in _CAF_CODECS else 0
        if chunk.name == b"data":
            samples_start = chunk.start + 4  # after the edit count
            is_stated = chunk.size not in (0, _UNKNOWN_CAF)
            problem, num_lost = "", 0
            if is_stated:
                problem, num_lost = check_length(read, samples_start, chunk.size - 4, size, _CAF, frame_bytes)
            if samples_start >= size or (is_stated and chunk.stop <= size):
                return Check("", None, problem, num_lost)
            fields = {chunk.start - 8: (size - chunk.start).to_bytes(8, "big")}  # libsndfile refuses more than there is
            return Check("", repaired(read, start, samples_start, size, fields), problem, num_lost)
    return Check()
