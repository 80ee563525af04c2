"""Every odd file, with every decoder: what DESIGN promises of it."""

import json

import numpy as np
import pytest
import torch
from builders import DECODERS, EVERY_DECODER, ZOO, expected_zoo, needs_zoo, opened, read

from flowmo_data import AudioFileError, NoReadableFileError, StreamingAudioDataset

EXPECTED = expected_zoo()
NAMES = sorted(EXPECTED)
WHOLE = [name for name in NAMES if EXPECTED[name]["verdict"] == "whole"]
DAMAGED = [name for name in NAMES if EXPECTED[name]["verdict"] == "damaged"]
UNREADABLE = [name for name in NAMES if EXPECTED[name]["verdict"] == "unreadable"]

pytestmark = needs_zoo


def frames(name, decoder, **options):
    return list(StreamingAudioDataset(ZOO / name, decoder=decoder, return_info=True, **options))


@pytest.mark.parametrize("decoder", EVERY_DECODER)
@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_are_whole(name, decoder):
    expected = EXPECTED[name]
    track = opened(ZOO / name)
    (part,) = track.parts
    assert (part.num_samples, part.sample_rate, part.channels) == (
        expected["samples"], expected["sample_rate"], expected["channels"],
    )  # fmt: skip
    assert not track.damage
    emitted = frames(name, decoder, sr=expected["sample_rate"], samples_per_frame=50_000)
    assert sum(frame["num_valid"] for frame in emitted) == expected["samples"]


@pytest.mark.parametrize("name", WHOLE)
def test_decoders_agree_on_whole_files(name):
    if any(parameter.marks[0].args[0] for parameter in EVERY_DECODER):
        pytest.skip("only one decoder is installed")
    (part,) = opened(ZOO / name).parts
    first, *others = (read(part, 0, part.num_samples, decoder).samples.copy() for decoder in DECODERS)
    allowed = 3e-6 * max(1.0, np.abs(first).max())  # one file clips
    assert all(np.abs(first - other).max() < allowed for other in others)


@pytest.mark.parametrize("decoder", EVERY_DECODER)
@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_lose_little(name, decoder):
    expected = EXPECTED[name]
    emitted = frames(name, decoder, sr=expected["sample_rate"], samples_per_frame=50_000)
    assert expected["min_samples"] <= sum(frame["num_valid"] for frame in emitted) <= expected["max_samples"]
    assert all(torch.isfinite(frame["audio"]).all() for frame in emitted)


@pytest.mark.parametrize("decoder", EVERY_DECODER)
@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_files_are_skipped_or_raised(name, decoder, caplog):
    with pytest.raises(AudioFileError, match=name):
        frames(name, decoder, on_error="raise")
    with pytest.raises(NoReadableFileError, match=name):
        frames(name, decoder)
    assert [record.message.split(": ")[0] for record in caplog.records] == [f"skipped {ZOO / name}"]


@pytest.mark.parametrize("decoder", EVERY_DECODER)
@pytest.mark.parametrize("name", ["concat_44100_then_48000.mp3", "concat_stereo_then_mono.mp3"])
def test_both_parts_of_joined_files_come_out(name, decoder):
    parts = opened(ZOO / name).parts
    assert [(part.num_samples, part.sample_rate, part.channels) for part in parts] == (
        [(235_008, 44_100, 2), (226_944, 48_000, 2)]
        if "48000" in name
        else [(235_008, 44_100, 2), (182_016, 44_100, 1)]
    )
    total = sum(-(-part.num_samples * 44_100 // part.sample_rate) for part in parts)
    assert sum(frame["num_valid"] for frame in frames(name, decoder)) == total


@pytest.mark.parametrize("decoder", EVERY_DECODER)
def test_the_whole_zoo_streams(decoder):
    names = {
        frame["path"].rsplit("/", 1)[-1]
        for frame in list(StreamingAudioDataset(ZOO, decoder=decoder, return_info=True))
    }
    assert names == {*WHOLE, *DAMAGED}
    assert json.loads((ZOO / "expected.json").read_text()) == EXPECTED
