"""The state of FFmpeg's decoders: how many packets before a window lead to the same samples as in the whole file.

The numbers were measured: `tests/decoding/test_container_window.py` compares windows with a whole decode. A codec that
is not in the table was not measured, so each of its windows is decoded from the start of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FROM_START = 1 << 40
"""packets before any window"""


@dataclass(frozen=True, slots=True)
class CodecRule:
    """What a decoder needs."""

    preroll: int = FROM_START
    """packets to decode before a window"""
    preroll_samples: int = 0
    """samples to decode before a window, if that is more"""
    restarts: bool = False
    """whether a new decoder begins at fixed packets: no preroll sets the generator of noise in its state right"""
    samples: int = 0
    """`ALL` if all packets have as many samples, `ALL_BUT_LAST` if the last may have fewer; 0 for no such rule"""
    decoder: str = ""
    """FFmpeg's name of the decoder, if it is not the first choice of FFmpeg"""
    options: Mapping[str, str] = field(default_factory=dict)
    """options of the decoder"""
    is_self_contained: bool = True
    """whether extradata, sample rate and channels are all that the decoder needs to know"""


ALL, ALL_BUT_LAST = 1, -1

_HE_AAC = CodecRule(preroll=16, restarts=True, samples=ALL)
"""SBR and parametric stereo begin at a header, which comes every ten packets or so"""
_DOLBY = CodecRule(preroll=2, samples=ALL, options={"cons_noisegen": "1"})
"""the option takes the seed of the noise from each packet"""
_RULES = {
    "aac": CodecRule(preroll=2, restarts=True, samples=ALL),
    "ac3": _DOLBY,
    "eac3": _DOLBY,
    "alac": CodecRule(preroll=0, samples=ALL_BUT_LAST),
    "ape": CodecRule(preroll=0, samples=ALL_BUT_LAST, is_self_contained=False),
    "flac": CodecRule(preroll=0, samples=ALL_BUT_LAST),
    "wavpack": CodecRule(preroll=0, samples=ALL_BUT_LAST),
    "tta": CodecRule(preroll=0, samples=ALL_BUT_LAST),
    "mp1": CodecRule(preroll=2, samples=ALL, decoder="mp1float"),
    "mp2": CodecRule(preroll=2, samples=ALL, decoder="mp2float"),
    "mp3": CodecRule(preroll=16, samples=ALL),
    "opus": CodecRule(preroll=1, preroll_samples=61_440),
    "vorbis": CodecRule(preroll=2),
    "wmav1": CodecRule(preroll=3, restarts=True, is_self_contained=False),
    "wmav2": CodecRule(preroll=3, restarts=True, is_self_contained=False),
}
_UNMEASURED = CodecRule(is_self_contained=False)
_HE_AAC_SAMPLES = 2_048
"""samples of a packet of HE-AAC: twice those of its core"""


def rule_of(codec: str, packet_samples: int) -> CodecRule:
    """Return what the decoder of a codec needs.

    Args:
        codec: FFmpeg's name of the codec.
        packet_samples: samples of a packet.
    """
    if codec == "aac" and packet_samples >= _HE_AAC_SAMPLES:
        return _HE_AAC
    if codec.startswith("pcm_"):
        return CodecRule(preroll=0, is_self_contained=False)
    return _RULES.get(codec, _UNMEASURED)


def decoder_delay(codec: str, sample_rate: int) -> int:
    """Return the samples at the start of a stream that FFmpeg drops whatever the container says.

    For WMA, these are two of its frames (`ff_wma_get_frame_len_bits` in FFmpeg's wma_common.c, and wmadec.c).

    >>> decoder_delay("wmav2", 44_100), decoder_delay("aac", 44_100)
    (4096, 0)
    """
    if codec not in ("wmav1", "wmav2"):
        return 0
    shortest, short = 16_000, 32_000 if codec == "wmav1" else 22_050
    return 2 * (512 if sample_rate <= shortest else 1_024 if sample_rate <= short else 2_048)
