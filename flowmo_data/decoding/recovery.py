"""Decode a run that may be damaged: what is lost is the packets that the decoder refuses, and no more."""

from __future__ import annotations

import logging
from functools import partial

import numpy as np
import numpy.typing as npt

from flowmo_data.decoding.choosing import Decode
from flowmo_data.errors import FlowmoDataError
from flowmo_data.mpeg import Run

logger = logging.getLogger(__name__)


def decode_run(run: Run, decode: Decode) -> npt.NDArray[np.float32]:
    """Decode a run, with silence in place of the packets that the decoder refuses.

    A decoder that refuses a packet gives fewer samples than the run has, and does not say where they are missing. It
    is found by bisection: the longest prefix of the run that decodes whole ends right before it.

    Args:
        run: the run; the packets refused are muted in it.
        decode: the decoder.

    Returns:
        float32 samples of the shape `(run.num_samples, channels)`, valid until the thread decodes again.
    """
    refused: dict[int, int] = {}  # packet -> main data that it claims now
    decode = partial(_decoded_or_nothing, decode)
    samples = decode(run)
    while len(samples) != run.num_samples:
        packet = _first_refused(run, decode, max(refused, default=0))
        if refused.get(packet) == 0:  # refused although it is empty: nothing can be placed
            run.muted.update(range(run.num_packets))
            return np.zeros((run.num_samples, run.header.channels), np.float32)
        refused[packet] = 0 if packet in refused else _wanted_behind(run, packet)
        run.mute(packet, refused[packet])
        samples = decode(run)
    return samples


def _decoded_or_nothing(decode: Decode, run: Run) -> npt.NDArray[np.float32]:
    """What a decoder gives for a run; nothing where it raises although it should not."""
    try:
        return decode(run)
    except (FlowmoDataError, MemoryError):
        raise  # no fault of the run
    except Exception:
        logger.debug("a decoder raised, which counts as refused", exc_info=True)
        return np.empty((0, run.header.channels), np.float32)


def _wanted_behind(run: Run, packet: int) -> int:
    """Main data from before a packet that the one behind it wants."""
    if run.header.layer != 3 or packet + 1 == run.num_packets:
        return 0
    return max(run.main_data_begin(packet + 1) - run.main_data_bytes(packet), 0)


def _first_refused(run: Run, decode: Decode, whole: int) -> int:
    """The packet before which the run decodes whole and with which it does not; `whole` packets are known to."""
    low, high = whole, run.num_packets  # the prefix of `low` packets decodes whole, that of `high` does not
    while low + 1 < high:
        middle = (low + high) // 2
        prefix = run.prefix(middle)
        if len(decode(prefix)) == prefix.num_samples:
            low = middle
        else:
            high = middle
    return high - 1
