"""A slow, obvious Layer III decoder by the formulas of the standard: the truth for the tests of the fast one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from layer3_filterbank import hybrid, reduce_aliases, synthesize
from layer3_main_data import ScaleFactors, read_scale_factors, read_spectrum
from layer3_side_info import Bits, Granule, RefusedError, SideInfo, read_side_info
from layer3_spectrum import reorder, requantize, to_left_and_right

from flowmo_data.tracks.mpeg.headers import Header, parse_header

Array = npt.NDArray[np.float64]

LOUDEST_ALONE = 100 / 3
"""that a granule may decode to with nothing around it, so that no sample is beyond 100: a rule of the decoder in C"""


@dataclass
class Decoded:
    """The samples of a run of packets."""

    samples: Array
    """`(channels, samples)`, nominally within +-1"""
    refused: dict[int, str]
    """packet -> why it could not be decoded; it counts as one of zeros with long blocks"""


class _Channel:
    """What a channel remembers from granule to granule."""

    def __init__(self) -> None:
        self.overlap = np.zeros((18, 32))
        self.slots = np.zeros((15, 32))
        self.samples: list[Array] = []

    def add(self, spectrum: Array, granule: Granule, sample_rate: int) -> None:
        """Decode the spectrum of a granule, in the order of the bitstream, to 576 samples."""
        lines = reduce_aliases(reorder(spectrum, granule, sample_rate), granule, sample_rate)
        subbands, self.overlap = hybrid(lines, granule, sample_rate, self.overlap)
        self.samples.append(synthesize(subbands, self.slots))
        self.slots = np.concatenate([self.slots, subbands])[-15:]


def decode(packets: Sequence[bytes], breaks: Sequence[int] = ()) -> Decoded:
    """Decode packets of one stream.

    Args:
        packets: whole packets, one right after the other.
        breaks: indices of packets before which bytes were lost, so that main data before them is not theirs.
    """
    header = parse_header(packets[0])
    assert header is not None
    channels = [_Channel() for _ in range(header.channels)]
    refused, reservoir = {}, b""
    num_granules = header.samples_per_packet // 576
    for index, packet in enumerate(packets):
        if index in breaks:
            reservoir = b""
        try:
            spectra, granules = read_packet(packet, reservoir)
            refuse_loud(spectra, granules, header.sample_rate)
        except RefusedError as error:
            refused[index] = str(error)
            spectra = [[np.zeros(576)] * header.channels] * num_granules
            granules = [[Granule()] * header.channels] * num_granules
        for of_granule, infos in zip(spectra, granules, strict=True):
            for channel, spectrum, info in zip(channels, of_granule, infos, strict=True):
                channel.add(spectrum, info, header.sample_rate)
        reservoir = (reservoir + packet[_header(packet).main_data_offset :])[-header.reservoir_bytes :]
    return Decoded(np.stack([np.concatenate(channel.samples) for channel in channels]), refused)


def refuse_loud(spectra: list[list[Array]], granules: list[list[Granule]], sample_rate: int) -> None:
    """Refuse a packet that has a granule too loud to be a signal.

    Lines whose squares add up to 3.8 at most cannot be: nothing that they decode to is beyond 17 times their root.
    """
    for of_granule, infos in zip(spectra, granules, strict=True):
        for spectrum, info in zip(of_granule, infos, strict=True):
            if (spectrum**2).sum() > 3.8:
                alone = _Channel()
                for lines, block in ((spectrum, info), (np.zeros(576), Granule()), (np.zeros(576), Granule())):
                    alone.add(lines, block, sample_rate)
                if np.abs(np.concatenate(alone.samples)).max() > LOUDEST_ALONE:
                    raise RefusedError("louder than any signal")


def _header(packet: bytes) -> Header:
    header = parse_header(packet)
    assert header is not None
    return header


def read_packet(packet: bytes, reservoir: bytes) -> tuple[list[list[Array]], list[list[Granule]]]:
    """Return the spectra of a packet, `[granule][channel]`, in the order of the bitstream, and its side information.

    Args:
        packet: the packet.
        reservoir: the main data of the packets before it.
    """
    header = _header(packet)
    at = header.main_data_offset - header.side_info_bytes
    side = read_side_info(packet[at : at + header.side_info_bytes], header.sample_rate, header.channels)
    if side.main_data_begin > len(reservoir):
        raise RefusedError("main data before the first packet")
    begin = len(reservoir) - side.main_data_begin
    bits = Bits(reservoir[begin:] + packet[header.main_data_offset :])
    if sum(granule.part2_3_length for row in side.granules for granule in row) > len(bits.text):
        raise RefusedError("main data past the end")
    mode_extension = packet[3] >> 4 & 3 if packet[3] >> 6 == 1 else 0
    return _read_main_data(bits, side, header, mode_extension), side.granules


def _read_main_data(bits: Bits, side: SideInfo, header: Header, mode_extension: int) -> list[list[Array]]:
    spectra = []
    rate = header.sample_rate
    factors: list[ScaleFactors | None] = [None] * header.channels
    for granules in side.granules:
        of_granule = []
        for channel, granule in enumerate(granules):
            end = bits.pos + granule.part2_3_length
            now = read_scale_factors(
                bits, granule, rate, scfsi=side.scfsi[channel], before=factors[channel],
                intensity_channel=bool(mode_extension & 1) and channel == 1,
            )  # fmt: skip
            if bits.pos > end:
                raise RefusedError("scale factors past the end")
            factors[channel] = now
            of_granule.append(requantize(read_spectrum(bits, granule, rate, end), granule, now, rate))
        if mode_extension:
            assert factors[1] is not None
            of_granule = list(
                to_left_and_right(
                    *of_granule,
                    granule=granules[1],
                    factors=factors[1],
                    sample_rate=rate,
                    mode_extension=mode_extension,
                )
            )
        spectra.append(of_granule)
    return spectra
