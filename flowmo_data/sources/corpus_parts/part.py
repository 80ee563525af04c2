"""A part of a corpus: the share of one of several machines that work through it.

A file's part follows from a hash of its name. So parts have about as many files each, with long and short ones in all
of them, and a file stays in its part if others are added or removed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from flowmo_data.errors import OptionError


@dataclass(frozen=True, slots=True)
class CorpusPart:
    """A part of a corpus.

    >>> part = CorpusPart(3, 16)
    >>> str(part), part.holds("a/b.mp3")
    ('3/16', False)

    Raises:
        OptionError: there is no such part.
    """

    number: int
    """1 to `count`"""
    count: int
    """number of parts"""
    corpus: str = ""
    """fingerprint of the names of all files of the corpus; empty before they are listed"""

    def __post_init__(self) -> None:
        numbers = (self.number, self.count)
        if any(isinstance(each, bool) or not isinstance(each, int) for each in numbers):
            raise OptionError(f"part={numbers!r}: give two whole numbers, such as (3, 16) for the third of 16 parts")
        if not 1 <= self.number <= self.count:
            count = max(self.count, 1)
            raise OptionError(
                f"part={numbers!r}: there is no such part; parts count from 1, so the first of {count} is (1, {count}) "
                f"and the last ({count}, {count})"
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, name: str) -> bool:
        """Return whether a file is in this part."""
        digest = blake2b(os.fsencode(name), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1

    def of(self, names: Iterable[str]) -> CorpusPart:
        """Return this part, of the corpus that has files with these names."""
        digest = blake2b(digest_size=8)
        for name in names:
            digest.update(os.fsencode(name) + b"\0")
        return replace(self, corpus=digest.hexdigest())

    def as_json(self) -> dict[str, Any]:
        """Return the keys of a part in a file, for JSON."""
        return {"part": [self.number, self.count], "corpus": self.corpus}


def as_part(value: Any) -> CorpusPart:
    """Return the part that an option gives: `(number, count)`, counted from 1.

    Raises:
        OptionError: it is not a part.
    """
    if isinstance(value, CorpusPart):
        return value
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise OptionError(f"part={value!r}: give its number and the number of parts, such as (3, 16)")
    number, count = value
    return CorpusPart(number, count)


def part_in(values: dict[str, Any]) -> CorpusPart | None:
    """Return the part whose keys are among those of a file, as `CorpusPart.as_json` made them; None if none are."""
    if "part" not in values:
        return None
    number, count = values["part"]
    return CorpusPart(number, count, values["corpus"])
