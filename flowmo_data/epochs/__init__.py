"""Shuffle references: the frames of an epoch, their order, and the rank and worker of each."""

from flowmo_data.epochs.error_log import ErrorLog
from flowmo_data.epochs.options import Options
from flowmo_data.epochs.progress import Position, Progress
from flowmo_data.epochs.report import Report
from flowmo_data.epochs.sharding import Shard
from flowmo_data.epochs.span import FrameStream, Span, Stream
from flowmo_data.epochs.stream import Files, open_indexed_stream, open_stream

__all__ = [
    "ErrorLog",
    "Files",
    "FrameStream",
    "Options",
    "Position",
    "Progress",
    "Report",
    "Shard",
    "Span",
    "Stream",
    "open_indexed_stream",
    "open_stream",
]
