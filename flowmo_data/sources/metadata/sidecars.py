"""The files beside the audio that describe it: `.json`, and in tars also `.txt` and `.cls`, as WebDataset has them."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable
from typing import Any

from flowmo_data.errors import AudioFileError
from flowmo_data.sources.member_paths import name_of, split_member
from flowmo_data.sources.opening import held_whole, source_at
from flowmo_data.sources.paths import with_suffix
from flowmo_data.sources.stores.store import Store
from flowmo_data.sources.tars.opening import table_of

SIDECAR_SUFFIXES = (".json", ".txt", ".cls")
"""suffixes of the sidecars of a member, in the order in which they count: a later one replaces values of an earlier"""


def sidecar_values(path: str, suffix: str, data: bytes) -> dict[str, Any]:
    """Return what a sidecar says.

    Args:
        path: the file that it is about.
        suffix: the sidecar's suffix.
        data: its bytes. `.json` is an object; `.txt` is text, under the key "txt"; `.cls` is a whole number, under the
            key "cls".

    Raises:
        AudioFileError: it says something else.
    """
    its = f"its sidecar {posixpath.basename(name_of(with_suffix(path, suffix)))}"
    try:
        text = data.decode("utf-8-sig")
        found = json.loads(text) if suffix == ".json" else text if suffix == ".txt" else int(text)
    except ValueError as error:
        is_not = {".json": "JSON", ".txt": "text in UTF-8", ".cls": "a whole number"}[suffix]
        raise AudioFileError.of(path, f"{its} is not {is_not}: {error}") from error
    if suffix != ".json":
        return {suffix[1:]: found}
    if not isinstance(found, dict):
        raise AudioFileError.of(path, f"{its} holds {type(found).__name__}; it must be an object, as {{...}}")
    return found


def sidecars_of_member(path: str, store: Store | None) -> dict[str, Any]:
    """Return what the sidecars of a member say.

    Raises:
        AudioFileError: there is none, or one cannot be read.
    """
    return combined(path, _sidecars_in_tar(path, store or Store()))


def has_member(path: str, store: Store | None = None) -> bool:
    """Return whether a tar has a member.

    Raises:
        AudioFileError: the tar cannot be read.
    """
    name, tar = split_member(path)
    return table_of(tar, store or Store()).find(name) is not None


def _sidecars_in_tar(path: str, store: Store) -> Iterable[tuple[str, bytes]]:
    for suffix in SIDECAR_SUFFIXES:
        sidecar = with_suffix(path, suffix)
        if has_member(sidecar, store):
            try:
                source = held_whole(source_at(sidecar, store))
                yield suffix, source.read(0, source.stamp.size)
            except AudioFileError as error:
                raise AudioFileError.of(path, f"its sidecar {suffix} cannot be read: {error.reason}") from error


def combined(path: str, sidecars: Iterable[tuple[str, bytes]]) -> dict[str, Any]:
    """Return what all sidecars of a member say, each given by its suffix and its bytes.

    Raises:
        AudioFileError: there is none, or one says nothing that is understood.
    """
    found: dict[str, Any] = {}
    num_sidecars = 0
    for suffix, data in sidecars:
        found |= sidecar_values(path, suffix, data)
        num_sidecars += 1
    if not num_sidecars:
        key = split_member(with_suffix(path, ""))[0]
        names = " or ".join(key + suffix for suffix in SIDECAR_SUFFIXES)
        raise AudioFileError.of(path, f"it has no sidecar in its tar: there is no {names}")
    return found
