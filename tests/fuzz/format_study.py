#!/usr/bin/env python3
"""Stream thousands of mutated files of the formats that are no MPEG audio: `format_study.py --variants 5000`.

As mutation_study.py, in child processes. At the end, a table: the seconds that came out of what is whole in the files,
and what soundfile gives when it reads the same files alone. format_variants.py defines what is checked.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import children
import click
from children import check_seeds, only_messages
from mutation_study import alone, machine
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

_NAMES = ("WAV", "FLAC", "Ogg Vorbis", "Ogg Opus", "AIFF", "CAF", "W64", "AU")


def child(name: str, first: int, stop: int) -> None:
    """Check the variants `[first, stop)` of a format, and write a line of JSON before each and after each."""
    with only_messages() as say, tempfile.TemporaryDirectory(dir=children.memory_folder()) as folder:
        import torch
        from format_variants import check_format_variant
        from formats import format_bases

        torch.set_num_threads(1)
        logging.getLogger("flowmo_data").propagate = False
        path, bases = Path(folder) / "variant.audio", format_bases(name)

        def check(seed: int) -> dict[str, Any]:
            outcome = asdict(check_format_variant(bases, seed, path))
            say({"seed": seed, "stage": "soundfile"})
            outcome["alone"] = alone("soundfile", path)
            return outcome

        check_seeds(range(first, stop), check, say)


def format_outcomes(name: str, first: int, stop: int, limit_seconds: float) -> Iterator[tuple[int, dict[str, Any]]]:
    """What became of the variants `[first, stop)` of a format; for one that ended the child, how."""

    def command(first: int, stop: int) -> list[str]:
        return [sys.executable, __file__, "--child", name, str(first), str(stop)]

    return children.outcomes(command, first, stop, limit_seconds)


def print_table(results: dict[str, dict[int, dict[str, Any]]]) -> None:
    """Print what came out, by format."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("format", no_wrap=True)
    for title in ("files", "failed", "refused", "reported", "checked, s", "whole, s", "flowmo_data", "soundfile alone"):
        table.add_column(title, justify="right")
    for name, outcomes in results.items():
        sums: dict[str, float] = defaultdict(float)
        for one in outcomes.values():
            ideal = one.get("ideal_seconds", 0)
            sums["failed"] += bool(one.get("problems")) or "died" in one
            sums["refused"] += one.get("is_refused", False)
            sums["reported"] += bool(one.get("reported")) and not one.get("is_refused", False)
            sums["checked"] += one.get("checked_seconds", 0)
            sums["ideal"] += ideal
            sums["here"] += min(one.get("seconds", 0), ideal)
            sums["alone"] += min(one.get("alone", 0), ideal)
        cells = [f"{len(outcomes):,}", *(f"{sums[key]:,.0f}" for key in ("failed", "refused", "reported"))]
        cells += [f"{sums[key]:,.0f}" for key in ("checked", "ideal")]
        cells += [f"{100 * sums[key] / (sums['ideal'] or 1):.1f}%" for key in ("here", "alone")]
        table.add_row(name, *cells)
    Console(width=110).print(table)


@click.command(help=__doc__)
@click.option("--variants", default=5_000, show_default=True, type=click.IntRange(1), help="Of each format.")
@click.option("--seed", default=0, show_default=True, help="The first variant's; each next one has the next.")
@click.option("--only", multiple=True, type=click.Choice(_NAMES), help="These formats.  [default: all]")
@click.option("--limit-seconds", default=20.0, show_default=True, help="A variant that takes longer hangs.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write every outcome there.")
@click.option("--child", "child_range", nargs=3, type=(str, int, int), hidden=True)
def main(
    variants: int,
    seed: int,
    only: tuple[str, ...],
    limit_seconds: float,
    json_path: Path | None,
    child_range: tuple[str, int, int] | None,
) -> None:
    """See the top of this file."""
    if child_range:
        child(*child_range)
        return
    results: dict[str, dict[int, dict[str, Any]]] = {}
    console = Console(stderr=True)
    for name in only or _NAMES:
        results[name] = {}
        found = format_outcomes(name, seed, seed + variants, limit_seconds)
        for number, result in track(found, name, total=variants, console=console):
            results[name][number] = result
            if result.get("problems") or "died" in result:
                what = f"{result.get('base')}, {result.get('what')}" if "what" in result else ""
                console.print(
                    f"{name} {number}: {what}: {result.get('problems') or result}", markup=False, soft_wrap=True
                )
    print_table(results)
    if json_path:
        json_path.write_text(json.dumps({"machine": machine(), "outcomes": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
