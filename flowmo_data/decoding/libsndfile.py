"""Decode a run with libsndfile (mpg123 inside), through soundfile.

libsndfile wants a file, and believes what it takes the file's length to be. So a run becomes one:

    Xing | filler ... | the run's packets                     Layer III
           filler ... | the run's packets | filler ...        Layers I and II

The Xing packet states the number of packets. Without it, and always in Layers I and II, the length is a guess from the
bitrate, which fillers behind make long enough. The fillers in front take the 529 samples that mpg123 drops as the
decoder's delay, and bring mpg123's synthesis window to the turn that it would have had in the whole file: it is a ring
of 16 places of which a packet moves 36, 18 or 12, and the order of a sum of floats in it depends on the turn.
"""

from __future__ import annotations

import io
import os

import numpy as np
import numpy.typing as npt
import soundfile

from flowmo_data.runtime.resources import HAS_MEMORY_FILES, open_memory_file
from flowmo_data.runtime.scratch import scratch
from flowmo_data.tracks.mpeg import Run
from flowmo_data.tracks.mpeg.headers import parse_header

_DROPPED_SAMPLES = 529
_XING_BYTES = 12


def decode(run: Run) -> npt.NDArray[np.float32]:
    """Decode a run: see `registry.Decode`."""
    per_packet = run.header.samples_per_packet
    turn = 8 if per_packet == 576 else 4  # packets after which the ring stands as before
    num_fillers = (run.first - 1) % turn + 1
    filler = run.silent_packet()
    if run.header.layer == 3:
        file = _xing_packet(filler, num_fillers + run.num_packets) + filler * num_fillers + run.data
        skipped = num_fillers * per_packet - _DROPPED_SAMPLES
    else:
        longest = max(stop - start for start, stop in zip(run.starts, run.starts[1:], strict=False))
        num_behind = (run.num_packets * longest - len(run.data)) // len(filler) + 4
        file = filler * num_fillers + run.data + filler * num_behind
        skipped = num_fillers * per_packet
    out = scratch(skipped + run.num_samples, run.header.channels)
    try:
        with soundfile.SoundFile(_in_memory(file), closefd=True) as opened:
            num_read = opened.buffer_read_into(out, "float32") if opened.channels == run.header.channels else 0
    except soundfile.LibsndfileError:
        num_read = 0
    return out[skipped : max(num_read, skipped)]


def _in_memory(file: bytes) -> int | io.BytesIO:
    """Something that libsndfile opens: a file in memory where there are such, which it reads without taking the GIL."""
    if not HAS_MEMORY_FILES:
        return io.BytesIO(file)
    descriptor = open_memory_file()
    os.write(descriptor, file)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _xing_packet(filler: bytes, num_packets: int) -> bytes:
    """A Xing packet that states the number of packets after it and nothing else."""
    packet = bytearray(filler)
    header = parse_header(packet)
    assert header is not None
    if len(packet) < header.main_data_offset + _XING_BYTES:  # too short to hold it: take the highest bitrate
        packet[2] = packet[2] & 0x0F | 0xE0
        header = parse_header(packet)
        assert header is not None
        packet.extend(bytes(header.packet_bytes - len(packet)))
    tag = b"Xing" + (1).to_bytes(4, "big") + num_packets.to_bytes(4, "big")
    packet[header.main_data_offset : header.main_data_offset + _XING_BYTES] = tag
    return bytes(packet)
