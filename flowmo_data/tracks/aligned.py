"""Files that are aligned with each other, such as a mixture and its stems: they are cut at the same places.

    mixture   [ . . . . . . . . . . . . . . . . )
    vocals    [ . . . . . . . . . . . . )             the shortest counts
    drums     [ . . . . . . . x . . . . . . . . )     x: audio is missing, so that the rest is at a wrong place
              [ . . . . . . . )                       the set

Encoders' delays are cut off by their tags, so the first samples of an MP3 and of a WAV file are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from flowmo_data.errors import AudioFileError, SampleRateError
from flowmo_data.sources import Source, Store, source_at
from flowmo_data.tracks import track as single
from flowmo_data.tracks.parts import Loss
from flowmo_data.tracks.track import Timeline, Track, open_track

MOST_SECONDS_APART = 0.05
"""difference of lengths that is not reported: encoders without a tag add this much, and no more"""
SO_SKIPPED = "the files that are aligned with it are skipped too"


@dataclass(frozen=True, slots=True)
class AlignedTrack:
    """Several readable files that are aligned with each other."""

    names: tuple[str, ...]
    """the name of each, such as "mixture" and "vocals\""""
    members: tuple[Track, ...]
    """the files, in the order of the names"""

    @property
    def path(self) -> str:
        """Absolute path of the first file, which stands for all of them."""
        return self.members[0].path

    @property
    def seconds(self) -> float:
        """Duration of the shortest."""
        return min(map(_seconds, self.members))

    @property
    def missing(self) -> Track | None:
        """The file from which audio is missing first; None if no audio is missing."""
        damaged = [each for each in self.members if each.losses]
        return min(damaged, key=lambda each: each.losses[0].start_seconds) if damaged else None

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Audio that is left out because it is no longer aligned."""
        if self.missing is None:
            return ()
        start = self.missing.losses[0].start_seconds
        lost = self.seconds - start
        return (Loss(start, lost),) if lost > MOST_SECONDS_APART else ()

    @property
    def damage(self) -> str:
        """Problems of the files with each other, in words; empty if there are none."""
        if self.missing is not None and self.losses:
            start = self.losses[0].start_seconds
            return (
                f"the aligned files are cut at {start:.3f} s, because audio is missing there from {self.missing.path}"
            )
        return difference(self.names, [_seconds(each) for each in self.members])


@dataclass(frozen=True, slots=True)
class AlignedTimeline:
    """The timelines of files that are aligned with each other, all of the same length."""

    names: tuple[str, ...]
    """the name of each"""
    members: tuple[Timeline, ...]
    """the timelines, in the order of the names"""
    metadata: Mapping[str, Any] | None = None
    """what the user knows about the first file; None if that is nothing, or is looked up later"""

    @property
    def path(self) -> str:
        """Absolute path of the first file, which stands for all of them."""
        return self.members[0].path

    @property
    def num_samples(self) -> int:
        """Samples per channel of each."""
        return self.members[0].num_samples


AnyTrack = Track | AlignedTrack
AnyTimeline = Timeline | AlignedTimeline


def sources_of_set(paths: Sequence[str], store: Store | None = None) -> list[Source]:
    """Return the closed files of a set of paths or URLs.

    Raises:
        AudioFileError: the state of one of them cannot be read.
    """
    with _naming_the_rest():
        return [source_at(path, store) for path in paths]


def open_aligned(names: tuple[str, ...], sources: Sequence[Source]) -> AlignedTrack:
    """Open files that are aligned with each other.

    Raises:
        AudioFileError: one of them cannot be read.
    """
    with _naming_the_rest():
        return AlignedTrack(names, tuple(open_track(source) for source in sources))


def at_sample_rate(track: AnyTrack, sr: int, *, on_other_rate: str) -> AnyTimeline:
    """Return the timeline of a track, or those of aligned tracks: see `track.at_sample_rate`.

    Raises:
        AudioFileError: a part has a rate that cannot be resampled, or aligned files have nothing in common.
        SampleRateError: a part has another rate and `on_other_rate` is "raise", or all parts are skipped, or some parts
            of an aligned file.
    """
    if isinstance(track, Track):
        return single.at_sample_rate(track, sr, on_other_rate=on_other_rate)
    with _naming_the_rest():
        timelines = [_whole(each, sr, on_other_rate) for each in track.members]
        end = min(each.num_samples for each in timelines)
        if track.missing is not None:
            end = min(end, samples_before(track.missing.losses[0].start_seconds, sr))
            if end <= 0:
                raise AudioFileError.of(track.missing.path, "audio is missing from its start, so it is not aligned")
    return AlignedTimeline(track.names, tuple(replace(each, end=end) for each in timelines))


def difference(names: Sequence[str], lengths: Sequence[float]) -> str:
    """Return that the lengths of aligned files, in seconds, differ; an empty string if they differ too little.

    >>> difference(["mixture", "vocals"], [10.0, 9.5])
    'the lengths of the aligned files differ (mixture 10.000 s, vocals 9.500 s), and the shortest counts'
    """
    if max(lengths) - min(lengths) <= MOST_SECONDS_APART:
        return ""
    each = ", ".join(f"{name} {length:.3f} s" for name, length in zip(names, lengths, strict=True))
    return f"the lengths of the aligned files differ ({each}), and the shortest counts"


def samples_before(seconds: float, sr: int) -> int:
    """Return the number of samples before a time."""
    return int(seconds * sr + 0.5)


def _whole(track: Track, sr: int, on_other_rate: str) -> Timeline:
    """Return a track's timeline; raise if parts of it would be skipped, as the parts behind them would move."""
    timeline = single.at_sample_rate(track, sr, on_other_rate=on_other_rate)
    if len(timeline.parts) < len(track.parts):
        raise SampleRateError.of(
            track.path,
            f"some of its parts are not at sr={sr}, and without them it is not aligned; on_other_rate='resample' "
            "converts them",
        )
    return timeline


def _seconds(track: Track) -> float:
    return sum(part.num_samples / part.sample_rate for part in track.parts)


@contextmanager
def _naming_the_rest() -> Iterator[None]:
    """Add to the error about a file that those aligned with it are skipped too."""
    try:
        yield
    except AudioFileError as error:
        raise type(error).of(error.path, f"{error.reason}; {SO_SKIPPED}") from error
