"""Files of FFmpeg's formats, made by PyAV's own encoders."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from builders import RATE, music

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def encode(
    path: Path,
    codec: str,
    samples: npt.NDArray[np.float32],
    rate: int = RATE,
    *,
    sample_format: str = "",
    muxer: str | None = None,
    bit_rate: int = 0,
    options: Mapping[str, str] | None = None,
    muxer_options: Mapping[str, str] | None = None,
    num_streams: int = 1,
) -> Path:
    """Encode `(num_samples, channels)` samples, with time stamps from 0 on; every stream has the same."""
    with av.open(str(path), "w", format=muxer, options=dict(muxer_options or {})) as container:
        streams = [container.add_stream(codec, rate=rate, options=dict(options or {})) for _ in range(num_streams)]
        for stream in streams:
            stream.layout = _LAYOUTS[samples.shape[1]]
            if sample_format:
                stream.format = sample_format
            if bit_rate:
                stream.bit_rate = bit_rate
            stream.codec_context.open()
        for stream in streams:
            for frame in _frames(stream, samples, rate):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def _frames(stream: Any, samples: npt.NDArray[np.float32], rate: int) -> Any:
    context = stream.codec_context
    size = context.frame_size or 4_096
    kind = context.format
    for start in range(0, len(samples), size):
        piece = as_stored(samples[start : start + size], kind.name)
        planar = piece.T if kind.is_planar else piece.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planar), kind.name, context.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        yield frame


def as_stored(samples: npt.NDArray[np.float32], kind: str) -> npt.NDArray[Any]:
    """Samples as an encoder takes them: floats, or integers of 16 bits, or of 24 bits in the upper part of 32."""
    kind = kind.rstrip("p")
    if kind == "s16":
        return np.round(samples * 32_767).astype(np.int16)
    if kind == "s32":
        return np.round(samples * 8_388_607).astype(np.int32) << 8
    return samples.astype({"flt": np.float32, "dbl": np.float64}[kind])


def whole_decode(path: Path, options: Mapping[str, str] | None = None) -> npt.NDArray[np.float32]:
    """What FFmpeg decodes of a file, with the delay and the padding cut off as it does it: `(num_samples, channels)`.

    `options` are those of the decoder.
    """
    with av.open(str(path)) as container:
        container.streams.audio[0].codec_context.options = dict(options or {})
        frames = [_floats(frame) for frame in container.decode(audio=0)]
    return np.concatenate(frames)


def _floats(frame: Any) -> npt.NDArray[np.float32]:
    samples = frame.to_ndarray()
    samples = samples.T if frame.format.is_planar else samples.reshape(frame.samples, -1)
    scale = {"i2": 1 << 15, "i4": 1 << 31}.get(samples.dtype.str[1:], 1)
    return (samples / scale).astype(np.float32)


SECONDS = 6
FORMATS: dict[str, tuple[str, str, int, dict[str, Any]]] = {
    "AAC in MP4": ("aac", "m4a", RATE, {}),
    "AAC without noise": ("aac", "mp4", RATE, {"options": {"aac_pns": "0"}}),
    "AAC in Matroska": ("aac", "mka", 48_000, {}),
    "AAC in ADTS": ("aac", "aac", RATE, {"muxer": "adts", "bit_rate": 96_000}),
    "ALAC": ("alac", "m4a", RATE, {"sample_format": "s16p"}),
    "ALAC of 24 bits": ("alac", "m4a", 96_000, {"sample_format": "s32p"}),
    "ALAC in CAF": ("alac", "caf", RATE, {"sample_format": "s16p"}),
    "FLAC in Matroska": ("flac", "mkv", RATE, {"sample_format": "s16"}),
    "FLAC in MP4": ("flac", "mp4", RATE, {"sample_format": "s32"}),
    "Opus in WebM": ("libopus", "webm", 48_000, {"sample_format": "s16"}),
    "Opus in MP4": ("libopus", "mp4", 48_000, {"sample_format": "flt"}),
    "Opus of 2.5 ms": ("libopus", "mka", 48_000, {"sample_format": "s16", "options": {"frame_duration": "2.5"}}),
    "Opus for speech": (
        "libopus", "webm", 16_000, {"sample_format": "s16", "options": {"application": "voip"}, "bit_rate": 16_000},
    ),
    "Vorbis in WebM": ("vorbis", "webm", RATE, {"options": {"strict": "-2"}}),
    "WavPack": ("wavpack", "wv", RATE, {"sample_format": "s16p"}),
    "WavPack of floats": ("wavpack", "wv", RATE, {"sample_format": "fltp"}),
    "TTA": ("tta", "tta", RATE, {"sample_format": "s16"}),
    "MP3 in MP4": ("libmp3lame", "mp4", RATE, {"sample_format": "fltp", "bit_rate": 64_000}),
    "MP3 in Matroska": ("libmp3lame", "mkv", 22_050, {"sample_format": "fltp", "bit_rate": 32_000}),
    "MP2 in Matroska": ("mp2", "mkv", RATE, {"sample_format": "s16"}),
    "AC-3": ("ac3", "ac3", 48_000, {}),
    "AC-3 in Matroska": ("ac3", "mkv", RATE, {"bit_rate": 128_000}),
    "E-AC-3": ("eac3", "eac3", 48_000, {"bit_rate": 96_000}),
    "WMA 2": ("wmav2", "wma", RATE, {"bit_rate": 128_000}),
    "WMA 2 with noise": ("wmav2", "wma", RATE, {"bit_rate": 32_000}),
    "WMA 1": ("wmav1", "wma", RATE, {"bit_rate": 96_000}),
    "AMR-NB": ("libopencore_amrnb", "amr", 8_000, {"sample_format": "s16", "bit_rate": 12_200, "channels": 1}),
    "PCM in MOV": ("pcm_s16le", "mov", RATE, {"sample_format": "s16"}),
    "PCM in Matroska": ("pcm_s24le", "mkv", RATE, {"sample_format": "s32"}),
}  # fmt: skip
"""codecs in containers: PyAV's encoder, the suffix, the sample rate and options"""


def make(folder: Path, name: str, *, seconds: float = SECONDS, seed: int = 0) -> tuple[Path, npt.NDArray[np.float32]]:
    """A file of one of `FORMATS`, and the samples that were encoded, at an odd length."""
    codec, suffix, rate, options = FORMATS[name]
    options = dict(options)
    samples = music(int(seconds * rate) + 123, seed=seed, channels=options.pop("channels", 2))
    return encode(folder / f"{name}.{suffix}", codec, samples, rate, **options), samples
