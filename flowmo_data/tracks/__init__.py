"""Cut in the compressed domain: the exact contents of files. Nothing is decoded here."""

from flowmo_data.tracks.aligned import (
    AlignedTimeline,
    AlignedTrack,
    AnyTimeline,
    AnyTrack,
    at_sample_rate,
    open_aligned,
)
from flowmo_data.tracks.containers.part import ContainerPart
from flowmo_data.tracks.index import INDEX_SUFFIX, AudioIndex
from flowmo_data.tracks.mpeg_part import MpegPart
from flowmo_data.tracks.parts import CutPart, Loss, Part, ResampledPart
from flowmo_data.tracks.soundfile_part import SoundFilePart
from flowmo_data.tracks.track import Timeline, Track, open_track

__all__ = [
    "INDEX_SUFFIX",
    "AlignedTimeline",
    "AlignedTrack",
    "AnyTimeline",
    "AnyTrack",
    "AudioIndex",
    "ContainerPart",
    "CutPart",
    "Loss",
    "MpegPart",
    "Part",
    "ResampledPart",
    "SoundFilePart",
    "Timeline",
    "Track",
    "at_sample_rate",
    "open_aligned",
    "open_track",
]
