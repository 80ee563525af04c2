"""DecodeRun a run that may be damaged: what is lost is the packets that the decoder refuses, and no more."""

from __future__ import annotations

import logging
from functools import partial

import numpy as np
import numpy.typing as npt

from flowmo_data.decoding.registry import DecodeRun
from flowmo_data.errors import FlowmoDataError
from flowmo_data.tracks.mpeg import Run

logger = logging.getLogger(__name__)


def decode_run(run: Run, decode: DecodeRun) -> npt.NDArray[np.float32]:
    """DecodeRun a run, with silence in place of the packets that the decoder refuses.

    A decoder that refuses a packet gives fewer samples than the run has, and does not say where they are missing. It
    is found by bisection: the longest piece of the run that decodes whole ends right before it.

    Args:
        run: the run; the packets refused are muted in it.
        decode: the decoder.

    Returns:
        float32 samples of the shape `(run.num_samples, channels)`, valid until the thread decodes again.
    """
    decode = partial(_decoded_or_nothing, decode)
    samples, tried = decode(run), set[int]()
    while len(samples) != run.num_samples:
        refused, before = _mute_refused(run, decode), set(tried)
        tried |= refused
        if tried == before:  # refused although all that is refused is empty: nothing can be placed
            run.muted.update(range(run.num_packets))
            return np.zeros((run.num_samples, run.header.channels), np.float32)
        samples = decode(run)
    return samples


def _mute_refused(run: Run, decode: DecodeRun) -> set[int]:
    """Mute the packets that the decoder refuses, from the first on; gives their indices in the run."""
    claims: dict[int, int] = {}  # packet -> main data that it claims now
    packet = 0
    while (packet := _next_refused(run, decode, packet)) < run.num_packets and claims.get(packet) != 0:
        claims[packet] = 0 if packet in claims else _handed_on(run, packet, claims.get(packet - 1))
        run.mute(packet, claims[packet])
    return set(claims)


def _decoded_or_nothing(decode: DecodeRun, run: Run) -> npt.NDArray[np.float32]:
    """What a decoder gives for a run; nothing where it raises although it should not."""
    try:
        return decode(run)
    except (FlowmoDataError, MemoryError):
        raise  # no fault of the run
    except Exception:
        logger.debug("a decoder raised, which counts as refused", exc_info=True)
        return np.empty((0, run.header.channels), np.float32)


def _handed_on(run: Run, packet: int, before: int | None) -> int:
    """Main data from before a packet that it claims, when it is muted, for those behind it.

    Args:
        run: the run.
        packet: the packet.
        before: what the packet before it claims, where that is muted too: all that it has is then there.
    """
    if run.header.layer != 3 or packet + 1 == run.num_packets:
        return 0
    if before is not None:
        return before + run.main_data_bytes(packet - 1)
    return max(run.main_data_begin(packet + 1) - run.main_data_bytes(packet), 0)


def _next_refused(run: Run, decode: DecodeRun, known: int) -> int:
    """The first packet from `known` on that the decoder refuses; the number of packets where there is none.

    Those before `known` are not refused. Only a few of them are decoded again, so that a run that is refused packet by
    packet costs a few times what a whole one costs, and not its square.
    """

    def is_whole(stop: int) -> bool:
        piece = run.piece(known, stop)
        return len(decode(piece)) == piece.num_samples

    step = 1
    while known < run.num_packets:
        stop = min(known + step, run.num_packets)
        if not is_whole(stop):
            low, high = known, stop  # the piece up to `low` decodes whole, that up to `high` does not
            while low + 1 < high:
                middle = (low + high) // 2
                low, high = (middle, high) if is_whole(middle) else (low, middle)
            return low
        known, step = stop, 2 * step
    return known
