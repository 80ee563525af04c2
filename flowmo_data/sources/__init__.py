"""The user's files as a list, and the bytes of each of them."""

from flowmo_data.sources.aligning import AlignedFiles, AlignedSources, find_aligned, summary_of_problems
from flowmo_data.sources.excluding import Exclude, excluded_paths
from flowmo_data.sources.listing import Files, Sources, find_left_out, find_sources
from flowmo_data.sources.metadata import FileMetadata, Metadata
from flowmo_data.sources.source import Source, Stamp, file_error

__all__ = [
    "AlignedFiles",
    "AlignedSources",
    "Exclude",
    "FileMetadata",
    "Files",
    "Metadata",
    "Source",
    "Sources",
    "Stamp",
    "excluded_paths",
    "file_error",
    "find_aligned",
    "find_left_out",
    "find_sources",
    "summary_of_problems",
]
