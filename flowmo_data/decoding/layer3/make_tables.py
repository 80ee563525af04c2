"""Write tables.h: the numbers of ISO/IEC 11172-3 and 13818-3 as the decoder reads them.

    python flowmo_data/decoding/layer3/make_tables.py

What can be computed is computed here, in double precision, and rounded to float once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent

SYNTHESIS_WINDOW = """
0 -1 -1 -1 -1 -1 -1 -2 -2 -2 -2 -3 -3 -4 -4 -5 -5 -6 -7 -7 -8 -9 -10 -11 -13 -14 -16 -17 -19 -21 -24 -26 -29 -31 -35
-38 -41 -45 -49 -53 -58 -63 -68 -73 -79 -85 -91 -97 -104 -111 -117 -125 -132 -139 -147 -154 -161 -169 -176 -183 -190
-196 -202 -208 213 218 222 225 227 228 228 227 224 221 215 208 200 189 177 163 146 127 106 83 57 29 -2 -36 -72 -111
-153 -197 -244 -294 -347 -401 -459 -519 -581 -645 -711 -779 -848 -919 -991 -1064 -1137 -1210 -1283 -1356 -1428 -1498
-1567 -1634 -1698 -1759 -1817 -1870 -1919 -1962 -2001 -2032 -2057 -2075 -2085 -2087 -2080 -2063 2037 2000 1952 1893
1822 1739 1644 1535 1414 1280 1131 970 794 605 402 185 -45 -288 -545 -814 -1095 -1388 -1692 -2006 -2330 -2663 -3004
-3351 -3705 -4063 -4425 -4788 -5153 -5517 -5879 -6237 -6589 -6935 -7271 -7597 -7910 -8209 -8491 -8755 -8998 -9219
-9416 -9585 -9727 -9838 -9916 -9959 -9966 -9935 -9863 -9750 -9592 -9389 -9139 -8840 -8492 -8092 -7640 -7134 6574 5959
5288 4561 3776 2935 2037 1082 70 -998 -2122 -3300 -4533 -5818 -7154 -8540 -9975 -11455 -12980 -14548 -16155 -17799
-19478 -21189 -22929 -24694 -26482 -28289 -30112 -31947 -33791 -35640 -37489 -39336 -41176 -43006 -44821 -46617 -48390
-50137 -51853 -53534 -55178 -56778 -58333 -59838 -61289 -62684 -64019 -65290 -66494 -67629 -68692 -69679 -70590 -71420
-72169 -72835 -73415 -73908 -74313 -74630 -74856 -74992 75038"""
"""D[0] to D[256] of table B.3, in units of 2^-16; the rest mirrors them"""

BAND_WIDTHS = {  # Hz -> widths of the scale factor bands of long, and of short blocks: table B.8; 13818-3 table B.2
    44_100: ("4 4 4 4 4 4 6 6 8 8 10 12 16 20 24 28 34 42 50 54 76 158", "4 4 4 4 6 8 10 12 14 18 22 30 56"),
    48_000: ("4 4 4 4 4 4 6 6 6 8 10 12 16 18 22 28 34 40 46 54 54 192", "4 4 4 4 6 6 10 12 14 16 20 26 66"),
    32_000: ("4 4 4 4 4 4 6 6 8 10 12 16 20 24 30 38 46 56 68 84 102 26", "4 4 4 4 6 8 12 16 20 26 34 42 12"),
    22_050: ("6 6 6 6 6 6 8 10 12 14 16 20 24 28 32 38 46 52 60 68 58 54", "4 4 4 6 6 8 10 14 18 26 32 42 18"),
    24_000: ("6 6 6 6 6 6 8 10 12 14 16 18 22 26 32 38 46 54 62 70 76 36", "4 4 4 6 8 10 12 14 18 24 32 44 12"),
    16_000: ("6 6 6 6 6 6 8 10 12 14 16 20 24 28 32 38 46 52 60 68 58 54", "4 4 4 6 8 10 12 14 18 24 30 40 18"),
    11_025: ("6 6 6 6 6 6 8 10 12 14 16 20 24 28 32 38 46 52 60 68 58 54", "4 4 4 6 8 10 12 14 18 24 30 40 18"),
    8_000: ("12 12 12 12 12 12 16 20 24 28 32 40 48 56 64 76 90 2 2 2 2 2", "8 8 8 12 16 20 24 28 36 2 2 2 26"),
}  # MPEG-2.5 is in no standard: its 11,025 and 12,000 Hz have the bands of 16,000 Hz; 8,000 Hz has its own
SMALLEST_LSF = 3
"""from this entry on, sampling rates are low (13818-3), and mixed blocks have 6 long bands, not 8"""

LINBITS = (*[0] * 16, 1, 2, 3, 4, 6, 8, 10, 13, 4, 5, 6, 7, 8, 9, 11, 13)
"""by table_select: table B.7"""

ALIAS = (-0.6, -0.535, -0.33, -0.185, -0.095, -0.041, -0.0142, -0.0037)
"""c_i of table B.9"""

Book = tuple[str, list[list[str]]]


def read_books() -> tuple[dict[int, list[list[str]]], list[list[str]]]:
    """Read huffman_codes.txt; return rows of pairs by table number, and both tables of quadruples."""
    pairs: dict[int, list[list[str]]] = {}
    quadruples: list[list[str]] = []
    rows: list[list[str]] = []
    for line in (HERE / "huffman_codes.txt").read_text().splitlines():
        words = line.split()
        if words[0] == "pairs":
            rows = pairs[int(words[1])] = []
        elif words[0] == "quadruples":
            rows = quadruples
        elif words[0] != "#":
            rows.append(words)
    for codes in [*pairs.values(), quadruples[:1], quadruples[1:]]:
        assert sum(2.0 ** -len(code) for row in codes for code in row) == 1, "a prefix code that is complete"
    return pairs, quadruples


def array(kind: str, name: str, values: Sequence[object], shape: Sequence[int], comment: str) -> str:
    """Return a C array of constants, filled to 120 columns."""
    assert math.prod(shape) == len(values)
    dims, text = "".join(f"[{size}]" for size in shape), [f"/* {comment} */"]
    text.append(f"static const {kind} {name}{dims} = {{")
    line = "   "
    for value, opens, closes in zip(values, *braces(shape), strict=True):
        word = " " + "{" * opens + str(value) + "}" * closes + ","
        if len(line) + len(word) > 120:
            text.append(line)
            line = "   "
        line += word
    return "\n".join([*text, line, "};", ""])


def braces(shape: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the numbers of braces that open before and close after each value of an array of that shape."""
    sizes = [math.prod(shape[axis:]) for axis in range(1, len(shape))]
    numbers = range(math.prod(shape))
    return (
        [sum(number % size == 0 for size in sizes) for number in numbers],
        [sum(number % size == size - 1 for size in sizes) for number in numbers],
    )


