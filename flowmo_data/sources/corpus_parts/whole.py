"""The parts that make up a whole corpus, or the reason why some files are not that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from flowmo_data.errors import FilesError, counted
from flowmo_data.sources.corpus_parts.part import CorpusPart

_EXAMPLES = 5


def whole_corpus(
    parts: Mapping[str, CorpusPart | None], are_equal: Callable[[str, str], bool], *, command: str
) -> list[str]:
    """Return one file for each part of a corpus, in the order of the parts.

    Args:
        parts: the part in each file, by the file's path; None if the file is about a whole corpus.
        are_equal: returns whether two files with the same part have the same content.
        command: the command that makes a part, for messages.

    Raises:
        FilesError: the files are not parts of the same corpus, or a part is missing, or two files differ in a part.
    """
    known: dict[str, CorpusPart] = {}
    for path, part in parts.items():
        if part is None:
            raise FilesError(
                f"{path}: it is about a whole corpus, not a part of one; leave it out (parts come from {command} "
                "--part 1/16, 2/16 and so on)"
            )
        known[path] = part
    odd = odd_one_out({path: part.count for path, part in known.items()})
    if odd:
        raise FilesError(
            f"{odd[0]} is part {known[odd[0]]}, and {odd[1]} is part {known[odd[1]]}: the numbers of parts differ; "
            "merge the parts of one division only"
        )
    odd = odd_one_out({path: part.corpus for path, part in known.items()})
    if odd:
        raise FilesError(
            f"{odd[0]} and {odd[1]} (parts {known[odd[0]]} and {known[odd[1]]}) are parts of different corpora: their "
            "lists of files differ. If files were added, removed or renamed while the parts were made, make all parts "
            "again"
        )
    by_number: dict[int, str] = {}
    for path, part in known.items():
        other = by_number.setdefault(part.number, path)
        if other != path and not are_equal(other, path):
            raise FilesError(
                f"{other} and {path} are both part {part}, and differ; leave out the one that is out of date"
            )
    count = next(iter(known.values())).count
    missing = [str(CorpusPart(number, count)) for number in range(1, count + 1) if number not in by_number]
    if missing:
        more = f" and {len(missing) - _EXAMPLES:,} more" if len(missing) > _EXAMPLES else ""
        raise FilesError(
            f"{next(iter(known))} and others: {counted(len(missing), 'part')} of {count} missing: "
            f"{', '.join(missing[:_EXAMPLES])}{more}; make them: {command} --part {missing[0]}"
        )
    return [by_number[number] for number in range(1, count + 1)]


def odd_one_out(values: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return a key with the most frequent value, and one with another; None if all values are equal.

    >>> odd_one_out({"a": 1, "b": 2, "c": 2})
    ('b', 'a')
    """
    counts = Counter(values.values()).most_common()
    if len(counts) < 2:
        return None
    usual = counts[0][0]
    return next(key for key in values if values[key] == usual), next(key for key in values if values[key] != usual)
