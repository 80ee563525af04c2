"""Damaged files, thousands of them, through every decoder: see tests/fuzz/mutation_study.py."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from builders import DATA, EVERY_DECODER, RATE, make_mp3, music, opened, packets, read, walk_bytes

from flowmo_data.decoding.recovery import decode_run
from flowmo_data.tracks.mpeg import build_run

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

from mutation_study import outcomes
from mutations import KINDS, MADE_UP, mutate
from variants import check_variant, load_bases

FEW = 150
MANY = 20_000


@pytest.mark.parametrize("decoder", EVERY_DECODER)
def test_mutated_files_keep_every_promise(tmp_path, decoder, monkeypatch):
    monkeypatch.setattr(logging.getLogger("flowmo_data"), "propagate", False)
    bases = load_bases(tmp_path, decoder)
    found = {seed: check_variant(bases, seed, tmp_path / "variant.mp3", decoder) for seed in range(FEW)}
    assert {seed: (outcome.what, outcome.problems) for seed, outcome in found.items() if outcome.problems} == {}
    assert {outcome.kind for outcome in found.values()} == set(KINDS)
    whole = sum(outcome.ideal_seconds for outcome in found.values())
    checked = sum(outcome.right_seconds + outcome.rounded_seconds for outcome in found.values())
    assert checked > 0.5 * whole  # the others have damage in their reservoir


@pytest.mark.slow
@pytest.mark.parametrize("decoder", EVERY_DECODER)
def test_many_mutated_files_keep_every_promise_and_end_no_process(decoder):
    found = dict(outcomes(0, MANY, decoder, 20))
    assert {seed: outcome for seed, outcome in found.items() if "died" in outcome or outcome["problems"]} == {}
    assert max(outcome["peak_kilobytes"] for outcome in found.values()) < 2 << 20


def test_a_seed_gives_the_same_mutation_again():
    data = (DATA / "cbr32_low_bitrate.mp3").read_bytes()
    for seed in range(60):
        first, again = (mutate(data, seed, places=[104 * i for i in range(200)], other=data[:999]) for _ in range(2))
        assert first == again
        for piece in first.pieces:
            assert piece.file == MADE_UP or piece.data == data[piece.start : piece.start + len(piece.data)]
    assert len({mutate(data, seed).data for seed in range(60)}) > 40


@pytest.mark.parametrize("decoder", EVERY_DECODER)
def test_the_info_packet_of_a_joined_file_is_silence_like_any_other(tmp_path, decoder):
    path = tmp_path / "joined.mp3"
    with path.open("wb") as joined:
        for seed in range(2):
            one, samples = tmp_path / "one.mp3", music(20_000, seed=seed)
            soundfile.write(one, samples, RATE, bitrate_mode="CONSTANT", compression_level=0)
            joined.write(one.read_bytes())
    (part,) = opened(path).parts
    whole = read(part, 0, part.num_samples, decoder).samples.copy()
    for start in range(0, part.num_samples - 1_152, 1_152):  # the run of one of these begins with it
        window = read(part, start, start + 1_152, decoder)
        assert window.num_lost == 0
        assert np.array_equal(window.samples, whole[start : start + 1_152])


@pytest.mark.parametrize("decoder", EVERY_DECODER)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_wrong_main_data_begin_costs_the_packets_that_want_what_it_hides(tmp_path, decoder, channels):
    path = make_mp3(tmp_path / "a.mp3", 2 * 44_100, channels=channels)
    data = bytearray(path.read_bytes())
    (part,) = opened(path).parts
    whole, offset = read(part, 0, part.num_samples, decoder).samples.copy(), part.section.offsets[30]
    data[offset + 4 : offset + 6] = bytes((0, data[offset + 5] & 0x7F))  # main_data_begin, clause 2.4.1.7
    path.write_bytes(data)
    (part,) = opened(path).parts
    window = read(part, 0, part.num_samples, decoder)
    assert window.num_lost <= 7 * 1_152
    behind = 40 * 1_152 - part.section.delay
    assert np.abs(window.samples[behind:] - whole[behind:]).max() < 1e-6


@pytest.mark.parametrize("decoder", EVERY_DECODER)
@pytest.mark.parametrize(
    ("name", "num_packets", "lost"),
    [
        ("reservoir.mp3", 40, {27, 28, 29, 30}),
        ("longer_header.mp3", 40, {11, 12, 13, 14}),
        ("info_inside.mp3", 17, {0}),
    ],
)
def test_what_once_cost_more_than_it_had_to(name, num_packets, lost, decoder):
    (part,) = opened(DATA / "damaged" / name).parts
    assert part.section.num_packets == num_packets
    size = part.section.header.samples_per_packet
    windows = range(part.num_samples // size)
    assert {window for window in windows if read(part, window * size, (window + 1) * size, decoder).num_lost} <= lost
    assert read(part, 0, part.num_samples, decoder).num_lost <= 5 * size


def test_a_run_that_is_refused_packet_by_packet_costs_no_square():
    header, decoded = b"\xff\xfb\x90\x64", 0

    def decode(run):
        """Refuses packets whose side information is not empty."""
        nonlocal decoded
        decoded += run.num_packets
        refused = sum(any(run.data[start + 6 : start + 36]) for start in run.starts[:-1])
        return np.zeros((run.num_samples - 1_152 * refused, 2), np.float32)

    num_packets = 800
    data = b"".join(
        header + (b"\x00\x00" + b"\xff" * 30 if i % 3 else bytes(32)) + bytes(381) for i in range(num_packets)
    )
    (section,) = walk_bytes(data).sections
    run = build_run(section, 0, section.num_packets, lambda start, stop: data[start:stop])
    samples = decode_run(run, decode)
    assert samples.shape == (num_packets * 1_152, 2)
    assert run.muted == {i for i in range(num_packets) if i % 3}
    assert decoded < 50 * num_packets


@pytest.mark.parametrize("decoder", EVERY_DECODER)
def test_a_refused_packet_of_free_format_leaves_the_others_in_their_place(tmp_path, decoder):
    path = tmp_path / "a.mp3"
    path.write_bytes((DATA / "freeformat_400k.mp3").read_bytes())
    (part,) = opened(path).parts
    whole = read(part, 0, part.num_samples, decoder).samples.copy()
    data = bytearray(path.read_bytes())
    offset = part.section.offsets[20]
    data[offset + 4 : offset + 36] = b"\xff" * 32  # side information that no packet can have
    path.write_bytes(data)
    window = read(opened(path).parts[0], 0, part.num_samples, decoder)
    before, behind = 20 * 1_152 - part.section.delay, 25 * 1_152 - part.section.delay
    assert np.array_equal(window.samples[:before], whole[:before])
    assert np.abs(window.samples[behind:] - whole[behind:]).max() < 1e-6


@pytest.mark.parametrize("removed", [1, 50, 300])
def test_bytes_cut_out_of_a_packet_cost_that_packet_alone(tmp_path, removed):
    data = make_mp3(tmp_path / "a.mp3", 44_100).read_bytes()
    whole = packets(data)
    at = data.index(whole[20]) + 60
    path = tmp_path / "cut.mp3"
    path.write_bytes(data[:at] + data[at + removed :])
    (part,) = opened(path).parts
    content = path.read_bytes()
    starts = [content.index(packet) for packet in whole[:20] + whole[21:]]
    assert sorted(part.section.offsets) == starts
