"""Decode a run with libsndfile (mpg123 inside), through soundfile.

libsndfile reads files, and stops at its own guess of a file's length. So a run becomes a file:

    Xing | filler ... | the run's packets                     Layer III
           filler ... | the run's packets | filler ...        Layers I and II

The Xing packet states the number of packets. Without it, and always in Layers I and II, the length is guessed from the
bitrate; fillers at the end make the guess long enough. Fillers at the start take the 529 samples that mpg123 drops as
the decoder's delay. They also turn mpg123's synthesis window to its position in the whole file: the window is a ring of
16 places, a packet turns it by 36, 18 or 12, and the position decides the order in which floats are summed.
In the whole file, it has also turned once for each packet that lies wholly within the delay (LAME's delay is longer
than a packet of 576 samples). This was found by trial, and holds for up to four such packets; with more, mono files of
MPEG-2 may differ in the last bit.
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
    """Decode a run: see `registry.DecodeRun`."""
    per_packet = run.header.samples_per_packet
    turn = 8 if per_packet == 576 else 4  # packets after which the ring is back at its position
    num_fillers = (run.first + run.num_inaudible - 1) % turn + 1
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
    """Return a file in memory for libsndfile to open; with a descriptor, it reads without the GIL."""
    if not HAS_MEMORY_FILES:
        return io.BytesIO(file)
    descriptor = open_memory_file()
    os.write(descriptor, file)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _xing_packet(filler: bytes, num_packets: int) -> bytes:
    """Return a Xing packet that only states the number of packets after it."""
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
