"""Measure how speed grows with workers, on this machine and with these files: a table, a picture, a recommendation.

    python examples/benchmark_workers.py [FILES] [--workers 0 1 2 4] [--out workers.png]

Every setup runs --repeats times, each time in a process of its own; the setups take turns. "decoder alone" is one core
that decodes the same packets and does nothing else: the limit for a worker. `flowmo-data bench` measures more; this
example shows how to measure your own setups from Python. FILES is a folder, a file or a glob, but not an index. The
example needs matplotlib.
"""

from __future__ import annotations

from pathlib import Path

import rich
from harness import at_least, files_or_demo, parser, run
from rich.progress import Progress

from flowmo_data.bench.plotting import draw
from flowmo_data.bench.reporting import Result, recommendation, results_table
from flowmo_data.bench.running import run_setups
from flowmo_data.bench.setups import Setup
from flowmo_data.runtime.processes import num_cores
from flowmo_data.sources import find_sources


def main() -> None:
    """Measure, and print and draw the results."""
    arguments = parser(__doc__, max_steps=30, num_workers=None)
    workers = [number for number in (0, 1, 2, 4, 8, 16) if number <= num_cores()]
    text = f"numbers of DataLoader workers [{' '.join(map(str, workers))}]"
    arguments.add_argument("--workers", type=at_least(0), nargs="+", default=workers, metavar="N", help=text)
    arguments.add_argument("--repeats", type=at_least(1), default=3, metavar="N", help="runs of a setup [%(default)s]")
    arguments.add_argument("--out", type=Path, default=Path("workers.png"), help="the picture [%(default)s]")
    args = arguments.parse_args()
    files = files_or_demo(args.files)
    find_sources(files)  # raises now if something is wrong with them
    common = {
        "files": (files,),
        "batch_size": args.batch_size,
        "samples_per_frame": args.samples_per_frame,
        "batches": args.max_steps,
    }
    setups = [
        Setup(loader="decoder", **common),
        *(Setup(loader="flowmo_data batches", num_workers=number, **common) for number in args.workers),
    ]
    batches = setups[0].warmup + args.max_steps
    with Progress() as display:
        task = display.add_task("", total=len(setups) * args.repeats * batches)

        def on_batch(index: int, number: int) -> None:
            if number <= batches:  # the last batches of an epoch are short, so there can be more of them
                display.update(task, advance=1, description=setups[index].name)

        runs = run_setups(setups, repeats=args.repeats, on_batch=on_batch)
    limit, *results = map(Result, setups, runs)
    rich.print(results_table([limit, *results], limit))
    print(recommendation(results, limit))
    draw(results, limit, args.out)
    print(f"picture: {args.out}")


if __name__ == "__main__":
    run(main)
