"""One mutated file of a format that is no MPEG audio, streamed and held against the file that it was.

Nothing is lost silently, which means here:

- A file whose header is whole is read, unless no sample is left.
- The units before the first damage come out as they were.
- Where no byte has moved and no sample is missing, every whole unit comes out as it was, in its place, but for the
  first samples behind damage, where the decoder remembers; or it is silence that is reported.
- If fewer samples come out than the whole units hold, the file is refused, or a problem is reported.
- Every window is the same slice of the whole, to the bit, and so are the stretches that are silent for want of data.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
from builders import opened, read
from formats import PCM_BYTES, FormatBase, Unit
from mutations import FORMAT_KINDS, Mutation, mutate
from variants import frame_problems

from flowmo_data import AudioFileError, StreamingAudioDataset
from flowmo_data.tracks import SoundFilePart, Track
from flowmo_data.tracks.track import at_sample_rate

_MOST_SAMPLES = 1 << 21
"""of a file that is resampled: a header may claim 50 Hz"""
_NUM_WINDOWS = 4


@dataclass(slots=True)
class FormatOutcome:
    """What became of a mutated file."""

    format: str
    kind: str
    what: str
    base: str
    ideal_seconds: float = 0
    """of the units that are whole in it"""
    seconds: float = 0
    """that came out and are not silence for want of data"""
    reported: str = ""
    """what was reported: a reason, or problems"""
    is_refused: bool = False
    checked_seconds: float = 0
    """that had to be as in the file before, and were"""
    problems: list[str] = field(default_factory=list)
    """promises that were not kept"""


def make_format_variant(bases: list[FormatBase], seed: int) -> tuple[Mutation, FormatBase]:
    """The mutated file of a seed, and the one that it was made of."""
    draw = Random(f"base {seed}")
    base, other = draw.choice(bases), draw.choice(bases)
    return mutate(base.data, seed, places=base.places, other=other.data, kinds=FORMAT_KINDS), base


def check_format_variant(bases: list[FormatBase], seed: int, path: Path) -> FormatOutcome:
    """Write the mutated file of a seed to `path`, read it, and see whether every promise is kept."""
    mutation, base = make_format_variant(bases, seed)
    outcome = FormatOutcome(base.format, mutation.kind, mutation.what, base.name)
    path.write_bytes(mutation.data)
    whole_units = _whole_units(mutation, base)
    outcome.ideal_seconds = sum(unit.last - unit.first for unit in whole_units) / base.rate
    has_header = bool(mutation.pieces) and _keeps_header(mutation, base)
    try:
        track = opened(path)
    except AudioFileError as error:
        outcome.reported, outcome.is_refused = str(error), True
        if has_header and _prefix(mutation, base) and mutation.pieces[0].start == 0:
            outcome.problems.append(f"refused: {error}")
        _check_stream(outcome, None, base, path, seed)
        return outcome
    outcome.reported = track.damage
    signals, silent = _read_whole(outcome, track, seed)
    if silent.any() and not outcome.reported:
        outcome.reported = "silence"
    rates = [part.sample_rate for part in track.parts]
    outcome.seconds = sum(len(signal) / rate for signal, rate in zip(signals, rates, strict=True))
    outcome.seconds -= np.count_nonzero(silent) / rates[0]
    _check_amount(outcome, track, signals, silent, base, whole_units)
    part = track.parts[0]
    if has_header and (part.sample_rate, part.channels) == (base.rate, base.channels):
        _check_prefix(outcome, signals[0], silent, base, _prefix(mutation, base))
        if len(track.parts) == 1 and _is_in_place(mutation) and len(signals[0]) == len(base.samples):
            _check_in_place(outcome, signals[0], silent, base, whole_units)
    _check_stream(outcome, track, base, path, seed)
    return outcome


def _whole_units(mutation: Mutation, base: FormatBase) -> list[Unit]:
    """The units of the file that are whole, each once."""
    found = set()
    for data, file, start in mutation.pieces:
        if file == 0:
            found |= {unit for unit in base.units if start <= unit.start and unit.stop <= start + len(data)}
    return sorted(found)


def _keeps_header(mutation: Mutation, base: FormatBase) -> bool:
    data, file, start = mutation.pieces[0]
    return file == 0 and start == 0 and len(data) >= base.header_stop


def _prefix(mutation: Mutation, base: FormatBase) -> list[Unit]:
    """The units before the first damage."""
    stop = len(mutation.pieces[0].data)
    return [unit for unit in base.units if unit.stop <= stop]


def _is_in_place(mutation: Mutation) -> bool:
    """Whether all bytes that are left are where they were."""
    place = 0
    for data, file, start in mutation.pieces:
        if file == 1 or (file == 0 and start != place):
            return False
        place += len(data)
    return True


def _read_whole(
    outcome: FormatOutcome, track: Track, seed: int
) -> tuple[list[npt.NDArray[np.float32]], npt.NDArray[np.bool_]]:
    """Every part's samples, and of the first part those that are lost; also see that windows are slices of it."""
    draw, signals, first_silent = Random(f"windows {seed}"), [], np.zeros(0, bool)
    for part in track.parts:
        window = read(part, 0, part.num_samples)
        signal, silent = window.samples.copy(), np.zeros(part.num_samples, bool)
        for start, stop in window.lost:
            silent[start:stop] = True
        if len(signal) != part.num_samples:
            outcome.problems.append(f"{len(signal)} samples are read, and {part.num_samples} are stated")
        if not np.isfinite(signal).all():
            outcome.problems.append("a sample is not finite")
        if signal[silent].any():
            outcome.problems.append("a lost sample is not silent")
        for _ in range(_NUM_WINDOWS if isinstance(part, SoundFilePart) else 0):  # for MPEG audio: variants.py
            start, stop = sorted(draw.randint(0, part.num_samples) for _ in range(2))
            if start == stop:
                continue
            window = read(part, start, stop)
            lost = np.zeros(stop - start, bool)
            for begin, end in window.lost:
                lost[begin:end] = True
            if not np.array_equal(lost, silent[start:stop]):
                outcome.problems.append(f"window {start} to {stop} has other lost samples than the whole")
            elif not np.array_equal(window.samples, signal[start:stop]):
                where = np.flatnonzero((window.samples != signal[start:stop]).any(axis=1))[[0, -1]] + start
                outcome.problems.append(f"window {start} to {stop} differs from the whole, at {where.tolist()}")
        if not signals:
            first_silent = silent
        signals.append(signal)
    return signals, first_silent


