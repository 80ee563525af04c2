"""Measure what FFmpeg's decoders need before a window, and the speed: `python docs/measure_containers.py`.

The script encodes synthetic music with PyAV in each format of the tests, and writes a table in Markdown:

- needed: the smallest number of packets before a window from which all windows equal a decode in one go; "noise" if no
  number leads to that, because the decoder's generator of noise goes on.
- difference: the largest one between what flowmo_data reads and FFmpeg's decode in one go.
- times: of the processor, for windows of 196,608 samples: of flowmo_data, of PyAV that decodes the whole file, for each
  such stretch of it, and of torchcodec with a decoder that stays open.

The script needs the extras av and torchcodec, and FFmpeg.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from containers import FORMATS, make, whole_decode

from flowmo_data.decoding import read_window
from flowmo_data.runtime.extras import import_extra
from flowmo_data.sources import LocalFile
from flowmo_data.tracks import ContainerPart, open_track
from flowmo_data.tracks.containers.codecs import FROM_START
from flowmo_data.tracks.containers.packets import decoded

_SECONDS = 240
_WINDOW = 196_608
_PREROLLS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_PLACES = 12
_COMPARED = 8
"""packets of a window that are compared"""


def needed(part: ContainerPart) -> str:
    """Return the smallest preroll from which windows equal a decode in one go."""
    packets = part.packets(0, min(part.num_packets, 2_000))
    decoder = part.new_decoder(packets[0].stream)
    whole = [_samples(decoder, packet) for packet in packets]
    first = min(_PREROLLS[-1], len(packets) // 2)
    places = np.linspace(first, len(packets) - _COMPARED - 1, _PLACES).astype(int).tolist()
    for preroll in _PREROLLS:
        if preroll <= first and all(_is_equal(part, whole, place, preroll) for place in places):
            return str(preroll)
    return f"more than {first}"


def _is_equal(part: ContainerPart, whole: Sequence[Any], place: int, preroll: int) -> bool:
    stop = min(place + _COMPARED, len(whole))
    with part.open() as (_, stream):
        decoder = part.new_decoder(stream)
        for packet in part.packets(place - preroll, place):
            decoded(decoder, packet)
        found = [_samples(decoder, packet) for packet in part.packets(place, stop)]
    return all(map(np.array_equal, found, whole[place:stop]))


def _samples(decoder: Any, packet: Any) -> Any:
    frames = decoded(decoder, packet) or []
    return np.concatenate([frame.to_ndarray().ravel() for frame in frames]) if frames else np.empty(0)


def milliseconds(function: Callable[[], object], times: int = 3) -> float:
    """Return the processor time that a call takes, the best of a few."""
    starts = [time.process_time()]
    for _ in range(times):
        function()
        starts.append(time.process_time())
    return 1e3 * min(stop - start for start, stop in pairwise(starts))


def measure(folder: Path, name: str) -> str:
    """Return the table's row of a format."""
    path, encoded = make(folder, name, seconds=_SECONDS)
    source = LocalFile.at(str(path))
    (part,) = open_track(source).parts
    assert isinstance(part, ContainerPart)
    opening = milliseconds(lambda: open_track(source)) / _SECONDS * 60
    starts = np.random.default_rng(0).integers(0, part.num_samples - _WINDOW, 10).tolist()
    window = milliseconds(lambda: [read_window(part, start, start + _WINDOW, "native") for start in starts])
    in_one_go = whole_decode(path)
    samples = read_window(part, 0, part.num_samples, "native").samples
    length = min(len(in_one_go), len(samples))
    difference = float(np.abs(samples[:length] - in_one_go[:length]).max())
    whole = milliseconds(lambda: whole_decode(path), 2) / (len(encoded) / _WINDOW)
    preroll = "from the start" if part.preroll >= FROM_START else str(part.preroll)
    from_packets = "noise" if part.rule.restarts and difference else needed(part)
    return (
        f"| {name} | {from_packets} | {preroll} | {difference:.0e} | {opening:.1f} | {window / len(starts):.1f} "
        f"| {whole:.1f} | {_by_torchcodec(path, starts, part.sample_rate)} |"
    )


def _by_torchcodec(path: Path, starts: Sequence[int], rate: int) -> str:
    try:
        decoder = import_extra("torchcodec.decoders", user="this script").AudioDecoder(path)
        taken = milliseconds(
            lambda: [decoder.get_samples_played_in_range(start / rate, (start + _WINDOW) / rate) for start in starts]
        )
    except (RuntimeError, ValueError):
        return "fails"
    return f"{taken / len(starts):.1f}"


def main() -> None:
    """Print the table."""
    sys.stdout.write(
        "| | needed | used | difference | opening a minute, ms | window, ms | PyAV, ms | torchcodec, ms |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or FORMATS:
            sys.stdout.write(measure(Path(folder), name) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
