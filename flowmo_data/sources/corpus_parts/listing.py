"""The files of a part of a corpus. Of the tars in stores, only those of the part are listed: it takes many requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from flowmo_data.sources.listing.entries import Files, all_entries_of
from flowmo_data.sources.listing.found import Sources, named_by, warn_of_left_out
from flowmo_data.sources.stores.store import Store
from flowmo_data.sources.tars.listing import with_members


class ListedPart(NamedTuple):
    """The files of a part."""

    sources: Sources
    left_out: dict[str, str]
    """what is left out of its tars in stores: reasons, by path"""


def list_part(chosen: Iterable[str], files: Files, store: Store) -> ListedPart:
    """Return the files of a part, with the members of tars in stores in place of these tars.

    Args:
        chosen: those of `find_sources(files, whole_tars=True)` that are in the part.
        files: all files, as the user names them.
        store: access to URLs. It gets the places of members.

    Raises:
        FilesError: a tar that `files` names itself cannot be read.
    """
    named = {tar for entry in all_entries_of(files, store) for tar in named_by(entry)}
    left_out: dict[str, str] = {}
    sources = Sources(with_members(chosen, left_out, store, named=named), store)
    warn_of_left_out(left_out, ())
    return ListedPart(sources, left_out)
