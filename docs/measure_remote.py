"""Compare S3 on this machine with local files: `python docs/measure_remote.py [FOLDER]`.

The files of FOLDER (the demo corpus, if it is left out) are copied to an S3 server, moto, on loopback. A server process
answers every request after an added latency. The output is a table in Markdown: batches per second and seconds to the
first batch from local files and from the store, with and without an index, processor time (without the server's) and
memory. The server uses the same cores.
The script needs the extras cli, index and remote, and moto (`pip install 'moto[server]'`).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from flowmo_data import AudioIndex
from flowmo_data.bench.demo import default_folder, make_demo
from flowmo_data.bench.running import run_setups
from flowmo_data.bench.setups import Measurement, Setup
from flowmo_data.runtime.extras import import_extra

_ROOT = "s3://bucket/music"


@contextmanager
def s3_server(latency_ms: float) -> Iterator[dict[str, Any]]:
    """Run a server with an empty bucket; yield the storage options for it."""
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
    arguments = [sys.executable, __file__, "--serve", str(latency_ms)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            yield {"client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port}"}}
        finally:
            process.terminate()


def serve(latency_ms: float) -> None:
    """Answer S3 requests, each after some milliseconds, without end."""
    server = import_extra("moto.server", user="this script")
    serving = import_extra("werkzeug.serving", user="this script")
    application = server.DomainDispatcherApplication(server.create_backend_app)

    def late(environ: Any, start_response: Any) -> Any:
        time.sleep(latency_ms / 1_000)
        return application(environ, start_response)

    listening = serving.make_server("127.0.0.1", 0, late, threaded=True)
    sys.stdout.write(f"{listening.server_port}\n")
    sys.stdout.flush()
    listening.serve_forever()


def upload(folder: Path, options: dict[str, Any]) -> None:
    """Copy the files of a folder into the bucket."""
    system = import_extra("s3fs", user="this script").S3FileSystem(**options, skip_instance_cache=True)
    system.mkdir("bucket")
    for path in sorted(folder.rglob("*.*")):
        system.pipe_file(f"{_ROOT.removeprefix('s3://')}/{path.relative_to(folder)}", path.read_bytes())


def row(name: str, runs: list[Measurement], local: float) -> str:
    """Return a row of the table."""
    speed = statistics.median(run.batches_per_second for run in runs)
    first = statistics.median(run.first_batch_seconds for run in runs)
    memory = max(run.peak_bytes for run in runs) / 2**20
    share = f"{speed / local:.0%}" if local else ""
    frame_ms = 1_000 * statistics.median(run.cpu_seconds / run.num_batches for run in runs) / Setup(files=()).batch_size
    return f"| {name} | {speed:.1f} | {share} | {frame_ms:.2f} | {first:.2f} | {memory:,.0f} |\n"


@click.command(help=__doc__)
@click.argument("folder", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--latency", "latencies", multiple=True, default=(1.0, 50.0), help="Added latencies, ms; repeatable.")
@click.option("--workers", multiple=True, default=(0, 2), help="Numbers of workers; repeatable.")
@click.option("--batches", default=20, show_default=True, help="Timed batches of a run.")
@click.option("--repeats", default=3, show_default=True, help="Runs of each configuration.")
@click.option("--serve", "serve_ms", type=float, hidden=True)
def main(
    folder: Path | None,
    latencies: tuple[float, ...],
    workers: tuple[int, ...],
    batches: int,
    repeats: int,
    serve_ms: float | None,
) -> None:
    """Print the table."""
    if serve_ms is not None:
        serve(serve_ms)
        return
    if folder is None:
        folder = default_folder()
        list(make_demo(folder))
    run = {"loader": "flowmo_data batches", "warmup": 3, "batches": batches}
    sys.stdout.write(
        "| files | batches/s | of local | processor time of a frame, ms | first batch, s | memory, MiB |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        index = f"{scratch}/local.parquet"
        AudioIndex.build(folder).save(index)
        local: dict[tuple[str, int], float] = {}
        for kind, files in (("folder", str(folder)), ("index", index)):
            for number in workers:
                (measured,) = run_setups(
                    [Setup(files=(files,), num_workers=number, **run)], repeats=repeats, on_batch=lambda *_: None
                )
                local[kind, number] = statistics.median(each.batches_per_second for each in measured)
                sys.stdout.write(row(f"local, {kind}, {number} workers", measured, 0))
        for latency in latencies:
            with s3_server(latency) as options:
                upload(folder, options)
                index = f"{scratch}/remote.parquet"
                AudioIndex.build(_ROOT, storage_options=options).save(index)
                for kind, files in (("folder", _ROOT), ("index", index)):
                    for number in workers:
                        setup = Setup(files=(files,), num_workers=number, storage_options=options, **run)
                        (measured,) = run_setups([setup], repeats=repeats, on_batch=lambda *_: None)
                        name = f"S3, {latency:g} ms, {kind}, {number} workers"
                        sys.stdout.write(row(name, measured, local[kind, number]))
                        sys.stdout.flush()


if __name__ == "__main__":
    main()
