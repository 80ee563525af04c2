"""`flowmo-data pack`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import click

from flowmo_data.cli.console import plain_errors, progress, say, show_left_out
from flowmo_data.errors import AudioFileError, FlowmoDataError, counted, shown
from flowmo_data.packing import (
    Plan,
    PlannedShard,
    check_folder,
    is_finished,
    plan_shards,
    remove_unfinished,
    write_shard,
)
from flowmo_data.sources import excluded_paths, find_sources, is_url
from flowmo_data.sources.metadata.of_files import TableMetadata
from flowmo_data.sources.metadata.tables import Table, check_suffix
from flowmo_data.sources.paths import common_folder
from flowmo_data.tracks.index import INDEX_SUFFIX

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_LEAST_BYTES = 10_240


class _Size(click.ParamType):  # type: ignore[type-arg]
    """A number of bytes, such as 1GB, 500MB or 2GiB."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]I?|)B?", str(value).strip().upper())
        size = int(float(match[1]) * _UNITS[match[2]]) if match else 0
        if size < _LEAST_BYTES:
            self.fail(f"{value!r} is not a size of at least 10 kB; write it as 1GB, 500MB or 2GiB", param, ctx)
        return size


@click.command()
@click.argument("folder", metavar="FOLDER")
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False), help="The folder of the shards.")
@click.option("--size", default="1GB", show_default=True, type=_Size(), help="Largest size of a shard: 500MB, 2GiB.")
@click.option(
    "--metadata",
    type=click.Path(dir_okay=False),
    help="Table (CSV, JSON lines or Parquet) with a row for each file: it becomes the .json of the file.",
)
@click.option(
    "--shuffle",
    "seed",
    metavar="SEED",
    type=click.IntRange(0),
    help="Pack the files in a random order, drawn from this number.  [default: in the order of their paths]",
)
@click.option("--exclude", type=click.Path(dir_okay=False), help="List of files to leave out, one path per line.")
@plain_errors
def pack(folder: str, output: str, size: int, metadata: str | None, seed: int | None, exclude: str | None) -> None:
    """Write the audio of FOLDER to tar shards: shard-000000.tar and so on, as WebDataset reads them.

    FOLDER is a local folder, a glob, a manifest, or tars. Files are copied as they are, in the order of their paths,
    each with its sidecars (.json, .txt, .cls) behind it. Dots in names become underscores, because WebDataset takes
    all behind the first dot for the suffix.

    A shard is written under a temporary name, read back, and compared with its files. If the command was stopped, run
    it again: shards that are finished stay. A folder that holds other shards is refused.

    Exit status: 0 if all shards are written, 1 if not.
    """
    if is_url(folder) and not folder.startswith("tar://"):
        raise click.UsageError(f"{folder}: only local files are packed; copy them to a disk first")
    if is_url(output):
        raise click.UsageError(f"-o {output}: shards are written to a local folder; copy them to the store then")
    if folder.endswith(INDEX_SUFFIX):
        raise click.UsageError(f"{folder}: it is an index; give the folder of its files")
    if metadata is not None:
        check_suffix(metadata)
    try:
        os.makedirs(output, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"-o {output}: the folder cannot be made ({error.strerror})") from error
    output = os.path.abspath(output)
    paths = list(find_sources(folder, excluded=excluded_paths(exclude)))
    root = os.path.abspath(folder) if os.path.isdir(folder) else common_folder(paths)
    assert root is not None
    if f"{output}/".startswith(f"{root}/") and os.path.isdir(folder):
        raise click.UsageError(f"-o {output}: it is inside {folder}, so shards would be packed too; choose another")
    known = _Known(metadata, paths)
    with progress() as display:
        task = display.add_task("reading sizes", total=len(paths))
        plan = plan_shards(
            paths, root, shard_bytes=size, row_of=known.row_of, seed=seed, on_file=lambda: display.advance(task)
        )
    _say_names(plan)
    if known.num_missing:
        say(f"{metadata}: {counted(known.num_missing, 'file')} without a row; packed without a .json of the table")
    check_folder(output, {shard.name for shard in plan.shards})
    kept = {shard.name for shard in plan.shards if is_finished(output, shard)}
    _write(output, [shard for shard in plan.shards if shard.name not in kept])
    show_left_out(folder, {})
    megabytes = sum(shard.size for shard in plan.shards) / 1e6
    say(
        f"{output}: {counted(len(plan.shards), 'shard')}, {counted(plan.num_files, 'file')}, {megabytes:,.1f} MB; "
        f"{len(plan.shards) - len(kept)} written and verified, {len(kept)} there before"
    )


class _Known:
    """The rows of a table of metadata."""

    def __init__(self, table: str | None, paths: list[str]) -> None:
        self._metadata = None if table is None else TableMetadata(Table(table), paths)
        self.num_missing = 0

    def row_of(self, path: str) -> Mapping[str, Any] | None:
        """Return what is known about a file; None if it has no row."""
        if self._metadata is None:
            return None
        try:
            return self._metadata.of(path)
        except AudioFileError:
            self.num_missing += 1
            return None


def _say_names(plan: Plan) -> None:
    if plan.renamed:
        path, name = next(iter(plan.renamed.items()))
        say(
            f"{counted(len(plan.renamed), 'file')} with another name in its shard, so that each has a key of its own: "
            f"{shown(path)} is {shown(name)}"
        )


def _write(output: str, shards: list[PlannedShard]) -> None:
    with progress() as display:
        task = display.add_task("packing", total=sum(len(shard.members) for shard in shards))
        for shard in shards:
            try:
                write_shard(output, shard, lambda _: display.advance(task))
            except AudioFileError as error:
                raise FlowmoDataError(
                    f"{error}; {shard.name} is not written. Leave the file out (--exclude LIST), or run it again"
                ) from error
    remove_unfinished(output)
