"""Braces in paths, as shells and WebDataset expand them: `{0000..0127}`, `{a,b}`, nested and one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator

_NUMBERS = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?")
_LETTERS = re.compile(r"([a-zA-Z])\.\.([a-zA-Z])(?:\.\.(-?\d+))?")


def expand_braces(text: str) -> Iterator[str]:
    """Yield the texts that one with braces stands for, in order; braces without a comma or a range stay.

    >>> list(expand_braces("{a,b}/{08..10}.tar"))
    ['a/08.tar', 'a/09.tar', 'a/10.tar', 'b/08.tar', 'b/09.tar', 'b/10.tar']
    >>> list(expand_braces("{x}{1,{2..4..2}}"))
    ['{x}1', '{x}2', '{x}4']
    """
    start = text.find("{")
    while start >= 0:
        inside, stop = _inside(text, start)
        if inside:
            for each in inside:
                for rest in expand_braces(text[stop:]):
                    yield text[:start] + each + rest
            return
        start = text.find("{", start + 1)
    yield text


def _inside(text: str, start: int) -> tuple[list[str], int]:
    """Return what a brace stands for, nothing if it stands for itself, and one past the brace that closes it."""
    depth, first, parts = 0, start + 1, []
    for place in range(start, len(text)):
        if text[place] == "{":
            depth += 1
        elif text[place] == "," and depth == 1:
            parts.append(text[first:place])
            first = place + 1
        elif text[place] == "}":
            depth -= 1
            if not depth:
                parts.append(text[first:place])
                whole = [each for part in parts for each in expand_braces(part)]
                return (whole if len(parts) > 1 else _range(parts[0])), place + 1
    return [], len(text)


def _range(text: str) -> list[str]:
    if match := _NUMBERS.fullmatch(text):
        ends = match[1], match[2]
        width = max(map(len, ends)) if any(re.match(r"-?0\d", each) for each in ends) else 0
        return [f"{number:0{width}d}" for number in _numbers(int(ends[0]), int(ends[1]), match[3])]
    if match := _LETTERS.fullmatch(text):
        return [chr(number) for number in _numbers(ord(match[1]), ord(match[2]), match[3])]
    return []


def _numbers(first: int, last: int, step: str | None) -> range:
    """Return the numbers from the first to the last, in either direction."""
    apart = abs(int(step or 1)) or 1
    return range(first, last + 1, apart) if first <= last else range(first, last - 1, -apart)
