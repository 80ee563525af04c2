"""Tars for tests: shards by the real webdataset package, and tars in every state."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import webdataset
from webdataset import tariterators


def write_shards(folder: Path, samples: Iterable[Mapping[str, Any]], maxcount: int = 3) -> list[Path]:
    """Shards of WebDataset's `ShardWriter`; each sample has its `__key__`, and values by suffix."""
    folder.mkdir(exist_ok=True)
    with webdataset.ShardWriter(f"{folder}/%04d.tar", maxcount=maxcount, verbose=0) as writer:
        for sample in samples:
            writer.write(dict(sample))
    return sorted(folder.iterdir())


def samples_of(folder: Path) -> list[dict[str, Any]]:
    """The files of a folder as samples, with a sidecar of each kind."""
    return [
        {
            "__key__": path.stem,
            path.suffix[1:]: path.read_bytes(),
            "json": {"number": number},
            "txt": f"text {number}",
            "cls": number,
        }
        for number, path in enumerate(sorted(folder.iterdir()))
    ]


def read_shards(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The samples of shards, as WebDataset groups them; it would leave closing the files to the garbage collector."""
    samples: list[dict[str, Any]] = []
    for path in paths:
        with path.open("rb") as stream:
            files = tariterators.tar_file_expander([{"url": str(path), "stream": stream}])
            samples += tariterators.group_by_keys(files)
    return samples


def tar_of(files: Mapping[str, bytes], *, kind: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar in memory."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()
