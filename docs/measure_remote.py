"""Compare stores on this machine with local files: `python docs/measure_remote.py [FOLDER]`.

The files of FOLDER (the demo corpus, if it is left out) are linked some times over, and served on loopback, every
answer after an added latency: by a web server that costs little (range_server.py), as http:// and as s3://, and with
--moto by moto's S3 server, which is a real implementation of S3, but so slow that its own limit is measured.

Each run from a store follows one of the same setup from local files, and "of local" is the median of the ratios of
these pairs. The output is a table in Markdown: batches per second; processor time of a frame in the loader (all its
processes) and in the server, which uses the same cores; seconds to the first batch; memory; and the most bytes of
objects that are held at once, measured apart, in one process.

The script needs the extras cli, index and remote; with --moto, also moto (`pip install 'moto[server]'`).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
import psutil

from flowmo_data import AudioIndex, StreamingAudioDataset
from flowmo_data.bench.demo import default_folder, make_demo
from flowmo_data.bench.running import run_setups
from flowmo_data.bench.setups import Measurement, Setup
from flowmo_data.runtime.extras import import_extra
from flowmo_data.sources import RemoteFile

_RUN: dict[str, Any] = {"loader": "flowmo_data batches", "warmup": 3}
_MOST_BATCHES = 60
"""batches over which the bytes held are measured"""


class Served(NamedTuple):
    """A folder in a store."""

    name: str
    root: str
    options: dict[str, Any]
    server: psutil.Process


@contextmanager
def process(*arguments: str) -> Iterator[tuple[psutil.Process, int]]:
    """Run a server; yield it, and its port."""
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield psutil.Process(server.pid), int(server.stdout.readline())
        finally:
            server.terminate()


@contextmanager
def served(folder: Path, latency_ms: float, *, with_moto: bool) -> Iterator[list[Served]]:
    """Serve a folder in several ways."""
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
    with process(
        str(Path(__file__).with_name("range_server.py")), str(folder.parent), "--latency", f"{latency_ms}"
    ) as (
        server,
        port,
    ):
        address = f"http://127.0.0.1:{port}"
        options = {"client_kwargs": {"endpoint_url": address}}
        stores = [
            Served("http", f"{address}/{folder.name}", {}, server),
            Served("S3", f"s3://{folder.name}", options, server),
        ]
        if not with_moto:
            yield stores
            return
        with process(__file__, "--serve", f"{latency_ms}") as (moto, port):
            options = {"client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port}"}}
            system = import_extra("s3fs", user="this script").S3FileSystem(**options, skip_instance_cache=True)
            system.mkdir("bucket")
            for path in sorted(folder.iterdir()):
                system.pipe_file(f"bucket/music/{path.name}", path.read_bytes())
            yield [*stores, Served("moto", "s3://bucket/music", options, moto)]


def serve_moto(latency_ms: float) -> None:
    """Answer S3 requests, each after some milliseconds, without end."""
    server = import_extra("moto.server", user="this script")
    serving = import_extra("werkzeug.serving", user="this script")
    application = server.DomainDispatcherApplication(server.create_backend_app)

    def late(environ: Any, start_response: Any) -> Any:
        time.sleep(latency_ms / 1_000)
        return application(environ, start_response)

    import_extra("logging", user="this script").getLogger("werkzeug").setLevel("ERROR")
    listening = serving.make_server("127.0.0.1", 0, late, threaded=True)
    sys.stdout.write(f"{listening.server_port}\n")
    sys.stdout.flush()
    listening.serve_forever()


class Pairs:
    """Runs from a store, each after one from local files."""

    def __init__(self, local: str, store: Served, files: str, workers: int, batches: int) -> None:
        run = {**_RUN, "num_workers": workers, "batches": batches}
        self._local = Setup(files=(local,), **run)
        self._remote = Setup(files=(files,), storage_options=store.options, **run)
        self._store = store
        self.local: list[Measurement] = []
        self.remote: list[Measurement] = []
        self._server_ms: list[float] = []

    def run(self) -> None:
        """Run one pair."""
        self.local.append(_measured(self._local))
        before = sum(self._store.server.cpu_times()[:2])
        self.remote.append(_measured(self._remote))
        seconds = sum(self._store.server.cpu_times()[:2]) - before
        all_batches = self._remote.warmup + self._remote.batches
        self._server_ms.append(1_000 * seconds / all_batches / self._remote.batch_size)

    def row(self, name: str, held: int | None) -> str:
        """Return the row of the table."""
        pairs = zip(self.local, self.remote, strict=True)
        ratio = statistics.median(remote.batches_per_second / local.batches_per_second for local, remote in pairs)
        local_ms, remote_ms = _frame_ms(self.local), _frame_ms(self.remote)
        return (
            f"| {name} | {_speed(self.local):.1f} | {_speed(self.remote):.1f} | {ratio:.0%} | {local_ms:.2f} | "
            f"{remote_ms:.2f} | {local_ms / remote_ms:.0%} | {statistics.median(self._server_ms):.2f} | "
            f"{statistics.median(each.first_batch_seconds for each in self.local):.2f} | "
            f"{statistics.median(each.first_batch_seconds for each in self.remote):.2f} | "
            f"{max(each.peak_bytes for each in self.remote) / 2**20:,.0f} | "
            f"{'' if held is None else f'{held / 2**20:.0f}'} |\n"
        )


def _measured(setup: Setup) -> Measurement:
    ((found,),) = run_setups([setup], repeats=1, on_batch=lambda *_: None)
    return found


def _speed(runs: list[Measurement]) -> float:
    return statistics.median(run.batches_per_second for run in runs)


def _frame_ms(runs: list[Measurement]) -> float:
    return 1_000 * statistics.median(run.cpu_seconds / run.num_batches for run in runs) / Setup(files=()).batch_size


def most_held(files: str, options: dict[str, Any]) -> int:
    """Return the most bytes of objects that a loader without workers holds at once, looked at after each batch."""
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    real = RemoteFile.fetch

    def noted(self: RemoteFile, ranges: Any) -> None:
        real(self, ranges)
        alive.add(self.held)

    RemoteFile.fetch = noted  # type: ignore[method-assign]
    try:
        dataset = StreamingAudioDataset(files, storage_options=options, batch_size=32)
        batches = zip(range(_MOST_BATCHES), dataset, strict=False)
        return max(sum(held.num_bytes for held in list(alive)) for _ in batches)
    finally:
        RemoteFile.fetch = real  # type: ignore[method-assign]


@click.command(help=__doc__)
@click.argument("folder", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--latency", "latencies", multiple=True, default=(1.0, 50.0), help="Added latencies, ms; repeatable.")
@click.option("--workers", multiple=True, default=(0, 2), help="Numbers of workers; repeatable.")
@click.option("--batches", default=30, show_default=True, help="Timed batches of a run.")
@click.option("--repeats", default=3, show_default=True, help="Pairs of runs of each configuration.")
@click.option("--copies", default=30, show_default=True, help="Names of each file.")
@click.option("--moto", "with_moto", is_flag=True, help="Also measure moto's S3 server.")
@click.option("--serve", "serve_ms", type=float, hidden=True)
def main(
    folder: Path | None,
    latencies: tuple[float, ...],
    workers: tuple[int, ...],
    batches: int,
    repeats: int,
    copies: int,
    serve_ms: float | None,
    *,
    with_moto: bool,
) -> None:
    """Print the table."""
    if serve_ms is not None:
        serve_moto(serve_ms)
        return
    if folder is None:
        folder = default_folder()
        list(make_demo(folder))
    columns = (
        "store", "local batches/s", "batches/s", "of local", "local processor time of a frame, ms",
        "processor time of a frame, ms", "local of it", "server's, ms", "local first batch, s", "first batch, s",
        "memory, MiB", "bytes held, MiB",
    )  # fmt: skip
    sys.stdout.write(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        links = Path(scratch) / "music"
        links.mkdir()
        for path in sorted(folder.glob("*.*")):
            for copy in range(copies):
                (links / f"{copy:03d}_{path.name}").hardlink_to(path)
        indexes = [f"{scratch}/local.parquet", f"{scratch}/remote.parquet"]
        AudioIndex.build(links).save(indexes[0])
        for latency in latencies:
            with served(links, latency, with_moto=with_moto) as stores:
                for store in stores:
                    AudioIndex.build(store.root, storage_options=store.options).save(indexes[1])
                    for kind, local, files in (("index", *indexes), ("folder", str(links), store.root)):
                        held = most_held(files, store.options)
                        for number in workers:
                            pairs = Pairs(local, store, files, number, batches)
                            for _ in range(repeats):
                                pairs.run()
                            name = f"{store.name}, {latency:g} ms, {kind}, {number} workers"
                            sys.stdout.write(pairs.row(name, held))
                            sys.stdout.flush()


if __name__ == "__main__":
    main()