def _check_amount(
    outcome: FormatOutcome,
    track: Track,
    signals: list[npt.NDArray[np.float32]],
    silent: npt.NDArray[np.bool_],
    base: FormatBase,
    whole_units: list[Unit],
) -> None:
    if outcome.reported:
        return
    if base.format in ("FLAC", "Ogg Vorbis", "Ogg Opus"):
        there, wanted = sum(map(len, signals)), sum(unit.last - unit.first for unit in whole_units)
    else:  # in bytes: the header may state other channels
        part = track.parts[0]
        if not isinstance(part, SoundFilePart):
            return
        codec = part.format.split("/")[1]
        if codec not in PCM_BYTES:
            return
        there = len(signals[0]) * PCM_BYTES[codec] * part.channels
        there += PCM_BYTES[codec] * part.channels - 1  # a sample that is not whole
        there += _stated_offset(part.source.read(0, 200))
        wanted = sum(unit.stop - unit.start for unit in whole_units)
    if there < wanted:
        outcome.problems.append(f"{wanted} samples or bytes are whole, {there} come out, and nothing is reported")


def _stated_offset(head: bytes) -> int:
    """Bytes that a header states to be in front of its samples: nobody can tell whether they are samples."""
    at = head.find(b"SSND")
    if head.startswith(b"FORM") and at > 0:
        return int.from_bytes(head[at + 8 : at + 12], "big")
    return int.from_bytes(head[4:8], "big") if head.startswith(b".snd") else 0


