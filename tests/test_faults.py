"""What goes wrong while training runs, each done for real: files, disks, limits, signals, decoders."""

import os
import re
import shutil
import signal
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
import torch
from builders import EVERY_DECODER, RATE, make_mp3, make_wav, music, walk_bytes
from programs import TORCH, Interpreter, finish, run, start, start_command
from torch.utils.data import DataLoader

from flowmo_data import StreamingAudioDataset
from flowmo_data.decoding import libsndfile

FRAME = 8_192


def make_flac(path, num_samples, *, seed=0):
    soundfile.write(path, music(num_samples, seed=seed), RATE)
    return path


MAKERS = {"mp3": make_mp3, "wav": make_wav, "flac": make_flac}


def drop_privileges():
    """Become a user who may not read everything."""
    if os.getuid() == 0:
        os.seteuid(65_534)


def take_privileges():
    if os.getuid() == 0:
        os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that other users may look into, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


# Files that change between being opened and being read


def replaced(path, make):
    make(path.with_suffix(f".new{path.suffix}"), 150_000, seed=9).replace(path)


FAULTS = {
    "deleted": (lambda path, make: path.unlink(), "No such file"),
    "truncated": (lambda path, make: os.truncate(path, path.stat().st_size // 3), "changed while it was in use"),
    "emptied": (lambda path, make: path.write_bytes(b""), "changed while it was in use"),
    "replaced": (replaced, "changed while it was in use"),
    "a folder now": (
        lambda path, make: (path.unlink(), path.mkdir()),
        "it is a folder, not a file with audio|No such file",
    ),
    "a pipe now": (
        lambda path, make: (path.unlink(), os.mkfifo(path)),
        "it is a pipe, not a file with audio|No such file",
    ),
    "unreadable": (lambda path, make: path.chmod(0), "Permission denied"),
}


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_changes_under_way_costs_its_own_frames(open_folder, fault, kind, num_workers):
    if fault == "unreadable" and num_workers and os.getuid() == 0:
        pytest.skip("root may read everything, and a worker that is no longer root cannot hand its tensors over")
    act, reason = FAULTS[fault]
    make = MAKERS[kind]
    first, second = (make(open_folder / f"{name}.{kind}", 120_000, seed=ord(name)) for name in "ab")
    whole = [frame for frame in dataset(open_folder) if frame["path"] == str(second)]
    streamed = dataset(open_folder)
    workers = {"num_workers": 1, "prefetch_factor": 2} if num_workers else {}
    frames = iter(DataLoader(streamed, batch_size=None, **workers))
    got = [next(frames) for _ in range(2)]
    act(first, make)
    if fault == "unreadable":
        drop_privileges()
    try:
        got += list(frames)
    finally:
        take_privileges()
    of_first = [frame for frame in got if frame["path"] == str(first)]
    of_second = [frame for frame in got if frame["path"] == str(second)]
    assert 2 <= len(of_first) <= 5  # what had been asked for, and nothing of another file
    assert all(torch.equal(one["audio"], other["audio"]) for one, other in zip(of_second, whole, strict=True))
    report = streamed.report()
    assert list(report.skipped) == [str(first)]
    assert any(each in report.skipped[str(first)] for each in reason.split("|"))
    lost = 120_000 - sum(frame["num_valid"] for frame in of_first)
    assert report.seconds_lost == pytest.approx(lost / RATE, abs=1e-5)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_file_that_is_touched_under_way_is_the_same_file(tmp_path, kind):
    paths = [MAKERS[kind](tmp_path / f"{name}.{kind}", 120_000, seed=ord(name)) for name in "ab"]
    whole = list(dataset(tmp_path))
    streamed = dataset(tmp_path)
    frames = iter(streamed)
    got = [next(frames)]
    os.utime(paths[0])
    got.append(next(frames))
    shutil.copyfile(paths[1], tmp_path / "copy")
    (tmp_path / "copy").replace(paths[1])  # as rsync does, without times
    got += list(frames)
    assert all(torch.equal(one["audio"], other["audio"]) for one, other in zip(got, whole, strict=True))
    assert not streamed.report()


def dataset(files, **options):
    given = {"samples_per_frame": FRAME, "shuffle": False, "return_info": True, "decoder": "soundfile", **options}
    return StreamingAudioDataset(files, **given)


# Disks


NAMESPACES = ["unshare", "--user", "--map-root-user", "--mount"]
MOUNT = "mount -t tmpfs -o size=64k none /mnt"
DISKS = {"full": "head -c 64k /dev/zero > /mnt/filler 2> /dev/null", "read-only": "mount -o remount,ro /mnt"}


def can_mount():
    return bool(shutil.which("unshare")) and finish(start_command([*NAMESPACES, "sh", "-c", MOUNT])).returncode == 0


@pytest.fixture(scope="module", params=DISKS)
def bad_disk(request):
    """An interpreter for whose programs /mnt is a disk that takes nothing, in namespaces of its own."""
    prepare = f'{MOUNT} && {{ {DISKS[request.param]}; exec "$@"; }}'
    interpreter = Interpreter(TORCH, [*NAMESPACES, "sh", "-c", prepare, "sh"])
    yield interpreter
    interpreter.close()


@pytest.mark.skipif(not can_mount(), reason="a disk can be mounted here by nobody but root, outside of namespaces")
@pytest.mark.parametrize(
    "command",
    [
        "bench --demo",
        "index {folder} -o /mnt/music.parquet",
        "check {folder} --json /mnt/out.json --quarantine /mnt/list.txt",
        "inspect {folder} --workers 0 --json /mnt/out.json",
    ],
    ids=lambda command: command.split()[0],
)
def test_a_disk_that_takes_nothing_is_one_line_and_no_traceback(tmp_path, bad_disk, command):
    for index in range(2):
        make_wav(tmp_path / f"{index}.wav", 2_000)
    code = "from flowmo_data.cli import main; main()"
    arguments = command.format(folder=tmp_path).split()
    done = run("-c", code, *arguments, check=False, interpreter=bad_disk, env={"XDG_CACHE_HOME": "/mnt"})
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("flowmo-data: ")]
    assert "No space left on device" in line or "Read-only file system" in line


# Limits


def run_script(tmp_path, body, *, check=True):
    """A training script in a process of its own."""
    script = tmp_path / "script.py"
    script.write_text(body)
    return run(script, cwd=tmp_path, check=check)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    for index in range(12):
        MAKERS[["mp3", "wav", "flac"][index % 3]](folder / f"{index:02}.{['mp3', 'wav', 'flac'][index % 3]}", 60_000)
    return folder


def test_sixty_four_descriptors_are_enough(folder, tmp_path):
    run_script(
        tmp_path,
        f"""
import resource
from torch.utils.data import DataLoader
from flowmo_data import StreamingAudioDataset

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    for options, loading in (({{}}, {{"batch_size": 4}}), ({{"batch_size": 4}}, {{"batch_size": None}})):
        dataset = StreamingAudioDataset(
            {str(folder)!r}, samples_per_frame={FRAME}, decode_threads=4, return_info=True, on_error="raise", **options
        )
        loader = DataLoader(dataset, num_workers=2, persistent_workers=True, prefetch_factor=4, **loading)
        for epoch in range(3):
            total = sum(int(batch["num_valid"].sum()) for batch in loader)
            assert total == 12 * 60_000, total
        assert not dataset.report()
""",
    )


@pytest.mark.parametrize("kind", MAKERS)
def test_without_a_descriptor_no_file_is_skipped(folder, tmp_path, kind):
    done = run_script(
        tmp_path,
        f"""
import os, resource
from flowmo_data import ResourceError, StreamingAudioDataset

dataset = StreamingAudioDataset({f"{folder}/*.{kind}"!r}, samples_per_frame={FRAME}, return_info=True)
assert len(list(dataset)) == len(list(dataset)) > 28
frames = iter(dataset)
next(frames)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) - 1, hard))
try:
    print(len(list(frames)))
except ResourceError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
assert not dataset.report().skipped, dataset.report()
""",
    )
    assert re.search(r"has reached its limit of \d+ open files; raise the limit \(ulimit -n 4096\)$", done.stdout)


def test_memory_that_runs_out_in_a_worker_is_an_error_in_the_main_process(folder, tmp_path):
    done = run_script(
        tmp_path,
        f"""
import resource, time
from torch.utils.data import DataLoader
from flowmo_data import StreamingAudioDataset

def limit(worker):
    import psutil
    most = psutil.Process().memory_info().vms + (30 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))

if __name__ == "__main__":
    dataset = StreamingAudioDataset({str(folder)!r}, samples_per_frame=2_000_000, batch_size=4)
    begin = time.monotonic()
    try:
        for batch in DataLoader(dataset, batch_size=None, num_workers=1, worker_init_fn=limit):
            pass
    except (MemoryError, OSError, RuntimeError) as error:
        print(time.monotonic() - begin, type(error).__name__, error)
        assert not dataset.report().skipped
""",
    )
    seconds, kind, *words = done.stdout.split(maxsplit=2)
    assert float(seconds) < 10
    assert kind in ("MemoryError", "ResourceError", "RuntimeError"), done.stdout
    assert "memory" in words[0].lower()


# Signals

TRAINING = """
import os, sys, time
from flowmo_data import ResumableDataLoader, StreamingAudioDataset

def main(phase, workers, threads, method):
    dataset = StreamingAudioDataset(
        {folder!r}, samples_per_frame=65_536, repeat=phase != "between", decode_threads=threads
    )
    loader = ResumableDataLoader(
        dataset, batch_size=2, num_workers=workers, persistent_workers=workers > 0,
        multiprocessing_context=method if workers else None,
    )
    if phase == "start":
        print("ready", flush=True)
    for number, batch in enumerate(loader):
        if phase == "middle" and number == 5:
            print("ready", flush=True)
    if phase == "between":
        print("ready", flush=True)
        time.sleep(60)

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
"""


@pytest.mark.parametrize(
    ("phase", "delay", "workers", "threads", "method"),
    [
        ("start", 0.0, 2, 0, "fork"), ("start", 0.03, 2, 0, "fork"), ("start", 0.5, 2, 0, "spawn"),
        ("middle", 0, 0, 0, "fork"), ("middle", 0, 0, 2, "fork"), ("middle", 0, 2, 2, "fork"),
        ("middle", 0, 2, 2, "spawn"), ("between", 0, 2, 0, "fork"),
    ],
)  # fmt: skip
def test_an_interrupt_ends_training_at_once(folder, tmp_path, phase, delay, workers, threads, method):
    script = tmp_path / "train.py"
    script.write_text(TRAINING.format(folder=str(folder)))
    process = start(script, phase, workers, threads, method)
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    time.sleep(delay)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    begin = time.monotonic()
    said = finish(process, timeout=20).stderr
    assert time.monotonic() - begin < 2, said
    assert process.returncode in (1, -signal.SIGINT)
    # Python ends workers that are still importing, at exit, and torch's handler may complain that they ended.
    own = said.partition("Exception ignored in atexit callback: <function _exit_function")[0]
    assert own.count("Traceback") == 1, said
    assert own.rstrip().endswith("KeyboardInterrupt"), said
    assert not psutil.wait_procs(children, timeout=2)[1]


def kill_a_worker_and_go_on(batches):
    """Torch may raise at once, wherever this process is."""
    os.kill(batches._workers[0].pid, signal.SIGKILL)
    for _ in batches:
        pass


@pytest.mark.parametrize("own_batches", [False, True])
def test_a_worker_that_is_killed_is_an_error_within_seconds(folder, own_batches):
    size = {"batch_size": 2} if own_batches else {}
    streamed = dataset(folder, repeat=True, return_info=False, **size)
    loader = DataLoader(streamed, batch_size=None if own_batches else 2, num_workers=2)
    batches = iter(loader)
    kept = [next(batches) for _ in range(3)]
    expected = [batch.clone() for batch in kept]
    begin = time.monotonic()
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid.* (is killed by signal|exited unexpectedly)"):
        kill_a_worker_and_go_on(batches)
    assert time.monotonic() - begin < 10
    assert all(torch.equal(*pair) for pair in zip(kept, expected, strict=True))  # what was handed out stays
    children = [worker.pid for worker in batches._workers]
    with suppress(RuntimeError):  # torch may raise the same once more, when the child has ended
        batches._shutdown_workers()  # a traceback may hold on to it
    del batches, kept
    for pid in children:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait(10)
    names = os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else []
    assert not [name for name in names for pid in [os.getpid(), *children] if name.startswith(f"torch_{pid}_")]
    assert len(next(iter(loader))) == 2  # and the loader can be used again


# Decoders


def broken(how):
    """libsndfile's function, that fails in some way for runs that hold packet 40."""
    decode = libsndfile.decode

    def broken_decode(run):
        samples = decode(run)
        if not run.first <= 40 < run.first + run.num_packets:
            return samples
        if how == "raises":
            raise RuntimeError("a bug in a decoder")
        if how == "short":
            return samples[: len(samples) // 2]
        samples[(40 - run.first) * 1_152 : (41 - run.first) * 1_152] = {"nan": np.nan, "inf": -np.inf}[how]
        return samples

    return broken_decode


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("how", ["raises", "short", "nan", "inf"])
def test_a_decoder_that_fails_costs_what_it_fails_at(tmp_path, monkeypatch, how, threads):
    make_mp3(tmp_path / "a.mp3", 4 * RATE)
    right = list(dataset(tmp_path))
    monkeypatch.setattr(libsndfile, "decode", broken(how))
    streamed = dataset(tmp_path, decode_threads=threads)
    got = list(streamed)
    assert [(frame["start"], frame["num_valid"]) for frame in got] == [
        (frame["start"], frame["num_valid"]) for frame in right
    ]
    wrong = sum(int((one["audio"] != other["audio"]).any(dim=0).sum()) for one, other in zip(got, right, strict=True))
    assert all(torch.isfinite(frame["audio"]).all() for frame in got)
    report = streamed.report()
    assert list(report.damaged) == [str(tmp_path / "a.mp3")]
    assert 0 < wrong <= round(report.seconds_lost * RATE)
    assert report.seconds_lost < 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("flowmo_data")]


def test_memory_that_runs_out_in_a_decoder_is_no_damage(tmp_path, monkeypatch):
    make_mp3(tmp_path / "a.mp3", RATE)

    def exhausted(run):
        raise MemoryError

    monkeypatch.setattr(libsndfile, "decode", exhausted)
    with pytest.raises(MemoryError):
        list(dataset(tmp_path))


# Numbers


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int16])
def test_samples_are_finite_whatever_a_file_holds(tmp_path, dtype):
    samples = music(50_000)
    samples[10_000] = np.nan
    samples[20_000:20_010, 1] = np.inf
    samples[30_000] = 3e38
    samples[30_001] = -3e38
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    streamed = dataset(tmp_path, dtype=dtype)
    assert all(torch.isfinite(frame["audio"].float()).all() for frame in streamed)
    assert streamed.report().seconds_lost == pytest.approx(11 / RATE, abs=1e-5)


