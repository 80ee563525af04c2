#!/usr/bin/env python3
"""Stream thousands of mutated files, in child processes: `mutation_study.py --variants 20000 --decoder soundfile`.

A child takes a range of seeds and says on its standard output when it begins with each, and what became of it. One that
dies or hangs is noted with its seed, and another goes on behind it. At the end, a table: the seconds that came out, and
what soundfile and minimp3py give when they read the same files alone.
"""

from __future__ import annotations

import json
import logging
import platform
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import children
import click
from children import check_seeds, only_messages
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

ALONE = ("soundfile", "minimp3py")


def alone(reader: str, path: Path) -> float:
    """Seconds that a decoder gives when it reads a whole file alone; none where it raises."""
    try:
        if reader == "soundfile":
            import soundfile

            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        else:
            import minimp3py

            samples, rate = minimp3py.read(str(path))
    except Exception:  # whatever they raise
        return 0.0
    return len(samples) / rate if rate else 0.0


def child(first: int, stop: int, decoder: str) -> None:
    """Check the variants `[first, stop)`, and write a line of JSON before each and after each."""
    with only_messages() as say, tempfile.TemporaryDirectory(dir=children.memory_folder()) as folder:
        import torch
        from variants import check_variant, load_bases

        torch.set_num_threads(1)
        logging.getLogger("flowmo_data").propagate = False
        path, bases = Path(folder) / "variant.mp3", load_bases(Path(folder), decoder)
        readers = [reader for reader in ALONE if find_spec(reader)]

        def check(seed: int) -> dict[str, Any]:
            outcome = {**asdict(check_variant(bases, seed, path, decoder)), "alone": {}}
            for reader in readers:
                say({"seed": seed, "stage": reader})
                outcome["alone"][reader] = alone(reader, path)
            return outcome

        check_seeds(range(first, stop), check, say)


def outcomes(first: int, stop: int, decoder: str, limit_seconds: float) -> Iterator[tuple[int, dict[str, Any]]]:
    """What became of the variants `[first, stop)`, in their order; for one that ended the child, how."""

    def command(first: int, stop: int) -> list[str]:
        return [sys.executable, __file__, "--child", str(first), str(stop), "--decoder", decoder]

    return children.outcomes(command, first, stop, limit_seconds)


def summarize(results: dict[int, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Sums over the variants of each kind, and over all of them."""
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for result in results.values():
        for kind in (result.get("kind", "died"), "all"):
            total = sums[kind]
            total["variants"] += 1
            total["failed"] += bool(result.get("problems")) or "died" in result
            for name in ("ideal_seconds", "seconds", "right_seconds", "rounded_seconds", "concealed_seconds"):
                total[name] += result.get(name, 0)
            for reader, seconds in {"flowmo_data": result.get("seconds", 0), **result.get("alone", {})}.items():
                total[f"{reader}_seconds"] += seconds
                total[f"{reader}_of_ideal"] += min(seconds, result.get("ideal_seconds", 0))
    return {kind: dict(total) for kind, total in sums.items()}


def print_table(sums: dict[str, dict[str, float]], decoder: str) -> None:
    """Print what came out, by kind of damage."""
    readers = ["flowmo_data", *(reader for reader in ALONE if find_spec(reader))]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=f"flowmo_data decodes with {decoder}")
    table.add_column("damage", no_wrap=True)
    for name in ("files", "failed", "whole packets, s"):
        table.add_column(name, justify="right")
    for reader in readers:
        table.add_column(f"{reader}, s", justify="right")
        table.add_column("of whole", justify="right")
    for kind in sorted(sums, key=lambda kind: (kind == "all", kind)):
        total = sums[kind]
        cells = [f"{total['variants']:,.0f}", f"{total['failed']:,.0f}", f"{total['ideal_seconds']:,.1f}"]
        for reader in readers:
            share = 100 * total.get(f"{reader}_of_ideal", 0) / (total["ideal_seconds"] or 1)
            cells += [f"{total.get(f'{reader}_seconds', 0):,.1f}", f"{share:.1f}%"]
        table.add_row(kind, *cells)
    Console().print(table)


def machine() -> dict[str, Any]:
    """What a study ran on."""
    names = ("flowmo_data", "soundfile", "numpy", "torch", *(["minimp3py"] if find_spec("minimp3py") else []))
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in names},
    }


@click.command(help=__doc__)
@click.option("--variants", default=20_000, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True, help="The first variant's; each next one has the next.")
@click.option("--decoder", default="soundfile", show_default=True)
@click.option("--limit-seconds", default=20.0, show_default=True, help="A variant that takes longer hangs.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write every outcome there.")
@click.option("--child", "child_range", nargs=2, type=int, hidden=True)
def main(
    variants: int,
    seed: int,
    decoder: str,
    limit_seconds: float,
    json_path: Path | None,
    child_range: tuple[int, int] | None,
) -> None:
    """See the top of this file."""
    if child_range:
        child(*child_range, decoder)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]} failed"),
    )
    results: dict[int, dict[str, Any]] = {}
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task, failed = progress.add_task(decoder, total=variants, failed=0), 0
        for number, result in outcomes(seed, seed + variants, decoder, limit_seconds):
            results[number] = result
            if result.get("problems") or "died" in result:
                failed += 1
                progress.console.print(f"seed {number}: {result.get('problems') or result}", markup=False)
            progress.update(task, advance=1, failed=failed)
    sums = summarize(results)
    print_table(sums, decoder)
    if json_path:
        report = {"decoder": decoder, "machine": machine(), "by_kind": sums, "outcomes": results}
        json_path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
