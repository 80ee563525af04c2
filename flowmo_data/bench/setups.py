"""The setups to measure and their results, as records that go to a measuring process and come back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from flowmo_data.errors import counted

LOADERS = {
    "flowmo_data": "frames, collated by the DataLoader",
    "flowmo_data batches": "batches decoded in place: batch_size= of the dataset",
    "flowmo_data map-style": "random frames of AudioFrameDataset, from an index; the DataLoader's own shuffling",
    "whole-file": "a thread decodes whole files with minimp3py (else soundfile), 4 ahead; a buffer of frames; np.stack",
    "librosa": "librosa.load in an IterableDataset, a buffer of decoded frames, the standard DataLoader",
    "torchcodec": "random windows of torchcodec's AudioDecoder in a map-style dataset, the standard DataLoader",
    "decoder": "the decoder alone, on the same packets, into one buffer",
}
"""the loaders that can be measured"""
BASELINES = ("whole-file", "librosa", "torchcodec")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One configuration."""

    files: tuple[str, ...]
    """the `files` of `StreamingAudioDataset`"""
    loader: str = "flowmo_data"
    """one of `LOADERS`"""
    num_workers: int = 0
    decode_threads: int = 0
    decoder: str = "auto"
    """the `decoder` of `StreamingAudioDataset`; for a baseline, the name of its own decoder"""
    instruction_set: str = ""
    """the one that "native" uses; empty: the fastest that the processor has"""
    channels: int = 2
    """1 or 2; baselines ignore it"""
    batch_size: int = 32
    samples_per_frame: int = 196_608
    shuffle_buffer_size: int = 1_000
    warmup: int = 5
    """batches before the clock of the steady state starts"""
    batches: int = 50
    """timed batches"""
    seed: int = 42
    storage_options: dict[str, Any] = field(default_factory=dict)
    """options of fsspec for URLs in `files`"""

    def to_json(self) -> str:
        """Return the setup as one line of JSON."""
        return json.dumps(asdict(self))

    def for_report(self) -> dict[str, Any]:
        """Return the fields for a report: all but `storage_options`, which may be secret."""
        return {key: value for key, value in asdict(self).items() if key != "storage_options"}

    @property
    def name(self) -> str:
        """The configuration in a few words."""
        if self.loader == "decoder":
            return "decoder alone"
        if self.loader == "whole-file":
            return f"{self.loader}, {self.decoder}"
        threads = f", {counted(self.decode_threads, 'thread')}" if self.decode_threads else ""
        return f"{self.loader}, {counted(self.num_workers, 'worker')}{threads}"

    def cores_in_use(self, cores: int) -> int:
        """Return the number of the machine's cores that the setup can decode on at once."""
        if self.loader == "whole-file":
            return 1
        return min(cores, max(self.num_workers, 1) * max(self.decode_threads, 1))

    @classmethod
    def from_json(cls, text: str) -> Setup:
        """Return the setup that `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "files": tuple(values["files"])})


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The result of one run of a setup."""

    first_batch_seconds: float
    """from the creation of the dataset and the DataLoader to the first batch"""
    warmup_seconds: float
    """from the first batch to the last batch of the warm-up"""
    steady_seconds: float
    """duration of the timed batches"""
    num_batches: float
    """timed batches; a fraction if epochs end among them"""
    cpu_seconds: float
    """CPU time of the timed batches, in the main process and its workers"""
    peak_bytes: int
    """largest sum of the proportional set sizes of the main process and its workers"""
    epochs: float
    """passes over the data, warm-up included"""

    @property
    def batches_per_second(self) -> float:
        """Batches per second in the steady state."""
        return self.num_batches / self.steady_seconds

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Measurement:
        """Return the measurement that `asdict` took apart."""
        return cls(**{each.name: values[each.name] for each in fields(cls)})
