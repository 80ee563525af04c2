"""Run the benchmarks and write the figures into docs/benchmarks.md: `python docs/make_benchmarks.py FOLDER`.

This takes a quarter of an hour on an otherwise idle machine, and needs the extras cli, librosa and plot. `--only-text`
writes the figures of the last run, from docs/benchmarks.json, into the text again.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
BENCH = [
    "--workers", "0", "1", "2", "--decode-threads", "0", "2", "--baselines", "whole-file", "librosa",
    "--plot", str(DOCS / "benchmarks.png"),
]  # fmt: skip
PUBLISHED = {"minimp3py pipeline": 11.84, "librosa DataLoader": 6.57}


def measure(folder: str) -> dict[str, Any]:
    """Run the benchmark and the scaling study, save the results, and return them."""
    path = DOCS / "benchmarks.json"
    subprocess.run([sys.executable, "-m", "flowmo_data.cli", "bench", folder, *BENCH, "--json", str(path)], check=True)
    report: dict[str, Any] = json.loads(path.read_text())
    command = [sys.executable, str(DOCS / "measure_scaling.py")]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    report["scaling"] = [json.loads(line) for line in lines]
    for result in report["results"]:
        result["setup"]["files"] = ["FOLDER"]
    path.write_text(json.dumps(report, indent=1) + "\n")
    return report


def machine_line(report: dict[str, Any]) -> str:
    """Return a line with the machine, the versions, the corpus and the date."""
    machine, corpus = report["machine"], report["corpus"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['date'][:10]}, {machine['system']}, {machine['processor']}, {machine['cores']} cores; {versions}. "
        f"{corpus['num_files']} files, {corpus['hours']:.1f} hours, {corpus['num_frames']} frames of "
        f"{report['results'][0]['setup']['samples_per_frame']:,} samples; batches of "
        f"{report['results'][0]['setup']['batch_size']}, shuffle buffer of "
        f"{report['results'][0]['setup']['shuffle_buffer_size']:,}; decoder {report['results'][0]['setup']['decoder']}."
    )


def median(result: dict[str, Any], key: str) -> float:
    """Return the median of a value over the runs of a setup."""
    return statistics.median(run[key] for run in result["runs"])


def name(result: dict[str, Any]) -> str:
    """Return the name of the setup's loader for the tables."""
    loader = result["setup"]["loader"]
    return {"decoder": "decoder alone", "flowmo_data batches": "flowmo_data, `batch_size=`"}.get(loader, loader)


def speed_table(report: dict[str, Any]) -> str:
    """Return a table of the first batch, speed and memory of every setup."""
    lines = [
        "| loader | workers | threads | first batch, s | batches/s (min-max) | of limit | CPU ms/batch | peak MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in report["results"]:
        setup, share = result["setup"], result["share_of_decode_limit"]
        speeds = [run["num_batches"] / run["steady_seconds"] for run in result["runs"]]
        speed = f"{statistics.median(speeds):.2f} ({min(speeds):.2f}-{max(speeds):.2f})"
        if setup["loader"] == "decoder":
            lines.append(f"| {name(result)} | | | | {speed} | | | |")
            continue
        cpu = statistics.median(run["cpu_seconds"] / run["num_batches"] for run in result["runs"]) * 1e3
        lines.append(
            f"| {name(result)} | {setup['num_workers']} | {setup['decode_threads']} "
            f"| {median(result, 'first_batch_seconds'):.2f} | {speed} | {'' if share is None else f'{share:.0%}'} "
            f"| {cpu:.0f} | {median(result, 'peak_bytes') / 1e6:.0f} |"
        )
    return "\n".join(lines)


def timing_table(report: dict[str, Any]) -> str:
    """Return a table of the same runs, timed in two ways: the steady state alone, and including the first batch."""
    lines = ["| loader, one process | steady batches/s | including the first batch |", "| --- | ---: | ---: |"]
    for result in report["results"]:
        setup = result["setup"]
        if setup["loader"] == "decoder" or setup["num_workers"] or setup["decode_threads"]:
            continue
        with_fill = statistics.median(
            (setup["warmup"] + run["num_batches"])
            / (run["first_batch_seconds"] + run["warmup_seconds"] + run["steady_seconds"])
            for run in result["runs"]
        )
        lines.append(f"| {name(result)} | {result['batches_per_second']:.2f} | {with_fill:.2f} |")
    return "\n".join(lines)


def scaling_table(report: dict[str, Any]) -> str:
    """Return a table of the time and memory for large numbers of files."""
    lines = [
        "| files | listing, s | making the dataset (with listing), s | first batch, s "
        "| a worker's private memory after a tenth, MB | near the end, MB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['files']:,} | {row['listing_seconds']:.2f} | {row['making_seconds']:.2f} "
        f"| {row['first_batch_seconds']:.2f} | {row['worker_bytes_at_a_tenth'] / 1e6:.1f} "
        f"| {row['worker_bytes_near_the_end'] / 1e6:.1f} |"
        for row in report["scaling"]
    ]
    return "\n".join(lines)


def fill(text: str, marker: str, content: str) -> str:
    """Put the content between the two comments of a marker."""
    pattern = rf"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)"
    return re.sub(pattern, lambda match: f"{match[1]}\n{content}\n\n{match[2]}", text, flags=re.DOTALL)


def main() -> None:
    """Measure, unless --only-text is given, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", help="a folder with at least 150 audio files")
    parser.add_argument(
        "--only-text", action="store_true", help="write the figures of the last run into the text again"
    )
    arguments = parser.parse_args()
    if arguments.only_text == (arguments.folder is not None):
        parser.error("give a FOLDER, or --only-text")
    path = DOCS / "benchmarks.json"
    report = json.loads(path.read_text()) if arguments.only_text else measure(arguments.folder)
    page = DOCS / "benchmarks.md"
    text = page.read_text()
    parts = {"machine": machine_line, "speed": speed_table, "timing": timing_table, "scaling": scaling_table}
    for marker, make in parts.items():
        text = fill(text, marker, make(report))
    page.write_text(text)


if __name__ == "__main__":
    main()
