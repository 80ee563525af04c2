"""The results of the measurements: a table for a person, JSON for a script, and a recommendation."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rich import box
from rich.table import Table

from flowmo_data.bench.setups import Measurement, Setup
from flowmo_data.bench.surveying import Survey
from flowmo_data.runtime.processes import num_cores

_CAPTION = (
    "w × t: workers × decode threads. {runs}"
    "of limit: share of the decoder alone × the cores in use. MB: peak memory of all processes."
)
_SEVERAL_RUNS = "Medians; below them the smallest and the largest of several runs. "
_AS_GOOD = 0.97
"""relative speed from which a setup that needs less memory is recommended instead of the fastest"""


@dataclass(frozen=True)
class Result:
    """A setup and the results of its runs."""

    setup: Setup
    runs: Sequence[Measurement]

    def median(self, value: Callable[[Measurement], float]) -> float:
        """Return the median of a value over the runs."""
        return statistics.median(value(run) for run in self.runs)

    @property
    def batches_per_second(self) -> float:
        """Batches per second, median over the runs."""
        return self.median(lambda run: run.batches_per_second)


def machine() -> dict[str, Any]:
    """Return the machine, the versions and the date."""
    versions = {"python": platform.python_version()}
    for package in ("flowmo_data", "torch", "torchaudio", "numpy", "soundfile", "minimp3py", "librosa", "torchcodec"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": num_cores(),
        "versions": versions,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def share_of_limit(result: Result, limit: Result | None) -> float | None:
    """Return a loader's speed as a share of the decoder alone on as many cores; None if it has another decoder."""
    if limit is None or result.setup.loader in ("decoder", "librosa") or result.setup.decoder != limit.setup.decoder:
        return None
    cores = result.setup.cores_in_use(num_cores())
    return result.batches_per_second / (limit.batches_per_second * cores)


def results_table(results: Sequence[Result], limit: Result | None) -> Table:
    """Return a table with a row for each setup: medians, and below them the smallest and largest of several runs.

    "w × t" is workers × decode threads, "of limit" the share of the decode limit, "MB" peak memory of all processes.
    """
    caption = _CAPTION.format(runs=_SEVERAL_RUNS if len(results[0].runs) > 1 else "")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    table.add_column("loader", no_wrap=True, min_width=13)
    columns = ("w × t", "first\nbatch, s", "batches\n/s", "of\nlimit", "Msamp.\n/s", "CPU ms\n/batch", "MB")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for result in results:
        table.add_row(*_cells(result, limit))
    return table


def _cells(result: Result, limit: Result | None) -> list[str]:
    setup = result.setup
    frame_samples = setup.batch_size * setup.samples_per_frame
    share = share_of_limit(result, limit)
    speed = [
        _spread(result, lambda run: run.batches_per_second),
        "" if share is None else f"{share:.0%}",
        f"{result.batches_per_second * frame_samples / 1e6:.1f}",
    ]
    if setup.loader == "decoder":
        return ["decoder alone", "", "", *speed, "", ""]
    return [
        setup.loader.replace(" ", "\n") + (f"\n{setup.decoder}" if setup.loader == "whole-file" else ""),
        f"{setup.num_workers} × {setup.decode_threads}",
        _spread(result, lambda run: run.first_batch_seconds),
        *speed,
        f"{result.median(lambda run: run.cpu_seconds / run.num_batches) * 1e3:.0f}",
        f"{result.median(lambda run: run.peak_bytes) / 1e6:.0f}",
    ]


def _spread(result: Result, value: Callable[[Measurement], float]) -> str:
    values = [value(run) for run in result.runs]
    median = f"{statistics.median(values):.2f}"
    return median if len(values) == 1 else f"{median}\n{min(values):.2f}-{max(values):.2f}"


def recommendation(results: Sequence[Result], limit: Result | None) -> str:
    """Return a recommended setup for this machine, and the reason."""
    own = [result for result in results if result.setup.loader in ("flowmo_data", "flowmo_data batches")]
    best = max(own, key=lambda result: result.batches_per_second)
    near = [result for result in own if result.batches_per_second >= _AS_GOOD * best.batches_per_second]
    chosen = min(near, key=lambda result: (result.median(lambda run: run.peak_bytes), -result.batches_per_second))
    setup, share = chosen.setup, share_of_limit(chosen, limit)
    in_place = f", batch_size={setup.batch_size} on the dataset" if setup.loader == "flowmo_data batches" else ""
    text = (
        f"Recommended here: num_workers={setup.num_workers}, decode_threads={setup.decode_threads}{in_place}: "
        f"{chosen.batches_per_second:.2f} batches/s"
    )
    if share is not None:
        text += f", {share:.0%} of the decoder's speed on {setup.cores_in_use(num_cores())} of {num_cores()} cores"
    if chosen is best:
        return text + "; no other setup of flowmo_data was faster."
    return text + f", with less memory than the fastest ({best.setup.name}: {best.batches_per_second:.2f})."


def as_json(results: Sequence[Result], limit: Result | None, corpus: Survey) -> dict[str, Any]:
    """Return everything that was measured, with every run."""
    return {
        "machine": machine(),
        "corpus": asdict(corpus),
        "recommendation": recommendation(results, limit),
        "results": [
            {
                "setup": result.setup.for_report(),
                "batches_per_second": result.batches_per_second,
                "share_of_decode_limit": share_of_limit(result, limit),
                "runs": [asdict(run) for run in result.runs],
            }
            for result in results
        ],
    }
