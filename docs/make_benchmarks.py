"""Measure, and write all figures anew: `python docs/make_benchmarks.py FOLDER`.

The figures go into README.md, into docs/benchmarks.md and other pages (between comments such as `<!-- speed -->`), into
the picture and into docs/benchmarks.json. On an otherwise idle machine with two cores this takes about 20 minutes;
`--repeats 2 --batches 20 --keep-scaling` takes 8. It needs the extras cli, librosa and plot. torchcodec is measured if
it decodes here. `--only-text` writes the figures of the last run into the text again.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import benchmark_tables as tables

from flowmo_data.bench.baselines import check_torchcodec
from flowmo_data.errors import MissingPackageError

ROOT = Path(__file__).parents[1]
REPORT = Path("docs/benchmarks.json")
PARTS: dict[str, dict[str, Callable[[tables.Report], str | None]]] = {
    "README.md": {"figures": tables.readme_table},
    "docs/benchmarks.md": {
        "machine": tables.machine_line,
        "speed": tables.speed_table,
        "decoders": tables.decoders_table,
        "ratios": tables.ratios_table,
        "timing": tables.timing_table,
        "scaling": tables.scaling_table,
    },
    "docs/workers_and_threads.md": {
        "limit": tables.limit_sentence,
        "recommendation": tables.recommendation_block,
        "workers": tables.workers_sentence,
        "threads": tables.threads_sentence,
        "in place": tables.in_place_sentence,
    },
    "docs/from_librosa.md": {"librosa": tables.librosa_sentence},
}
"""the pages, with the functions that make what is between the comments"""
_DECODER_BATCHES = 10
"""batches of a decoder in a repeat, when decoders are compared"""


def measure(folder: str, *, repeats: int, batches: int, keep_scaling: bool) -> dict[str, Any]:
    """Run the benchmarks, draw the picture, and return the results.

    Args:
        folder: the files.
        repeats: runs of each setup.
        batches: timed batches of a run.
        keep_scaling: take the scaling study from the last report.
    """
    options = [folder, "--repeats", str(repeats)]
    report = _bench(
        *options, "--batches", str(batches), "--workers", "0", "1", "2", "--decode-threads", "0", "2",
        "--baselines", *_baselines(), "--plot", str(ROOT / "docs" / "benchmarks.png"),
    )  # fmt: skip
    report["decoders"] = _bench(*options, "--batches", str(_DECODER_BATCHES), "--decoders")["decoders"]
    if keep_scaling:
        last = json.loads((ROOT / REPORT).read_text())
        report["scaling"], report["scaling_machine"] = last["scaling"], last.get("scaling_machine", last["machine"])
    else:
        lines = _run(str(ROOT / "docs" / "measure_scaling.py")).splitlines()
        report["scaling"], report["scaling_machine"] = [json.loads(line) for line in lines], report["machine"]
    for result in (*report["results"], *report["decoders"]):
        result["setup"]["files"] = ["FOLDER"]
    report["corpus"]["unreadable"] = [line.replace(folder, "FOLDER") for line in report["corpus"]["unreadable"]]
    return report


def _baselines() -> list[str]:
    try:
        check_torchcodec()
    except MissingPackageError as error:
        sys.stderr.write(f"{error}: it is not measured\n")
        return ["whole-file", "librosa"]
    return ["whole-file", "librosa", "torchcodec"]


def _bench(*arguments: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        command = [sys.executable, "-m", "flowmo_data.cli", "bench", *arguments, "--json", str(path)]
        subprocess.run(command, check=True)
        report: dict[str, Any] = json.loads(path.read_text())
        return report


def _run(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def fill(text: str, marker: str, content: str | None) -> str:
    """Return the text with the content between the two comments of a marker; None leaves it as it is.

    Raises:
        ValueError: the text has no such marker.
    """
    pattern = rf"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)"
    if not re.search(pattern, text, flags=re.DOTALL):
        raise ValueError(f"there is no <!-- {marker} --> with an end in the page")
    if content is None:
        return text
    return re.sub(pattern, lambda match: f"{match[1]}\n{content}\n\n{match[2]}", text, flags=re.DOTALL)


def write_pages(root: Path, report: tables.Report) -> None:
    """Write the figures of a report into the pages of a project folder."""
    for page, parts in PARTS.items():
        text = (root / page).read_text()
        for marker, make in parts.items():
            text = fill(text, marker, make(report))
        (root / page).write_text(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, unless --only-text is given, and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="a folder with at least 150 audio files")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each setup [%(default)s]")
    parser.add_argument("--batches", type=int, default=50, help="timed batches of a run [%(default)s]")
    parser.add_argument("--keep-scaling", action="store_true", help="keep the last figures for a million files")
    parser.add_argument("--only-text", action="store_true", help="write the figures of the last run again")
    given = parser.parse_args(arguments)
    if given.only_text == (given.folder is not None):
        parser.error("give a FOLDER, or --only-text")
    if not given.only_text:
        report = measure(
            given.folder, repeats=given.repeats, batches=given.batches, keep_scaling=given.keep_scaling
        )  # fmt: skip
        (ROOT / REPORT).write_text(json.dumps(report, indent=1) + "\n")
    write_pages(ROOT, json.loads((ROOT / REPORT).read_text()))


if __name__ == "__main__":
    main()
