"""The tables and sentences that `make_benchmarks.py` writes into the pages, from a report.

Each function takes the report (docs/benchmarks.json) and returns Markdown, or None if the report has no figures for it.
"""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Mapping
from typing import Any

Report = Mapping[str, Any]
Result = Mapping[str, Any]

PLAIN, IN_PLACE = "flowmo_data", "flowmo_data batches"
_NAMES = {
    "decoder": "decoder alone",
    "flowmo_data batches": "flowmo_data, `batch_size=`",
    "flowmo_data map-style": "flowmo_data, `AudioFrameDataset`",
}


def find(report: Report, loader: str, workers: int = 0, threads: int = 0) -> Result | None:
    """Return the result of a setup; None if it was not measured."""
    wanted = (loader, workers, threads)
    for result in report["results"]:
        setup = result["setup"]
        if (setup["loader"], setup["num_workers"], setup["decode_threads"]) == wanted:
            return dict(result)
    return None


def speed(report: Report, loader: str, workers: int = 0, threads: int = 0) -> float:
    """Return the batches per second of a setup; NaN if it was not measured."""
    result = find(report, loader, workers, threads)
    return float("nan") if result is None else float(result["batches_per_second"])


def median(result: Result, key: str) -> float:
    """Return the median of a value over the runs of a setup."""
    return statistics.median(run[key] for run in result["runs"])


def _gigabytes(result: Result) -> str:
    return f"{median(result, 'peak_bytes') / 1e9:.2f} GB"


def name(result: Result) -> str:
    """Return the name of the setup's loader for the tables."""
    loader = result["setup"]["loader"]
    if loader == "whole-file":
        return f"whole-file ({result['setup']['decoder']})"
    return _NAMES.get(loader, loader)


def place(report: Report) -> str:
    """Return the date, the processor and the number of cores of a run."""
    machine = report["machine"]
    return f"{machine['date'][:10]}, {machine['processor']}, {machine['cores']} cores"


def machine_line(report: Report) -> str:
    """Return a line with the machine, the versions, the corpus and the date."""
    machine, corpus, setup = report["machine"], report["corpus"], report["results"][0]["setup"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['date'][:10]}, {machine['system']}, {machine['processor']}, {machine['cores']} cores; {versions}. "
        f"{corpus['num_files']} files, {corpus['hours']:.1f} hours, {corpus['num_frames']} frames of "
        f"{setup['samples_per_frame']:,} samples; batches of {setup['batch_size']}, shuffle buffer of "
        f"{setup['shuffle_buffer_size']:,}; decoder {setup['decoder']}; {len(report['results'][0]['runs'])} runs of "
        f"{setup['batches']} batches after {setup['warmup']}."
    )


