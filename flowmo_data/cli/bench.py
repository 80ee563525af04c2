"""`flowmo-data bench`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from flowmo_data.bench.baselines import check_torchcodec, own_decoder
from flowmo_data.bench.decoders import (
    compare_decoders,
    decoder_setups,
    decoders_as_json,
    decoders_table,
    nothing_to_compare,
)
from flowmo_data.bench.demo import NUM_FILES, default_folder, make_demo
from flowmo_data.bench.plotting import draw
from flowmo_data.bench.reporting import Result, as_json, machine, recommendation, results_table
from flowmo_data.bench.running import run_setups
from flowmo_data.bench.setups import BASELINES, Setup
from flowmo_data.bench.surveying import Survey, survey
from flowmo_data.cli.console import (
    SpacedLists,
    check_writable,
    console,
    plain_errors,
    progress,
    with_storage_options,
)
from flowmo_data.decoding import DECODERS, choose_decoder
from flowmo_data.decoding.registry import explain_choice
from flowmo_data.errors import FlowmoDataError, counted
from flowmo_data.runtime import library
from flowmo_data.runtime.extras import import_extra
from flowmo_data.runtime.figures import check_format
from flowmo_data.runtime.processes import num_cores
from flowmo_data.sources import Store, find_sources, is_url
from flowmo_data.sources.member_paths import is_member
from flowmo_data.sources.paths import absolute

_SAMPLE_RATE = 44_100
_DEMO_RUNS: dict[str, Any] = {"workers": (0, 2), "warmup": 2, "batches": 10, "repeats": 2}
"""defaults for the demo, which has to end within a minute"""


@click.command(cls=SpacedLists)
@click.argument("folder", required=False)
@click.option("--demo", is_flag=True, help=f"Use a synthetic corpus of {NUM_FILES} files, made on first use.")
@click.option(
    "--workers",
    multiple=True,
    default=(0, 1, 2),
    type=click.IntRange(0),
    metavar="N ...",
    help="Numbers of DataLoader workers.  [default: 0 1 2]",
)
@click.option(
    "--decode-threads",
    multiple=True,
    default=(0,),
    type=click.IntRange(0),
    metavar="N ...",
    help="Numbers of decode threads in each worker.  [default: 0]",
)
@click.option(
    "--baselines",
    multiple=True,
    type=click.Choice(BASELINES),
    metavar="NAME ...",
    help="Common loaders to measure as well: whole-file, librosa, torchcodec.",
)
@click.option("--map-style", is_flag=True, help="Measure AudioFrameDataset, random access by an index, as well.")
@click.option("--decoders", is_flag=True, help="Compare the installed decoders of MP3, instead of loaders.")
@click.option("--decoder", default="auto", show_default=True, type=click.Choice(["auto", *DECODERS]))
@click.option("--batch-size", default=32, show_default=True, type=click.IntRange(1))
@click.option("--samples-per-frame", default=196_608, show_default=True, type=click.IntRange(1))
@click.option("--shuffle-buffer-size", default=1_000, show_default=True, type=click.IntRange(1))
@click.option("--warmup", default=5, show_default=True, type=click.IntRange(1), help="Batches before the clock starts.")
@click.option("--batches", default=50, show_default=True, type=click.IntRange(1), help="Timed batches.")
@click.option("--seed", default=42, show_default=True, type=click.IntRange(0))
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(1), help="Runs of each configuration.")
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write every run to FILE.")
@click.option("--plot", "plot_path", type=click.Path(path_type=Path, dir_okay=False), help="Draw a picture to FILE.")
@with_storage_options
@plain_errors
def bench(
    folder: str | None,
    demo: bool,
    workers: Sequence[int],
    decode_threads: Sequence[int],
    baselines: Sequence[str],
    map_style: bool,
    decoders: bool,
    repeats: int,
    json_path: Path | None,
    plot_path: Path | None,
    **options: Any,
) -> None:
    """Measure the speed of frames from FOLDER by workers and threads, against the decoder alone and common loaders.

    FOLDER is a folder of audio, a file, a tar, a glob or a manifest, or the URL of one. Every configuration runs in its
    own process, in turn, --repeats times. The first batch and the steady state are measured separately. "decoder
    alone" is one core that does nothing but decode the same packets. "of limit" is the speed relative to "decoder
    alone" times the cores in use.

    With --decoders, each installed decoder of MP3 decodes the same packets on one core instead, in turns of a batch;
    "native" with each instruction set of this processor, in stereo and in mono.

    --demo makes fewer and shorter runs, to end within a minute, unless other numbers are given: 0 and 2 workers, 2 runs
    of 10 batches after 2.

    Separate the values of a list with spaces: --workers 0 1 2 4.
    """
    if folder is None and not demo:
        raise click.UsageError("give a FOLDER of audio, or --demo for a synthetic one")
    if folder is not None and demo:
        raise click.UsageError(f"give the folder {folder} or --demo, not both")
    if folder is not None and is_url(folder) and baselines:
        raise click.UsageError(f"the baselines read local files: leave out --baselines, or copy {folder} to a disk")
    if folder is not None and baselines and any(map(is_member, find_sources(folder))):
        raise click.UsageError(f"the baselines read no tars: leave out --baselines, or unpack those of {folder}")
    if decoders and (baselines or map_style or plot_path):
        raise click.UsageError(
            "--decoders compares decoders, not loaders: leave out --baselines, --map-style and --plot"
        )
    if demo:
        shorter = {name: value for name, value in _DEMO_RUNS.items() if _is_default(name)}
        workers, repeats = shorter.pop("workers", workers), shorter.pop("repeats", repeats)
        options.update(shorter)
    explanation = explain_choice(options["decoder"])
    options["decoder"] = choose_decoder(options["decoder"])
    if json_path:
        check_writable(json_path, "--json")
    if plot_path:
        check_format(plot_path)
        check_writable(plot_path, "--plot")
    _check_baselines(baselines)
    folder = absolute(folder) if folder else str(_demo_folder())  # other processes have other current folders
    corpus = _survey(folder, options)
    _describe(corpus, options, explanation, 0 if decoders else max(workers))
    if decoders:
        if not corpus.num_layer_3:
            raise nothing_to_compare([folder])
        report = _compare_decoders(decoder_setups(files=(folder,), **options), repeats, corpus)
    else:
        loaders = ("flowmo_data", "flowmo_data batches", *("flowmo_data map-style",) * map_style)
        setups = _setups(folder, loaders, workers, decode_threads, baselines, options)
        report = _compare_loaders(setups, repeats, corpus, plot_path)
    if json_path:
        json_path.write_text(json.dumps(report, indent=1) + "\n")


def _is_default(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.DEFAULT


def _check_baselines(baselines: Sequence[str]) -> None:
    if "librosa" in baselines:
        import_extra("librosa", user="the librosa baseline")
    if "torchcodec" in baselines:
        check_torchcodec()


def _compare_loaders(setups: Sequence[Setup], repeats: int, corpus: Survey, plot_path: Path | None) -> dict[str, Any]:
    """Measure loaders and print the results; return all of it."""
    batches = setups[0].warmup + setups[0].batches
    with progress(timed=False) as display:
        tasks = [display.add_task(each.name, total=repeats * batches) for each in setups]

        def on_batch(index: int, number: int) -> None:
            if number <= batches:  # if epochs end in a run, some batches are short, and there are more
                display.advance(tasks[index])

        runs = run_setups(setups, repeats=repeats, on_batch=on_batch)
    limit, *results = [Result(setup, each) for setup, each in zip(setups, runs, strict=True)]
    console.print(results_table([limit, *results], limit))
    console.print(recommendation(results, limit), highlight=False)
    if plot_path:
        draw(results, limit, plot_path)
    return as_json([limit, *results], limit, corpus)


def _compare_decoders(setups: Sequence[Setup], repeats: int, corpus: Survey) -> dict[str, Any]:
    """Measure decoders and print the results; return all of it."""
    with progress() as display:
        task = display.add_task("decoders", total=setups[0].warmup + repeats * setups[0].batches)
        times = compare_decoders(setups, repeats=repeats, on_turn=lambda: display.advance(task))
    console.print(decoders_table(times))
    if reason := library.unavailable():
        console.print(f"native: {reason}", highlight=False, markup=False)
    return {"machine": machine(), "corpus": asdict(corpus), "decoders": decoders_as_json(times)}


def _setups(
    folder: str,
    loaders: Sequence[str],
    workers: Sequence[int],
    threads: Sequence[int],
    baselines: Sequence[str],
    options: dict[str, Any],
) -> list[Setup]:
    setups = [Setup(files=(folder,), loader="decoder", **options)]
    for loader, num_workers, decode_threads in product(loaders, dict.fromkeys(workers), dict.fromkeys(threads)):
        own = {"loader": loader, "num_workers": num_workers, "decode_threads": decode_threads}
        setups.append(Setup(files=(folder,), **own, **options))
    for loader in dict.fromkeys(baselines):
        for num_workers in (0,) if loader == "whole-file" else dict.fromkeys(workers):
            of_its_own = {**options, "decoder": own_decoder(loader)}
            setups.append(Setup(files=(folder,), loader=loader, num_workers=num_workers, **of_its_own))
    return setups


def _demo_folder() -> Path:
    folder = default_folder()
    with progress() as display:
        for _ in display.track(make_demo(folder), total=NUM_FILES, description="demo corpus"):
            pass
    return folder


def _survey(folder: str, options: dict[str, Any]) -> Survey:
    store = Store(options["storage_options"])
    sources = find_sources(folder, store=store)
    with progress() as display:
        paths = display.track(sources, total=len(sources), description="reading headers")
        corpus = survey(paths, sr=_SAMPLE_RATE, samples_per_frame=options["samples_per_frame"], store=store)
    for reason in corpus.unreadable:
        console.print(f"skipped {reason}", highlight=False, markup=False)
    if not corpus.num_frames:
        raise FlowmoDataError(f"{folder}: none of {counted(corpus.num_files, 'file')} can be read")
    return corpus


def _describe(corpus: Survey, options: dict[str, Any], decoder: str, max_workers: int) -> None:
    here = machine()
    versions = ", ".join(f"{name} {number}" for name, number in here["versions"].items())
    needed = (options["warmup"] + options["batches"]) * options["batch_size"]
    lines = [
        f"{here['system']}, {here['processor']}, {counted(num_cores(), 'core')}; {versions}; {here['date']}",
        f"{counted(corpus.num_files, 'file')}, {corpus.hours:.2f} hours, {corpus.num_bytes / 1e6:.0f} MB, "
        f"{corpus.num_frames} frames per epoch; batches of {options['batch_size']}",
        f"decoder: {decoder}",
    ]
    if corpus.num_frames < needed:
        lines.append(
            f"A run needs {needed} frames: it goes through the {corpus.num_frames} frames of an epoch several times."
        )
    if max_workers > corpus.num_files:
        lines.append(
            f"{counted(max_workers, 'worker')} for {counted(corpus.num_files, 'file')}: a file goes to one worker, and "
            "the others are idle."
        )
    for line in lines:
        console.print(line, highlight=False, markup=False)
