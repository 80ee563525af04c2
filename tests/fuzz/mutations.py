"""Damage to files, drawn from a seed: the same seed gives the same damage to the same file.

A mutated file is a list of pieces, each from one of two files or made up, so that what should have survived is known:

    file 0        [0 ................... 900)
    bytes 300 to 400 overwritten:   (file 0, 0 to 300) (made up, 100 bytes) (file 0, 400 to 900)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import Literal, NamedTuple

MADE_UP = -1

Pieces = list["Piece"]


class Piece(NamedTuple):
    """Bytes of a mutated file that come from one place."""

    data: bytes
    file: int = MADE_UP
    """0 for the file that was mutated, 1 for the other, `MADE_UP` for neither"""
    start: int = 0
    """byte of that file at which they stand"""


class Mutation(NamedTuple):
    """A mutated file."""

    pieces: Sequence[Piece]
    kind: str
    """one of `KINDS`"""
    what: str
    """what was done, in words"""

    @property
    def data(self) -> bytes:
        """The mutated file's bytes."""
        return b"".join(piece.data for piece in self.pieces)


class Draw:
    """What is random in a mutation, and the file's packets for it to aim at."""

    def __init__(self, seed: int, places: Sequence[int]) -> None:
        self.random = Random(seed)
        self.places = places

    def length(self, most: int) -> int:
        """1 to `most`; each order of magnitude is as likely as another."""
        return min(int(math.exp(self.random.uniform(0, math.log(most + 1)))), most) if most > 1 else 1

    def place(self, size: int) -> int:
        """A byte of the file; the first of a packet in every other draw."""
        if self.places and self.random.random() < 0.5:
            return min(self.random.choice(self.places), size)
        return self.random.randint(0, size)

    def stretch(self, size: int) -> tuple[int, int]:
        """A half-open range of bytes of the file; none in an empty file."""
        start = self.place(size)
        return start, min(start + self.length(max(size // 3, 1)), size)

    def filling(self, size: int) -> tuple[bytes, str]:
        """So many bytes that are no audio."""
        name = self.random.choice(("noise", "zeros", "0xFF", "fake headers"))
        if name == "noise":
            return self.random.randbytes(size), name
        if name == "fake headers":
            return (self.header() * (size // 4 + 1))[:size], name
        return (b"\x00" if name == "zeros" else b"\xff") * size, name

    def header(self) -> bytes:
        """Four bytes that may be a header."""
        return bytes((0xFF, 0xE0 | self.random.randrange(32), self.random.randrange(256), self.random.randrange(256)))


def mutate(
    data: bytes, seed: int, *, places: Sequence[int] = (), other: bytes = b"", kinds: Sequence[str] = ()
) -> Mutation:
    """Damage a file.

    Args:
        data: the file.
        seed: what the kind of damage, its places and its extent are drawn from.
        places: byte at which each of the file's packets starts, to be aimed at.
        other: a second file, for splices.
        kinds: kinds of damage, of which one is drawn; `KINDS` if there are none.
    """
    draw = Draw(seed, places)
    kind = draw.random.choice(list(kinds or KINDS))
    pieces, what = {**KINDS, **OTHER_KINDS}[kind](draw, [Piece(data, 0)], [Piece(other, 1)])
    return Mutation(_joined(pieces), kind, what)


def _size(pieces: Pieces) -> int:
    return sum(len(piece.data) for piece in pieces)


def _part(pieces: Pieces, start: int, stop: int) -> Pieces:
    """The bytes `[start, stop)` of a mutated file, as pieces."""
    part, pos = [], 0
    for data, file, first in pieces:
        begin, end = max(start - pos, 0), min(stop - pos, len(data))
        if begin < end:
            part.append(Piece(data[begin:end], file, first + begin))
        pos += len(data)
    return part


def _with(pieces: Pieces, start: int, stop: int, new: bytes) -> Pieces:
    """The pieces with other bytes in place of `[start, stop)`."""
    return [*_part(pieces, 0, start), Piece(new), *_part(pieces, stop, _size(pieces))]


def _joined(pieces: Pieces) -> Pieces:
    """The pieces without empty ones, and with those put together that follow each other in their file."""
    joined: Pieces = []
    for piece in pieces:
        if joined and piece.file == joined[-1].file:
            data, file, start = joined[-1]
            if file == MADE_UP or start + len(data) == piece.start:
                joined[-1] = Piece(data + piece.data, file, start)
                continue
        if piece.data:
            joined.append(piece)
    return joined


def _flip_bits(draw: Draw, pieces: Pieces, other: Pieces) -> tuple[Pieces, str]:
    count, size = draw.length(200), _size(pieces)
    for _ in range(count):
        at = draw.random.randrange(size)
        (byte,) = _part(pieces, at, at + 1)
        pieces = _with(pieces, at, at + 1, bytes((byte.data[0] ^ 1 << draw.random.randrange(8),)))
    return pieces, f"{count} bits flipped"


def _break_headers(draw: Draw, pieces: Pieces, other: Pieces) -> tuple[Pieces, str]:
    chosen = [place for place in draw.places if draw.random.random() < 0.3]
    for place in chosen:
        at = place + draw.random.randrange(4)
        pieces = _with(pieces, at, at + 1, draw.random.randbytes(1))
    return pieces, f"a byte of {len(chosen)} headers overwritten"


def _break_side_information(draw: Draw, pieces: Pieces, other: Pieces) -> tuple[Pieces, str]:
    share = draw.random.choice((0.1, 0.5, 1))
    chosen = [place for place in draw.places if draw.random.random() < share]
    for place in chosen:
        stop = min(place + 4 + draw.length(40), _size(pieces))
        pieces = _with(pieces, place + 4, stop, draw.random.randbytes(max(stop - place - 4, 0)))
    return pieces, f"the bytes behind {len(chosen)} headers overwritten with noise"


def _overwrite(draw: Draw, pieces: Pieces, other: Pieces) -> tuple[Pieces, str]:
    start, stop = draw.stretch(_size(pieces))
    filling, name = draw.filling(stop - start)
    return _with(pieces, start, stop, filling), f"bytes {start} to {stop} overwritten with {name}"


def _cut(draw: Draw, pieces: Pieces, other: Pieces) -> tuple[Pieces, str]:
    size = _size(pieces)
    where = draw.random.choice(("head", "middle", "tail"))
    start, stop = draw.stretch(size)
    if where == "head":
        start = 0
    elif where == "tail":
        stop = size
    return _with(pieces, start, stop, b""), f"bytes {start} to {stop} cut out"


def _cut_last_packet(draw: Draw, pieces: Pieces, other: Pieces) -> tuple[Pieces, str]:
    size = _size(pieces)
    last = draw.places[-1] if draw.places else size // 2
    stop = draw.random.randint(min(last, size), size)
    return _part(pieces, 0, stop), f"cut off at byte {stop}"


def _splice(draw: Draw, pieces: Pieces, other: Pieces) -> tuple[Pieces, str]:
    stop, start = draw.place(_size(pieces)), draw.random.randint(0, _size(other))
    spliced = [*_part(pieces, 0, stop), *_part(other, start, _size(other))]
    if draw.random.random() < 0.3:
        spliced += _part(pieces, stop, _size(pieces))
    return spliced, f"bytes from {start} on of another file at byte {stop}"


def _duplicate(draw: Draw, pieces: Pieces, other: Pieces) -> tuple[Pieces, str]:
    size = _size(pieces)
    start, stop = draw.stretch(size)
    at, times = draw.random.choice((stop, draw.place(size))), draw.length(5)
    block = _part(pieces, start, stop)
    return [*_part(pieces, 0, at), *block * times, *_part(pieces, at, size)], (
        f"bytes {start} to {stop} inserted {times} times at {at}"
    )


def _reorder(draw: Draw, pieces: Pieces, other: Pieces) -> tuple[Pieces, str]:
    size = _size(pieces)
    cuts = sorted({0, size, *(draw.place(size) for _ in range(draw.length(8) + 1))})
    blocks = [_part(pieces, start, stop) for start, stop in pairwise(cuts)]
    draw.random.shuffle(blocks)
    return [piece for block in blocks for piece in block], f"{len(blocks)} blocks reordered"


def _insert(draw: Draw, pieces: Pieces, other: Pieces) -> tuple[Pieces, str]:
    at = draw.place(_size(pieces))
    filling, name = draw.filling(draw.length(20_000))
    return _with(pieces, at, at, filling), f"{len(filling)} bytes of {name} inserted at {at}"


def _insert_tag(draw: Draw, pieces: Pieces, other: Pieces) -> tuple[Pieces, str]:
    size = _size(pieces)
    at = draw.random.choice((0, size, draw.place(size)))
    name, tag = draw.random.choice(list(tags(draw.random.randbytes(draw.length(3_000))).items()))
    return _with(pieces, at, at, tag), f"{len(tag)} bytes of {name} inserted at {at}"


def _insert_untrue_tag(draw: Draw, pieces: Pieces, other: Pieces) -> tuple[Pieces, str]:
    size = _size(pieces)
    at, stated = draw.random.choice((0, size, draw.place(size))), draw.length(1 << 27)
    name, tag = draw.random.choice(list(tags(draw.random.randbytes(draw.length(300)), stated=stated).items()))
    return _with(pieces, at, at, tag), f"{name} that states {stated} bytes, and has {len(tag)}, inserted at {at}"


def _insert_info(draw: Draw, pieces: Pieces, other: Pieces) -> tuple[Pieces, str]:
    size = _size(pieces)
    at = draw.random.choice((0, *draw.places[:1], draw.place(size)))
    packet = info_packet(draw, b"".join(piece.data for piece in _part(pieces, *_some_header(draw, size))))
    return _with(pieces, at, at, packet), f"{len(packet)} bytes of {packet[36:40]!r} packet inserted at {at}"


def _some_header(draw: Draw, size: int) -> tuple[int, int]:
    start = draw.random.choice(draw.places) if draw.places else 0
    return start, min(start + 4, size)


def _several(draw: Draw, pieces: Pieces, other: Pieces) -> tuple[Pieces, str]:
    kinds = [kind for kind in KINDS if kind != "several of these"]
    told = []
    for kind in draw.random.choices(kinds, k=draw.random.randint(2, 4)):
        if not _size(pieces):
            break
        pieces, what = KINDS[kind](draw, pieces, other)
        told.append(what)
        draw.places = [place for place in draw.places if place < _size(pieces)]  # no longer those of packets
    return pieces, "; ".join(told)


KINDS: dict[str, Callable[[Draw, Pieces, Pieces], tuple[Pieces, str]]] = {
    "bits flipped": _flip_bits,
    "headers broken": _break_headers,
    "side information broken": _break_side_information,
    "bytes overwritten": _overwrite,
    "bytes cut out": _cut,
    "last packet cut": _cut_last_packet,
    "files spliced": _splice,
    "blocks duplicated": _duplicate,
    "blocks reordered": _reorder,
    "noise inserted": _insert,
    "tag inserted": _insert_tag,
    "untrue tag inserted": _insert_untrue_tag,
    "Info packet inserted": _insert_info,
    "several of these": _several,
}


def _break_fields(draw: Draw, pieces: Pieces, other: Pieces) -> tuple[Pieces, str]:
    """Numbers near places that are no longer true; in formats other than MPEG audio, headers consist of such."""
    told = []
    for _ in range(draw.random.choice((1, 1, 1, 2, 4))):
        width = draw.random.choice((1, 2, 4, 8))
        at = max(min(draw.random.choice(draw.places) + draw.random.randrange(48), _size(pieces) - width), 0)
        old = b"".join(piece.data for piece in _part(pieces, at, at + width))
        order: Literal["big", "little"] = draw.random.choice(("big", "little"))
        number = int.from_bytes(old, order) + draw.random.choice((-1, 1)) * draw.length(1 << 8 * width - 1)
        near = (number % (1 << 8 * len(old))).to_bytes(len(old), order)
        new = draw.random.choice((bytes(len(old)), b"\xff" * len(old), draw.random.randbytes(len(old)), near, near))
        pieces = _with(pieces, at, at + len(old), new)
        told.append(f"bytes {at} to {at + len(old)} are {new.hex()} and not {old.hex()}")
    return pieces, "; ".join(told)


OTHER_KINDS: dict[str, Callable[[Draw, Pieces, Pieces], tuple[Pieces, str]]] = {"headers untrue": _break_fields}
"""for files that are no MPEG audio"""
FORMAT_KINDS = (
    *(kind for kind in KINDS if kind not in ("side information broken", "Info packet inserted", "several of these")),
    *OTHER_KINDS,
)


def tags(content: bytes, *, stated: int | None = None) -> dict[str, bytes]:
    """Tags of every kind around some bytes.

    Args:
        content: what is in them.
        stated: the number of bytes that they claim to have; that of `content` where it is None.
    """
    size = len(content) if stated is None else stated
    syncsafe = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    ape = b"APETAGEX" + (2_000).to_bytes(4, "little") + (size + 32).to_bytes(4, "little") + bytes(4)
    lyrics = b"LYRICSBEGIN" + content
    return {
        "ID3v2": b"ID3\x04\x00\x00" + syncsafe + content,
        "ID3v1": b"TAG" + content[:125].ljust(125, b"\x00"),
        "APEv2": ape + b"\x00\x00\x00\xa0" + bytes(8) + content + ape + b"\x00\x00\x00\x80" + bytes(8),
        "APEv2 without a header": content + ape + bytes(12),
        "Lyrics3": lyrics + b"%06d" % ((len(lyrics) if stated is None else stated) % 1_000_000) + b"LYRICS200",
    }


def info_packet(draw: Draw, header: bytes) -> bytes:
    """A packet behind this header that claims to tell of the others, and lies."""
    numbers = [draw.random.choice((0, 1, draw.length(1 << 32) - 1)).to_bytes(4, "big") for _ in range(2)]
    flags = draw.random.randrange(16).to_bytes(4, "big")
    tag = draw.random.choice((b"Xing", b"Info")) + flags + b"".join(numbers) + draw.random.randbytes(140)
    side_info = draw.random.choice((9, 17, 32))
    if draw.random.random() < 0.2:
        side_info, tag = 32, b"VBRI" + draw.random.randbytes(160)
    return (header + bytes(side_info) + tag).ljust(draw.random.choice((104, 209, 417, 418, 1_044)), b"\x00")
