"""Names of members, so that WebDataset groups each file with its own sidecars: by the name up to its first dot."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator


def member_names(names: Iterable[str]) -> Iterator[str]:
    """Yield a name in a tar for each name below a folder.

    Dots become underscores, apart from the suffix. If that name up to its first dot is taken, the suffix is added to
    it, and then a number.

    >>> list(member_names(["b.c/one.v2.mp3", "two.mp3", "two.wav", "one::a.mp3"]))
    ['b.c/one_v2.mp3', 'two.mp3', 'two_wav.wav', 'one__a.mp3']
    """
    taken: set[str] = set()
    for name in names:
        folder, base = posixpath.split(name.replace("::", "__"))
        stem, suffix = base.rsplit(".", 1) if "." in base else (base, "")
        stem = posixpath.join(folder, stem.replace(".", "_") or "_")
        key, number = stem, 1
        while key in taken:
            key = f"{stem}_{suffix}" if number == 1 else f"{stem}_{suffix}_{number}"
            number += 1
        taken.add(key)
        yield f"{key}.{suffix}" if suffix else key
