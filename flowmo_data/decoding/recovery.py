"""Decode a run that may be damaged: only the packets that the decoder refuses are lost."""

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
    """Decode a run, with silence in place of the packets that the decoder refuses.

    A decoder that refuses a packet returns fewer samples than the run has, and does not say which are missing. The
    packet is found by bisection: the longest piece of the run that decodes whole ends right before it.

    Args:
        run: the run; refused packets are muted in it.
        decode: the decoder.

    Returns:
        float32 samples of the shape `(run.num_samples, channels)`, valid until the thread decodes again.
    """
    decode = partial(_decoded_or_nothing, decode)
    samples, tried = decode(run), set[int]()
    while len(samples) != run.num_samples:
        refused, before = _mute_refused(run, decode), set(tried)
        tried |= refused
        if tried == before:  # refused although the refused packets are empty: no sample can be placed
            run.muted.update(range(run.num_packets))
            return np.zeros((run.num_samples, run.header.channels), np.float32)
        samples = decode(run)
    return samples


def _mute_refused(run: Run, decode: DecodeRun) -> set[int]:
    """Mute the packets that the decoder refuses, from the first on; return their indices in the run."""
    claims: dict[int, int] = {}  # packet -> main data that it claims now
    packet = 0
    while (packet := _next_refused(run, decode, packet)) < run.num_packets and claims.get(packet) != 0:
        claims[packet] = 0 if packet in claims else _handed_on(run, packet, claims.get(packet - 1))
        run.mute(packet, claims[packet])
    return set(claims)


def _decoded_or_nothing(decode: DecodeRun, run: Run) -> npt.NDArray[np.float32]:
    """Decode a run; return no samples if the decoder raises, which it should not."""
    try:
        return decode(run)
    except (FlowmoDataError, MemoryError):
        raise  # no fault of the run
    except Exception:
        logger.debug("a decoder raised, which counts as refused", exc_info=True)
        return np.empty((0, run.header.channels), np.float32)


def _handed_on(run: Run, packet: int, before: int | None) -> int:
    """Return the bytes of main data before a muted packet that it has to claim for the packets after it.

    Args:
        run: the run.
        packet: the packet.
        before: the bytes that the packet before it claims, if that is muted too.
    """
    if run.header.layer != 3 or packet + 1 == run.num_packets:
        return 0
    if before is not None:
        return before + run.main_data_bytes(packet - 1)
    return max(run.main_data_begin(packet + 1) - run.main_data_bytes(packet), 0)


def _next_refused(run: Run, decode: DecodeRun, known: int) -> int:
    """Return the first packet from `known` on that the decoder refuses, or the number of packets.

    Packets before `known` are good, and only a few of them are decoded again. So a run with every packet refused costs
    a few times as much as a good run, and not its square.
    """

    def is_whole(stop: int) -> bool:
        piece = run.piece(known, stop)
        return len(decode(piece)) == piece.num_samples

    step = 1
    while known < run.num_packets:
        stop = min(known + step, run.num_packets)
        if not is_whole(stop):
            low, high = known, stop  # the piece up to `low` decodes whole, the piece up to `high` does not
            while low + 1 < high:
                middle = (low + high) // 2
                low, high = (middle, high) if is_whole(middle) else (low, middle)
            return low
        known, step = stop, 2 * step
    return known
