"""The contents of a corpus: hours, bytes, frames, and unreadable files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from flowmo_data.decoding.mpeg_window import is_native
from flowmo_data.epochs.framing import frame_starts
from flowmo_data.errors import AudioFileError
from flowmo_data.sources import Store, held_whole, source_at
from flowmo_data.tracks.track import at_sample_rate, open_track


@dataclass
class Survey:
    """The totals over files."""

    num_files: int = 0
    num_bytes: int = 0
    hours: float = 0.0
    """duration of the readable files"""
    num_frames: int = 0
    """frames in an epoch, without phases"""
    num_layer_3: int = 0
    """readable files with MPEG Layer III at the rate of the frames"""
    unreadable: list[str] = field(default_factory=list)
    """the problem with each unreadable file"""


def survey(paths: Iterable[str], *, sr: int, samples_per_frame: int, store: Store | None = None) -> Survey:
    """Return the totals over files, without decoding anything."""
    total = Survey()
    for path in paths:
        total.num_files += 1
        try:
            source = held_whole(source_at(path, store))
            timeline = at_sample_rate(open_track(source), sr, on_other_rate="resample")
        except AudioFileError as error:
            total.unreadable.append(str(error))
            continue
        total.num_bytes += source.stamp.size
        total.num_layer_3 += any(is_native(part, "native") for part in timeline.parts)
        total.hours += timeline.num_samples / sr / 3_600
        total.num_frames += len(
            frame_starts(timeline.num_samples, samples_per_frame=samples_per_frame, phase=0, framing="pad")
        )
    return total