def floats(values: Iterable[float]) -> list[str]:
    """Return literals of float with nine digits, which are enough to restore each float."""
    return [
        f"{value:.9g}f" if "." in f"{value:.9g}" or "e" in f"{value:.9g}" else f"{value:.9g}.0f" for value in values
    ]


def huffman() -> Iterator[str]:
    """Yield lengths and codes of table B.7, one codebook after the other."""
    pairs, quadruples = read_books()
    order = list(pairs)
    books, first = [], 0
    for number in order:
        size = len(pairs[number])
        books += [first, size]
        first += size * size
    flat = [code for number in order for row in pairs[number] for code in row]
    yield array("uint16_t", "PAIR_BOOKS", books, (len(order), 2), "codebooks: first code, values of x and of y")
    yield array("uint8_t", "PAIR_LENGTHS", [len(code) for code in flat], (len(flat),), "bits, by x * size + y")
    yield array("uint16_t", "PAIR_CODES", [int(code, 2) for code in flat], (len(flat),), "the codes themselves")
    of_table = [order.index(16 if 16 <= t < 24 else 24) if t >= 16 else order.index(t) if t in pairs else -1
                for t in range(32)]  # fmt: skip
    yield array("int8_t", "BOOK_OF_TABLE", of_table, (32,), "codebook by table_select; -1: all values are 0")
    yield array("uint8_t", "LINBITS", LINBITS, (32,), "by table_select")
    flat = [code for row in quadruples for code in row]
    yield array(
        "uint8_t", "QUADRUPLE_LENGTHS", [len(code) for code in flat], (2, 16), "bits, by v * 8 + w * 4 + x * 2 + y"
    )
    yield array("uint8_t", "QUADRUPLE_CODES", [int(code, 2) for code in flat], (2, 16), "the codes themselves")


def starts(widths: Sequence[int]) -> list[int]:
    """Return the starts of bands, and the end of the last one."""
    return [sum(widths[:band]) for band in range(len(widths) + 1)]


def partitions() -> Iterator[list[int]]:
    """Yield the widths of bands for long, short and mixed blocks of each rate; a short band counts once a window."""
    for index, (long_text, short_text) in enumerate(BAND_WIDTHS.values()):
        long = [int(width) for width in long_text.split()]
        short = [int(width) for width in short_text.split() for _ in range(3)]
        yield long
        yield short
        yield long[: 6 if index >= SMALLEST_LSF else 8] + short[9:]


