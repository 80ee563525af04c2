"""What is lost is told once for each file, and summed up for each epoch, also through workers."""

import copy
import logging
import os
import signal
import threading
from contextlib import suppress

import pytest
import soundfile
import torch
from builders import RATE, ZOO, make_mp3, make_wav, music, needs_zoo
from torch.utils.data import DataLoader

from flowmo_data import AudioFileError, AudioIndex, StreamingAudioDataset


@pytest.fixture
def folder(tmp_path):
    """Two good files, two that cannot be read, one with five packets gone and one that is cut off."""
    folder = tmp_path / "music"
    folder.mkdir()
    for name in ("a", "b"):
        make_mp3(folder / f"{name}.mp3", 2 * RATE, seed=ord(name))
    (folder / "empty.mp3").write_bytes(b"")
    (folder / "text.mp3").write_bytes(b"text " * 100)
    data = make_mp3(folder / "holed.mp3", 4 * RATE, seed=3).read_bytes()
    (folder / "holed.mp3").write_bytes(data[:20_000] + b"\x55" * 2_000 + data[22_000:])
    data = make_mp3(folder / "cut.mp3", 4 * RATE, seed=4).read_bytes()
    (folder / "cut.mp3").write_bytes(data[: len(data) // 2])
    return folder


def names(report):
    return [os.path.basename(path) for path in report.skipped], [os.path.basename(path) for path in report.damaged]


def make(files, **options):
    return StreamingAudioDataset(files, **{"samples_per_frame": 20_000, "decoder": "soundfile", **options})


def check(report, epoch):
    assert (report.epoch, report.is_complete) == (epoch, True)
    assert names(report) == (["empty.mp3", "text.mp3"], ["cut.mp3", "holed.mp3"])
    assert report.skipped[next(iter(report.skipped))] == "the file is empty (0 bytes)"
    cut, holed = report.damaged.values()
    assert "audio packets, but the file has" in cut
    assert "bytes inside are not audio packets" in holed
    # holed lost a few packets and the silence of those that leant on them, cut half of its two times 77 packets
    assert 77 < report.packets_lost < 90
    assert report.packets_lost * 1_152 / RATE < report.seconds_lost < (report.packets_lost + 4) * 1_152 / RATE


def test_one_process_reports_each_epoch(folder):
    dataset = make(folder)
    assert dataset.report() == dataset.report(0)
    assert not dataset.report()
    for epoch in range(2):
        list(dataset)
        check(dataset.report(), epoch)
    check(dataset.report(0), 0)


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_report_to_the_main_process(folder, context):
    dataset = make(folder)
    loader = DataLoader(dataset, batch_size=2, num_workers=2, persistent_workers=True, multiprocessing_context=context)
    for epoch in range(2):
        for _ in loader:
            pass
        check(dataset.report(), epoch)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_with_an_index_what_it_knows_counts_once(folder, num_workers):
    pytest.importorskip("pyarrow", reason="the extra index is not installed")
    dataset = make(AudioIndex.build(folder), shuffle_buffer_size=None)
    for _ in DataLoader(dataset, batch_size=2, num_workers=num_workers):
        pass
    check(dataset.report(), 0)


def test_new_workers_do_not_tell_again_what_others_told(folder, tmp_path):
    handler = logging.FileHandler(tmp_path / "log")  # of the workers too
    logging.getLogger("flowmo_data").addHandler(handler)
    try:
        dataset = make(folder)
        for _ in range(3):
            for _ in DataLoader(dataset, batch_size=2, num_workers=2, multiprocessing_context="fork"):
                pass
    finally:
        logging.getLogger("flowmo_data").removeHandler(handler)
        handler.close()
    said = (tmp_path / "log").read_text().splitlines()
    for name in ("empty.mp3", "text.mp3", "holed.mp3: ", "cut.mp3: "):
        assert sum(name in line for line in said) == 1, said
    sums = [line for line in said if line.startswith("epoch ")]
    assert [line.partition(":")[0] for line in sums] == ["epoch 0", "epoch 1", "epoch 2"]
    assert all("2 files skipped, 2 damaged, " in line for line in sums)
    assert all(line.endswith("s of audio lost; report() lists the files") for line in sums)


def test_an_epoch_that_is_left_is_not_complete(folder):
    dataset = make(folder, shuffle=False)
    frames = iter(dataset)
    for _ in range(12):
        next(frames)
    running = dataset.report()
    assert names(running) == ([], ["cut.mp3"])
    assert not running.is_complete
    frames.close()
    assert dataset.report() == running


def test_an_epoch_of_good_files_is_empty_and_complete(tmp_path, caplog):
    make_wav(tmp_path / "a.wav", 50_000)
    dataset = make(tmp_path)
    for _ in DataLoader(dataset, num_workers=2):
        pass
    report = dataset.report()
    assert report.is_complete
    assert not report
    assert str(report) == "epoch 0: 0 files skipped, 0 damaged, 0 packets and 0.00 s of audio lost"
    assert not caplog.records


def test_frames_of_a_file_that_went_away_count_as_lost(tmp_path):
    make_wav(tmp_path / "a.wav", 50_000)
    make_wav(tmp_path / "b.wav", 50_000)
    dataset = make(tmp_path, shuffle=False)
    frames = iter(dataset)
    next(frames)
    (tmp_path / "a.wav").unlink()
    assert len(list(frames)) == 3
    report = dataset.report()
    assert report.skipped == {str(tmp_path / "a.wav"): "No such file or directory"}
    assert report.seconds_lost == pytest.approx(30_000 / RATE, abs=1e-6)


def test_silence_counts_as_lost(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, music(3 * RATE), RATE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2_000] = bytes(2_000)
    path.write_bytes(data)
    dataset = make(tmp_path)
    list(dataset)
    report = dataset.report()
    assert "cannot be decoded and are silent" in report.damaged[str(path)]
    assert 0 < report.seconds_lost < 0.5


class Noting:
    """What to do on an error: note it, in a file that all workers append to, and give up at the third."""

    def __init__(self, path, most=3):
        self.path, self.most = path, most

    def __call__(self, error):
        with open(self.path, "a") as opened:
            opened.write(f"{os.path.basename(error.path)}: {error.reason}\n")
        if len(self.path.read_text().splitlines()) == self.most:
            raise error


@pytest.mark.parametrize(
    ("num_workers", "context"), [(0, None), (2, "fork"), pytest.param(2, "spawn", marks=pytest.mark.slow)]
)
def test_a_function_is_told_of_each_bad_file_once(folder, tmp_path, num_workers, context):
    noting = Noting(tmp_path / "noted")
    dataset = make(folder, on_error=noting)
    for _ in range(2):
        for _ in DataLoader(dataset, batch_size=2, num_workers=num_workers, multiprocessing_context=context):
            pass
    noted = sorted(noting.path.read_text().splitlines())
    assert noted[0] == "empty.mp3: the file is empty (0 bytes)"
    assert noted[1].startswith("text.mp3: no MPEG audio packets in its 500 bytes")
    assert len(noted) == 2
    check(dataset.report(), 1)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_the_function_raises_ends_the_iteration(folder, tmp_path, num_workers):
    dataset = make(folder, on_error=Noting(tmp_path / "noted", most=1))
    with pytest.raises(AudioFileError, match=r"(empty|text)\.mp3: "):
        for _ in DataLoader(dataset, num_workers=num_workers):
            pass


def test_ranks_report_their_own(folder):
    reports = []
    for rank in range(2):
        dataset = make(folder, rank=rank, world_size=2)
        list(dataset)
        reports.append(dataset.report())
    skipped = [name for report in reports for name in names(report)[0]]
    assert sorted(skipped) == ["empty.mp3", "text.mp3"]
    assert all(report.is_complete for report in reports)


def kill_a_worker_and_go_on(batches):
    """Torch may raise at once, wherever this process is."""
    os.kill(batches._workers[0].pid, signal.SIGKILL)
    for _ in batches:
        pass


def test_a_worker_that_is_killed_has_told_what_it_knew(folder):
    dataset = make(folder, shuffle=False)
    loader = iter(DataLoader(dataset, num_workers=1, prefetch_factor=40))
    for _ in range(20):
        next(loader)
    try:
        with pytest.raises(RuntimeError, match="DataLoader worker .* exited unexpectedly|is killed by signal"):
            kill_a_worker_and_go_on(loader)
    finally:
        with suppress(RuntimeError):  # the same, here
            loader._shutdown_workers()  # until then, torch raises the same again when any child ends
    dataset.error_log._read()
    assert str(folder / "empty.mp3") in dataset.error_log._reported


@needs_zoo
def test_many_epochs_take_little(tmp_path):
    dataset = make(ZOO, samples_per_frame=100_000)
    with torch.no_grad():
        for _ in range(3):
            list(dataset)
    line = max(map(len, dataset.error_log._ends[0, 2]))
    assert line < 700


def test_iterators_that_begin_before_either_runs_are_epochs_of_their_own(tmp_path):
    for name in "abcd":
        make_wav(tmp_path / f"{name}.wav", 90_000)
    dataset = make(tmp_path)
    expected = [[frame.clone() for frame in dataset] for _ in range(2)]
    dataset.set_epoch(0)
    first, second = iter(dataset), iter(dataset)
    got = [list(map(torch.clone, second)), list(map(torch.clone, first))][::-1]
    for one, other in zip(got, expected, strict=True):
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_an_epoch_run_again_is_reported_by_itself(folder):
    dataset = make(folder)
    for epoch in (5, 2, 5):
        dataset.set_epoch(epoch)
        for _ in DataLoader(dataset, batch_size=2, num_workers=2):
            pass
        check(dataset.report(), epoch)
    check(dataset.report(2), 2)


def test_a_report_may_be_asked_for_in_other_threads(folder):
    dataset = make(folder, samples_per_frame=4_000)
    stop, failed = threading.Event(), []

    def ask():
        while not stop.is_set():
            try:
                dataset.report()
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        list(dataset)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed
    check(dataset.report(), 2)


def test_with_an_index_a_file_that_went_is_told_once_and_its_own_seconds_are_lost(tmp_path, caplog):
    pytest.importorskip("pyarrow", reason="the extra index is not installed")
    for name in "ab":
        make_wav(tmp_path / f"{name}.wav", 200_000, seed=ord(name))
    index = AudioIndex.build(tmp_path)
    (tmp_path / "a.wav").unlink()
    noting = Noting(tmp_path / "noted", most=99)
    dataset = make(index, on_error=noting, shuffle=False)
    assert len(list(dataset)) == len(dataset)
    assert noting.path.read_text().count("\n") == 1
    assert dataset.report().seconds_lost == pytest.approx(200_000 / RATE, abs=1e-5)


def test_shards_that_look_at_all_files_count_nothing_twice(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"")
    data = make_mp3(tmp_path / "b.mp3", 4 * RATE).read_bytes()
    (tmp_path / "b.mp3").write_bytes(data[:20_000] + b"\x55" * 2_000 + data[22_000:])
    reports = []
    for num_workers in (0, 2):
        dataset = make(tmp_path, shuffle=False)
        for _ in DataLoader(dataset, num_workers=num_workers):
            pass
        reports.append(dataset.report())
    assert reports[0] == reports[1]


def test_a_copy_begins_empty(folder):
    dataset = make(folder)
    list(dataset)
    copied = copy.deepcopy(dataset)
    assert not copied.report()
    list(copied)
    check(copied.report(), 1)
