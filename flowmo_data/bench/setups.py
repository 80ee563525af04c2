"""What is measured, and what comes out of it: the records that go to a measuring process and come back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from flowmo_data.errors import counted

LOADERS = {
    "flowmo_data": "frames, put together by the DataLoader",
    "flowmo_data batches": "batches decoded in place: batch_size= of the dataset",
    "whole-file": "a thread decodes whole files, 4 ahead; a buffer of decoded frames; np.stack",
    "librosa": "librosa.load in an IterableDataset, a buffer of decoded frames, the standard DataLoader",
    "decoder": "the decoder alone, on the same packets, into one buffer",
}
"""what can be measured"""
BASELINES = ("whole-file", "librosa")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One configuration."""

    files: tuple[str, ...]
    """what `StreamingAudioDataset(files)` takes"""
    loader: str = "flowmo_data"
    """one of `LOADERS`"""
    num_workers: int = 0
    decode_threads: int = 0
    decoder: str = "auto"
    batch_size: int = 32
    samples_per_frame: int = 196_608
    shuffle_buffer_size: int = 1_000
    warmup: int = 5
    """batches before the clock of the steady state starts"""
    batches: int = 50
    """batches that are timed"""
    seed: int = 42

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))

    @property
    def name(self) -> str:
        """The configuration in a few words."""
        if self.loader == "decoder":
            return "decoder alone"
        if self.loader == "whole-file":
            return self.loader
        threads = f", {counted(self.decode_threads, 'thread')}" if self.decode_threads else ""
        return f"{self.loader}, {counted(self.num_workers, 'worker')}{threads}"

    def cores_in_use(self, cores: int) -> int:
        """How many of the machine's cores the setup can decode on at once."""
        if self.loader == "whole-file":
            return 1
        return min(cores, max(self.num_workers, 1) * max(self.decode_threads, 1))

    @classmethod
    def from_json(cls, text: str) -> Setup:
        """What `to_json` gave."""
        values = json.loads(text)
        return cls(**{**values, "files": tuple(values["files"])})


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one run of a setup gave."""

    first_batch_seconds: float
    """from making the dataset and the DataLoader to holding the first batch"""
    warmup_seconds: float
    """from holding the first batch to holding the last of the warm-up"""
    steady_seconds: float
    """of the timed batches"""
    num_batches: float
    """timed; a fraction where epochs end inside"""
    cpu_seconds: float
    """of the timed batches, in the main process and its workers"""
    peak_bytes: int
    """largest sum of the proportional set sizes of the main process and its workers"""
    epochs: float
    """how often the data was gone through, warm-up included"""

    @property
    def batches_per_second(self) -> float:
        """Batches a second in the steady state."""
        return self.num_batches / self.steady_seconds

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Measurement:
        """From what `asdict` gave."""
        return cls(**{field.name: values[field.name] for field in fields(cls)})