def _check_prefix(
    outcome: FormatOutcome,
    signal: npt.NDArray[np.float32],
    silent: npt.NDArray[np.bool_],
    base: FormatBase,
    prefix: list[Unit],
) -> None:
    stop = prefix[-1].last if prefix else 0
    if len(signal) < stop:
        outcome.problems.append(f"{stop} samples are before the damage, and {len(signal)} come out")
    elif silent[:stop].any():
        outcome.problems.append(f"{np.count_nonzero(silent[:stop])} of {stop} samples before the damage are lost")
    elif not np.array_equal(signal[:stop], base.samples[:stop]):
        first = np.flatnonzero((signal[:stop] != base.samples[:stop]).any(axis=1))[0]
        outcome.problems.append(f"sample {first} is another, {stop} are before the damage")
    else:
        outcome.checked_seconds += stop / base.rate


def _check_in_place(
    outcome: FormatOutcome,
    signal: npt.NDArray[np.float32],
    silent: npt.NDArray[np.bool_],
    base: FormatBase,
    whole_units: list[Unit],
) -> None:
    """See that whole units behind damage are right, or lost and reported."""
    place, careful_until = 0, 0
    for unit in whole_units:
        if unit.first != place:  # damage in front of it
            careful_until = unit.first + base.overlap
        place = unit.last
        first = max(unit.first, careful_until)
        if first >= unit.last:
            continue
        heard = ~silent[first : unit.last]
        difference = np.abs(signal[first : unit.last] - base.samples[first : unit.last])[heard]
        limit = base.tolerance if careful_until else 0.0
        if difference.size and difference.max() > limit:
            outcome.problems.append(f"samples {first} to {unit.last} are whole, but differ by {difference.max():.2g}")
            break
        outcome.checked_seconds += np.count_nonzero(heard) / base.rate


class _Warned(logging.Handler):
    some = False

    def emit(self, record: logging.LogRecord) -> None:
        self.some = True


def _check_stream(outcome: FormatOutcome, track: Track | None, base: FormatBase, path: Path, seed: int) -> None:
    """See that the dataset gives the same as the track."""
    lengths = (
        (24_000, 60_000) if base.format == "Ogg Opus" else (3_000, 12_000, 50_000)
    )  # each frame decodes 0.5 s more
    samples_per_frame = Random(f"frame {seed}").choice(lengths)
    on_other_rate = "resample"
    try:
        timeline = at_sample_rate(track, base.rate, on_other_rate=on_other_rate) if track else None
        if timeline and timeline.num_samples > _MOST_SAMPLES:
            on_other_rate = "skip"
            timeline = at_sample_rate(track, base.rate, on_other_rate=on_other_rate) if track else None
    except AudioFileError as error:
        outcome.reported, timeline = outcome.reported or str(error), None
    dataset = StreamingAudioDataset(
        path, return_info=True, samples_per_frame=samples_per_frame, seed=seed, sr=base.rate, channels=base.channels,
        on_other_rate=on_other_rate,
    )  # fmt: skip
    warned = _Warned(logging.WARNING)
    logger = logging.getLogger("flowmo_data")
    logger.addHandler(warned)
    frames: list[dict[str, Any]] = []
    try:
        frames = sorted(dataset, key=itemgetter("start"))
    except AudioFileError:  # the only file, and it cannot be read
        pass
    finally:
        logger.removeHandler(warned)
    if outcome.reported and not warned.some:
        outcome.problems.append(f"the dataset logs nothing of this: {outcome.reported}")
    num_samples = timeline.num_samples if timeline else 0
    outcome.problems += frame_problems(frames, num_samples, samples_per_frame, base.channels)
