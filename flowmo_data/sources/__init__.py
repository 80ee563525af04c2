"""The user's files as a list, and the bytes of each of them."""

from flowmo_data.sources.listing.aligning import AlignedFiles, AlignedSources, find_aligned, summary_of_problems
from flowmo_data.sources.listing.entries import Files
from flowmo_data.sources.listing.excluding import Exclude, excluded_paths
from flowmo_data.sources.listing.found import Sources, find_left_out, find_sources
from flowmo_data.sources.local_file import LocalFile, file_error
from flowmo_data.sources.metadata.of_files import FileMetadata, Metadata
from flowmo_data.sources.opening import held_whole, indexed_source, offset_of, source_at
from flowmo_data.sources.paths import is_remote, is_url
from flowmo_data.sources.source import OpenedSource, Source, Stamp
from flowmo_data.sources.stores.remote_file import RemoteFile
from flowmo_data.sources.stores.store import Store

__all__ = [
    "AlignedFiles",
    "AlignedSources",
    "Exclude",
    "FileMetadata",
    "Files",
    "LocalFile",
    "Metadata",
    "OpenedSource",
    "RemoteFile",
    "Source",
    "Sources",
    "Stamp",
    "Store",
    "excluded_paths",
    "file_error",
    "find_aligned",
    "find_left_out",
    "find_sources",
    "held_whole",
    "indexed_source",
    "is_remote",
    "is_url",
    "offset_of",
    "source_at",
    "summary_of_problems",
]
