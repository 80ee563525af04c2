"""What the tests of the whole decoder in C share."""

from functools import cache

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from layer3_random import random_stream
from layer3_reference import decode
from layer3_writer import (
    DUAL_CHANNEL,
    JOINT_STEREO,
    SINGLE_CHANNEL,
    STEREO,
)

from flowmo_data.decoding import native
from flowmo_data.tracks.mpeg.headers import parse_header

SEEDS = st.integers(0, 2**32 - 1)
MODES = [(STEREO, 0), (DUAL_CHANNEL, 0), (SINGLE_CHANNEL, 0), *((JOINT_STEREO, extension) for extension in range(4))]
FEW = settings(max_examples=15, deadline=None)
"""for what takes the reference tenths of a second"""
ERROR = 3e-6
"""of samples within full scale, where float32 is not the double of the reference"""
CANCELLED = 1e-5
"""of samples that are what is left of larger ones: where windows do not fit, as in damaged streams"""
LOUDEST = 100


@cache
def stream_once(seed, fmt, **options):
    """A random stream, made once for all instruction sets."""
    return tuple(random_stream(seed, fmt, **options))


def samples_of(stream):
    """Samples per channel that packets decode to."""
    header = parse_header(stream[0])
    return len(stream) * header.samples_per_packet


def window(stream, skip=0, stop=None, *, channels=None, dtype=torch.float32, breaks=None):
    """The samples `[skip, stop)` of packets, and the verdicts; what is not written is not a number."""
    stop = samples_of(stream) if stop is None else stop
    channels = channels or parse_header(stream[0]).channels
    out = torch.full((channels, stop - skip), -12_345, dtype=dtype)
    starts = np.cumsum([0, *map(len, stream)]).astype(np.uint32)
    lost = None if breaks is None else np.isin(np.arange(len(stream)), breaks).astype(np.uint8)
    verdicts = native.decode_window(b"".join(stream), starts, skip=skip, out=out, breaks=lost)
    return out, verdicts


def refused_by(verdicts):
    return set(np.flatnonzero(verdicts).tolist())


@cache
def decode_once(stream, breaks):
    return decode(stream, breaks)


def assert_like_reference(stream, *, error=CANCELLED, breaks=()):
    """The same packets are refused, and the samples are those of the formulas."""
    expected = decode_once(tuple(stream), tuple(breaks))
    found, verdicts = window(stream, breaks=breaks)
    assert refused_by(verdicts) == set(expected.refused)
    loudest = max(np.abs(expected.samples).max(), 1)
    assert np.abs(found.numpy() - expected.samples).max() < error * loudest