def test_clipping_is_kept(tmp_path):
    samples = music(50_000) * 20
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    got = torch.cat([frame["audio"] for frame in dataset(tmp_path, framing="drop")], dim=1)
    assert got.abs().max() > 1.5
    assert torch.equal(got, torch.from_numpy(samples[: got.shape[1]].T.copy()))


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("decoder", EVERY_DECODER)
def test_digital_silence_stays_exactly_zero(tmp_path, kind, decoder):
    samples = np.zeros((200_000, 2), np.float32)
    soundfile.write(tmp_path / f"a.{kind}", samples, RATE)
    frames = list(dataset(tmp_path, framing="drop", shuffle=True, decoder=decoder))
    assert len(frames) >= 200_000 // FRAME - 1
    assert not any(frame["audio"].any() for frame in frames)


@pytest.mark.parametrize("decoder", EVERY_DECODER)
def test_packets_that_decode_to_wild_numbers_are_silent_and_told(tmp_path, monkeypatch, decoder):
    data = bytearray(make_mp3(tmp_path / "a.mp3", 4 * RATE).read_bytes())
    right = torch.cat([frame["audio"] for frame in dataset(tmp_path, decoder=decoder)], dim=1)
    (section,) = walk_bytes(bytes(data)).sections
    for packet in range(40, 60):  # global_gain of both granules and channels at its most: 2 ** 11 times louder
        bits = int.from_bytes(data[section.offsets[packet] + 4 : section.offsets[packet] + 36], "big")
        for granule_and_channel in range(4):
            bits |= 0xFF << (256 - 20 - 59 * granule_and_channel - 12 - 9 - 8)
        data[section.offsets[packet] + 4 : section.offsets[packet] + 36] = bits.to_bytes(32, "big")
    (tmp_path / "a.mp3").write_bytes(data)
    streamed = dataset(tmp_path, decoder=decoder)
    got = torch.cat([frame["audio"] for frame in streamed], dim=1)
    assert got.abs().max() <= 100
    report = streamed.report()
    assert 0 < report.seconds_lost < 25 * 1_152 / RATE
    edges = (38 * 1_152 - section.delay, 64 * 1_152 - section.delay)
    assert torch.allclose(got[:, : edges[0]], right[:, : edges[0]], atol=1e-6)
    assert torch.allclose(got[:, edges[1] :], right[:, edges[1] :], atol=1e-6)
