"""Containers on a web server: the same frames, by ranges of bytes."""

import pytest
import torch
from containers import make
from web_server import WebServer

from flowmo_data import AudioFrameDataset, AudioIndex, StreamingAudioDataset
from flowmo_data.sources.stores import retrying

OPTIONS = {"samples_per_frame": 60_000, "return_info": True, "framing": "drop"}
NAMES = ("AAC in MP4", "AAC in ADTS", "Opus in WebM", "ALAC", "WMA 2")


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    for name in NAMES:
        path, _ = make(folder, name, seconds=40)
        path.rename(folder / path.name.replace(" ", "_"))
    return folder


@pytest.fixture
def web(local, monkeypatch):
    monkeypatch.setattr(retrying, "DELAYS", (0, 0, 0))
    with WebServer().running() as server:
        server.files = {f"music/{path.name}": path.read_bytes() for path in local.iterdir()}
        yield server


def named(items):
    return {(item["path"].rpartition("/")[2], item["start"]): item["audio"] for item in items}


def test_frames_of_a_web_server_are_those_of_a_folder(web, local):
    expected = named(StreamingAudioDataset(local, shuffle=False, **OPTIONS))
    root = f"{web.root}/music"
    streamed = named(StreamingAudioDataset(root, shuffle=False, **OPTIONS))
    index = AudioIndex.build(root)
    by_number = AudioFrameDataset(index, **OPTIONS)
    web.requests.clear()
    numbered = named(map(by_number.__getitem__, range(len(by_number))))
    assert streamed.keys() == expected.keys() == numbered.keys()
    for key, audio in expected.items():
        assert torch.equal(streamed[key], audio)
        assert torch.equal(numbered[key], audio)
    gets = [request for request in web.requests if request.method == "GET"]
    assert len(gets) <= 5 * len(expected)


def test_a_fault_of_the_server_is_retried(web, local):
    expected = named(StreamingAudioDataset(local, shuffle=False, **OPTIONS))
    answers = iter([503, "cut off", "hang up"] * 3)
    web.fault = lambda request: next(answers, None) if request.method == "GET" and len(web.requests) % 3 == 0 else None
    index_free = named(StreamingAudioDataset(f"{web.root}/music", shuffle=False, **OPTIONS))
    assert index_free.keys() == expected.keys()
    assert all(torch.equal(index_free[key], audio) for key, audio in expected.items())
