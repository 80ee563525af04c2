"""Compare torchcodec's windows with whole decodes: `python docs/measure_windows.py FILES [FILES ...]`.

FILES is a folder, a file or a glob. From each MP3 that is longer than 3 seconds and has no damage, the script takes
random windows of a second with `AudioDecoder.get_samples_played_in_range(start, start + 1)`. It compares each with the
same samples of a whole decode by libsndfile, and with samples that are earlier by `metadata.begin_stream_seconds`. It
takes frames of `AudioFrameDataset` at the same places, too. The output is a table in Markdown. The script needs the
extras torchcodec and index, and FFmpeg.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from flowmo_data.bench.baselines import check_torchcodec
from flowmo_data.datasets import AudioFrameDataset
from flowmo_data.errors import AudioFileError
from flowmo_data.runtime.extras import import_extra
from flowmo_data.sources import LocalFile, find_sources
from flowmo_data.tracks import AudioIndex, MpegPart, open_track

_WINDOWS = 30
_EQUAL = 1e-5
"""largest difference between decoders of the same samples"""


def compare(path: str, generator: random.Random) -> str:
    """Return the table's row of a file; an empty string if it is no MP3, damaged, or too short."""
    try:
        track = open_track(LocalFile.at(path))
    except AudioFileError:
        return ""
    if track.damage or len(track.parts) > 1 or not isinstance(track.parts[0], MpegPart):
        return ""
    delay = track.parts[0].section.delay
    whole = soundfile.read(path, dtype="float32", always_2d=True)[0].T
    rate = soundfile.info(path).samplerate
    if whole.shape[1] < 3 * rate:
        return ""
    try:
        decoder = import_extra("torchcodec.decoders", user="this script").AudioDecoder(path)
    except (RuntimeError, ValueError) as error:
        return f"| {Path(path).name} | {delay:,} | torchcodec: {str(error).splitlines()[0]} | | | | |"
    early = round((decoder.metadata.begin_stream_seconds or 0) * rate)
    first = window(decoder, 0, rate).shape[1]
    starts = [generator.randrange(early, whole.shape[1] - rate) for _ in range(_WINDOWS)]
    taken = [(start, window(decoder, start, rate)) for start in starts]
    in_place = sum(is_equal(samples, whole[:, start:]) for start, samples in taken)
    shifted = sum(is_equal(samples, whole[:, start - early :]) for start, samples in taken)
    frames = AudioFrameDataset(
        AudioIndex.build(path), sr=rate, samples_per_frame=rate, hop=1, framing="drop", channels=min(2, len(whole))
    )
    own = sum(is_equal(frames[start].numpy(), whole[:, start:]) for start, _ in taken)
    return f"| {Path(path).name} | {delay:,} | {early:,} | {first - rate:,} | {in_place} | {shifted} | {own} |"


def window(decoder: Any, start: int, rate: int) -> npt.NDArray[np.float32]:
    """Return the second from the sample `start` on, as torchcodec counts."""
    samples: npt.NDArray[np.float32] = decoder.get_samples_played_in_range(start / rate, start / rate + 1).data.numpy()
    return samples


def is_equal(samples: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> bool:
    """Return whether the samples equal the first ones of `others`."""
    return bool(np.abs(samples - others[:, : samples.shape[1]]).max() < _EQUAL)


def main() -> None:
    """Print the table."""
    check_torchcodec()
    generator = random.Random(0)
    sys.stdout.write(
        f"| file | delay in its tag | the stream begins late, samples | first window, samples more "
        f"| of {_WINDOWS} windows in place | as much earlier | own in place |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    )
    for path in find_sources(sys.argv[1:]):
        row = compare(path, generator)
        sys.stdout.write(row + "\n" * bool(row))


if __name__ == "__main__":
    main()
