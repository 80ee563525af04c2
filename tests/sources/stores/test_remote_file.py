"""An object on a web server that fails, is slow, cuts answers off, or changes the object."""

import threading

import pytest
from builders import make_mp3, make_wav
from web_server import WebServer

from flowmo_data import AudioFileError
from flowmo_data.decoding import read_window
from flowmo_data.sources import RemoteFile, Store, source_at
from flowmo_data.sources.stores import retrying, storage_options
from flowmo_data.tracks import open_track

DATA = bytes(range(256)) * 1_000


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setattr(retrying, "DELAYS", (0, 0, 0))
    with WebServer().running() as server:
        server.files["a.bin"] = DATA
        yield server


@pytest.fixture
def source(web):
    return source_at(f"{web.root}/a.bin")


def test_bytes_are_those_of_the_object(source):
    assert source.stamp.size == len(DATA)
    assert source.read(1_000, 1_010) == DATA[1_000:1_010]
    assert source.read(len(DATA) - 5, len(DATA) + 5) == DATA[-5:]
    assert source.read(len(DATA), len(DATA) + 5) == source.read(7, 7) == b""


def test_what_was_fetched_is_not_asked_for_again(web, source):
    source.fetch([(0, 100), (5_000, 6_000)])
    web.requests.clear()
    assert source.read(5_000, 6_000) + source.read(10, 20) == DATA[5_000:6_000] + DATA[10:20]
    assert not web.requests
    source.read(100_000, 100_010)
    source.read(100_010, 100_020)  # came with those before it
    assert [each.byte_range for each in web.requests if each.method == "GET"] == [(100_000, 165_536)]


@pytest.mark.parametrize("fault", [503, 429, 500, "cut off", "hang up"])
@pytest.mark.parametrize("has_etags", [True, False])
def test_what_fails_for_a_while_is_repeated(web, source, fault, has_etags):
    web.has_etags = has_etags
    web.fail_times(3, fault)
    assert source_at(source.path).read(5_000, 90_000) == DATA[5_000:90_000]


@pytest.mark.parametrize("has_etags", [True, False])
def test_a_state_that_does_not_come_for_a_while_is_asked_for_again(web, has_etags):
    web.has_etags = has_etags
    source = source_at(f"{web.root}/a.bin")
    web.fail_times(3, 503)
    assert source_at(source.path).stamp == source.stamp


def test_an_empty_object(web):
    web.files["empty.bin"] = b""
    assert source_at(f"{web.root}/empty.bin").stamp.size == 0
    assert Store().read_small(f"{web.root}/empty.bin") == b""


def test_an_answer_that_does_not_come_is_given_up(web, source, monkeypatch):
    monkeypatch.setattr(storage_options, "_ANSWER_SECONDS", 0.2)
    web.fail_times(1, "slow")
    assert RemoteFile(source.path, source.stamp, Store()).read(0, 10) == DATA[:10]


def test_a_server_that_knows_no_ranges(web, source):
    web.fail_times(9, "no ranges")
    assert source.read(1_000, 1_010) == DATA[1_000:1_010]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (503, "its store does not give it .*503"),
        ("cut off", "its store does not give it"),
        (403, "its store does not give it .*403"),
        (404, "there is no such object"),
    ],
)
def test_what_stays_broken_is_the_error_of_that_object(web, source, fault, reason):
    web.fail_times(99, fault)
    with pytest.raises(AudioFileError, match=f"{web.root}/a.bin: .*{reason}"):
        source.read(0, 10)
    source.fetch([(0, 10)])  # raises nothing
    web.requests.clear()
    with pytest.raises(AudioFileError, match=reason):
        source.read(0, 10)
    assert not web.requests  # the failure is remembered


@pytest.mark.parametrize("now", [DATA[1:], bytes(len(DATA)), b"short"], ids=["shorter", "as long", "short"])
@pytest.mark.parametrize("ahead", [True, False])
def test_an_object_that_changes_between_two_reads_is_told(web, source, now, ahead):
    source.read(0, 10)
    web.files["a.bin"] = now
    if ahead:
        source.fetch([(100_000, 200_000)])
    with pytest.raises(AudioFileError, match=rf"a.bin: changed while it was in use \({len(DATA)} bytes before"):
        source.read(100_000, 200_000)


def test_an_object_that_was_removed_is_told(web, source):
    del web.files["a.bin"]
    with pytest.raises(AudioFileError, match="a.bin: there is no such object"):
        source.read(0, 10)
    with pytest.raises(AudioFileError, match="a.bin: there is no such object"):
        source_at(source.path)


def test_a_failure_inside_of_libsndfile_is_raised(web, tmp_path):
    web.files["a.wav"] = make_wav(tmp_path / "a.wav", 400_000).read_bytes()
    source = source_at(f"{web.root}/a.wav")
    (part,) = open_track(source).parts
    assert part.num_samples == 400_000
    web.fail_times(99, 403)
    with pytest.raises(AudioFileError, match=r"a.wav: its store does not give it .*403"):
        read_window(part, 200_000, 201_000, "soundfile")


def test_a_track_is_that_of_the_local_file(web, tmp_path):
    path = make_mp3(tmp_path / "a.mp3", 100_000)
    web.files["a%20b.mp3"] = path.read_bytes()
    assert open_track(source_at(f"{web.root}/a%20b.mp3")).parts[0].num_samples == 100_000


def test_many_threads_use_one_store(web, source):
    found = []
    places = range(0, 200_000, 10_000)
    threads = [threading.Thread(target=lambda at=at: found.append(source.read(at, at + 9))) for at in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(DATA[at : at + 9] for at in places)