def bands() -> Iterator[str]:
    """Scale factor bands."""
    lists = list(partitions())
    assert all(sum(widths) == 576 for widths in lists)
    edges = [start for widths in lists for start in starts(widths) + [576] * (39 - len(widths))]
    yield array(
        "uint16_t", "BAND_STARTS", edges, (8, 3, 40), "line at which a band starts: by rate; long, short, mixed"
    )
    yield array("uint8_t", "NUM_BANDS", [len(widths) for widths in lists], (8, 3), "bands of each")


def window_36(block_type: int, i: int) -> float:
    """Return the window of a long block, clause 2.4.3.4.10.3."""
    if block_type == 1 and i >= 18:
        return 1 if i < 24 else math.sin(math.pi / 12 * (i - 18 + 0.5)) if i < 30 else 0
    if block_type == 3 and i < 18:
        return 0 if i < 6 else math.sin(math.pi / 12 * (i - 6 + 0.5)) if i < 12 else 1
    return math.sin(math.pi / 36 * (i + 0.5))


def secant(angle: float) -> float:
    """1 / (2 cos(angle))."""
    return 1 / (2 * math.cos(angle))


def imdct() -> Iterator[str]:
    """Yield windows, multiplied by the other factors of the same value: see imdct.c."""
    window = []
    for block_type in range(4):
        for i in range(36):
            y, sign = (i + 9, 1) if i < 9 else (26 - i, -1) if i < 27 else (i - 27, -1)
            value = sign * window_36(block_type, i) * secant(math.pi / 72 * (2 * y + 1))
            window += [-value if i % 18 % 2 and lane % 2 else value for lane in range(8)]
    comment = "by block_type (2 is unused), sample and lane; negative in odd lanes of odd samples: frequency inversion"
    yield array("float ALIGNED", "WINDOW_36", floats(window), (4, 36, 8), comment)
    short = []
    for i in range(12):
        y, sign = (i + 3, 1) if i < 3 else (8 - i, -1) if i < 9 else (i - 9, -1)
        short.append(sign * math.sin(math.pi / 12 * (i + 0.5)) * secant(math.pi / 24 * (2 * y + 1)))
    yield array("float", "WINDOW_12", floats(short), (12,), "the same for short blocks, before frequency inversion")
    yield array(
        "float ALIGNED", "INVERSION", floats([1] * 8 + [1, -1] * 4), (2, 8), "sign by parity of the sample, and lane"
    )
    yield array("float", "SECANT_9", floats(secant(math.pi / 36 * (2 * n + 1)) for n in range(9)), (9,), "1 / (2 cos)")
    cosine = [1 / math.sqrt(1 + c * c) for c in ALIAS]
    at_edges = [value for cs in cosine for value in [1.0] + [cs] * 31 + [1.0] * 8]
    comment = "cs_i by boundary: b is that below subband b; 1 at both ends, which have no neighbour"
    yield array("float ALIGNED", "ALIAS_CS", floats(at_edges), (8, 40), comment)
    yield array("float", "ALIAS_CA", floats(c * cs for c, cs in zip(ALIAS, cosine, strict=True)), (8,), "ca_i")


def synthesis() -> Iterator[str]:
    """DCT-32 and the synthesis window, folded: see synthesis.c."""
    for size in (4, 8, 16, 32):
        values = [secant(math.pi / (2 * size) * (2 * k + 1)) for k in range(size // 2)]
        yield array("float", f"SECANT_{size}", floats(values), (size // 2,), f"1 / (2 cos((2k + 1) pi / {2 * size}))")
    half = [int(word) / 65536 for word in SYNTHESIS_WINDOW.split()]
    window = half + [half[512 - i] if i % 64 == 0 else -half[512 - i] for i in range(257, 512)]
    folded: list[float] = []
    for age in range(16):
        sign = -1 if age % 2 else 1
        folded += [sign * window[32 * age + m] for m in range(16)]
        folded += [-window[32 * age + 16] if age % 2 else 0, *(-window[32 * age + 32 - m] for m in range(1, 16))]
    comment = "by age of the slot; weights of samples 0 to 15, then of 16 and 31 down to 17"
    yield array("float ALIGNED", "SYNTHESIS_WINDOW", floats(folded), (16, 32), comment)


def tables() -> str:
    """Return the text of tables.h."""
    head = "/* Written by make_tables.py: change that. Numbers of ISO/IEC 11172-3 and 13818-3. */\n"
    guard = (
        '#ifndef FLOWMO_LAYER3_TABLES_H\n#define FLOWMO_LAYER3_TABLES_H\n\n#include <stdint.h>\n\n#include "layer3.h"\n'
    )
    return "\n".join([head + guard, *huffman(), *bands(), *imdct(), *synthesis(), "#endif\n"])


if __name__ == "__main__":
    (HERE / "tables.h").write_text(tables())