def speed_table(report: Report) -> str:
    """Return a table of the first batch, speed and memory of every setup."""
    lines = [
        "| loader | workers | threads | first batch, s | batches/s (min-max) | of limit | CPU ms/batch | peak MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in report["results"]:
        setup, share = result["setup"], result["share_of_decode_limit"]
        speeds = [run["num_batches"] / run["steady_seconds"] for run in result["runs"]]
        shown = f"{statistics.median(speeds):.2f} ({min(speeds):.2f}-{max(speeds):.2f})"
        if setup["loader"] == "decoder":
            lines.append(f"| {name(result)} | | | | {shown} | | | |")
            continue
        cpu = statistics.median(run["cpu_seconds"] / run["num_batches"] for run in result["runs"]) * 1e3
        lines.append(
            f"| {name(result)} | {setup['num_workers']} | {setup['decode_threads']} "
            f"| {median(result, 'first_batch_seconds'):.2f} | {shown} | {'' if share is None else f'{share:.0%}'} "
            f"| {cpu:.0f} | {median(result, 'peak_bytes') / 1e6:.0f} |"
        )
    return "\n".join(lines)


def decoders_table(report: Report) -> str | None:
    """Return a table of the decoders side by side."""
    if "decoders" not in report:
        return None
    entries = report["decoders"]
    lines = [
        f"| decoder | instruction set | channels | ms for a frame (min-max) | batches/s | × {entries[0]['ratio_to']} |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for entry in entries:
        setup, runs = entry["setup"], entry["runs_ms"]
        lines.append(
            f"| {setup['decoder']} | {setup['instruction_set']} | {setup['channels']} "
            f"| {entry['frame_ms']:.2f} ({min(runs):.2f}-{max(runs):.2f}) | {entry['batches_per_second']:.1f} "
            f"| {entry['ratio']:.2f} |"
        )
    return "\n".join(lines)


def ratios_table(report: Report) -> str | None:
    """Return a table of the ratios that sum up the run."""
    whole_file = find(report, "whole-file")
    if whole_file is None or "decoders" not in report:
        return None
    lines = ["| | |", "| --- | ---: |"]
    compared = report["decoders"][0]["ratio_to"]
    for entry in report["decoders"]:
        setup = entry["setup"]
        if setup["decoder"] == "native":
            rows = "stereo" if setup["channels"] == 2 else "mono"
            lines.append(f"| native, {setup['instruction_set']}, {rows}, against {compared} | {entry['ratio']:.2f} × |")
    baseline = name(whole_file)
    for workers in (0, 2):
        processes = f"{workers} workers" if workers else "one process"
        for loader in (IN_PLACE, PLAIN):
            result = find(report, loader, workers)
            if result is None:
                continue
            title = f"{name(result) if loader == IN_PLACE else 'flowmo_data, plain DataLoader'}, {processes}"
            lines.append(
                f"| {title}, against {baseline} "
                f"| {result['batches_per_second'] / whole_file['batches_per_second']:.2f} × |"
            )
            if result["share_of_decode_limit"] is not None:
                lines.append(f"| {title}, share of the decode limit | {result['share_of_decode_limit']:.0%} |")
            earlier = median(whole_file, "first_batch_seconds") / median(result, "first_batch_seconds")
            lines.append(f"| {title}, first batch, against {baseline} | {earlier:.0f} × sooner |")
    return "\n".join(lines)


def timing_table(report: Report) -> str:
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


def scaling_table(report: Report) -> str:
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
    return "\n".join([*lines, "", f"Measured {place({'machine': report.get('scaling_machine', report['machine'])})}."])


def readme_table(report: Report) -> str:
    """Return a short table for the README: speed in one process and with two workers, and the first batch."""
    lines = [
        "| batches/s | one process | 2 workers | first batch, s |",
        "| --- | ---: | ---: | ---: |",
    ]
    for loader in (IN_PLACE, PLAIN, "whole-file", "librosa", "torchcodec"):
        one, two = find(report, loader), find(report, loader, 2)
        if one is not None:
            speeds = (
                f"{one['batches_per_second']:.1f} | {'' if two is None else format(two['batches_per_second'], '.1f')}"
            )
            lines.append(f"| {name(one)} | {speeds} | {median(one, 'first_batch_seconds'):.2f} |")
    setup = report["results"][0]["setup"]
    ending = (
        f"{place(report)}; batches of {setup['batch_size']} stereo frames of {setup['samples_per_frame']:,} samples; "
        f"decoder {setup['decoder']}: alone on one core, {speed(report, 'decoder'):.1f} batches/s."
    )
    return "\n".join([*lines, "", ending])


def limit_sentence(report: Report) -> str:
    """Return a sentence with the speed of the decoder alone."""
    setup = report["results"][0]["setup"]
    return (
        f"On one core of that machine, the decoder alone ({setup['decoder']}) makes {speed(report, 'decoder'):.1f} "
        f"batches per second of {setup['batch_size']} stereo frames of {setup['samples_per_frame']:,} samples "
        f"({setup['samples_per_frame'] / 44_100:.2f} s each)."
    )


def recommendation_block(report: Report) -> str | None:
    """Return the recommendation that the run ended with."""
    if "recommendation" not in report:
        return None
    lines = textwrap.fill(report["recommendation"], 80)
    return f"{place(report)}:\n\n```text\n{lines}\n```"


def workers_sentence(report: Report) -> str:
    """Return a sentence with the speed by workers and threads."""
    one, two, three = (f"{speed(report, PLAIN, workers):.1f}" for workers in (0, 1, 2))
    return f"On {report['machine']['cores']} cores, 0, 1 and 2 workers gave {one}, {two} and {three} batches/s."


def threads_sentence(report: Report) -> str | None:
    """Return a sentence that compares threads with workers."""
    threads, workers = find(report, PLAIN, 1, 2), find(report, PLAIN, 2)
    if threads is None or workers is None:
        return None
    return (
        f"On {report['machine']['cores']} cores, two threads of one worker reached "
        f"{threads['batches_per_second']:.1f} batches/s with {_gigabytes(threads)}, two workers "
        f"{workers['batches_per_second']:.1f} with {_gigabytes(workers)}, two threads in the main process "
        f"{speed(report, PLAIN, 0, 2):.1f}, and 2 × 2 {speed(report, PLAIN, 2, 2):.1f}."
    )


def in_place_sentence(report: Report) -> str:
    """Return a sentence that compares batches made by the dataset with collated frames."""
    return (
        f"{speed(report, IN_PLACE, 2):.1f} batches/s instead of {speed(report, PLAIN, 2):.1f} with two workers, "
        f"{speed(report, IN_PLACE):.1f} instead of {speed(report, PLAIN):.1f} in one process."
    )


def librosa_sentence(report: Report) -> str | None:
    """Return a sentence that compares two workers with two workers of a librosa loader."""
    here, there = find(report, PLAIN, 2), find(report, "librosa", 2)
    if here is None or there is None:
        return None
    first, later = (median(each, "first_batch_seconds") for each in (here, there))
    return (
        f"With 2 workers and batches of {here['setup']['batch_size']} frames of {here['setup']['samples_per_frame']:,} "
        f"samples ({place(report)}), the first batch came after {first:.1f} s instead of {later:.1f} s. Then came "
        f"{here['batches_per_second']:.1f} batches/s instead of {there['batches_per_second']:.1f}, with "
        f"{_gigabytes(here)} for all processes instead of {_gigabytes(there)}."
    )
