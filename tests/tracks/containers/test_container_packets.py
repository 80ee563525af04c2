"""Samples of packets, by every rule there is."""

from fractions import Fraction

import numpy as np
import pytest

from flowmo_data.tracks.containers.packets import Listed, Probed, count_samples, opus_samples

NO_TIME = -(1 << 63)


def listed(times, durations=0, sizes=100, first_bytes=()):
    times = np.array(times, np.int64)
    column = np.ones(len(times), np.int64)
    return Listed(-column, sizes * column, times, durations * column, np.array(first_bytes, np.int64))


@pytest.mark.parametrize(
    ("first", "second", "samples"),
    [
        (0x00, 0, 480), (0x08, 0, 960), (0x18, 0, 2_880), (0x60, 0, 480), (0x68, 0, 960), (0x80, 0, 120),
        (0xF8, 0, 960), (0xF9, 0, 1_920), (0xFA, 0, 1_920), (0xFB, 5, 4_800), (0xFB, 0xC2, 1_920),
    ],
)  # fmt: skip
def test_the_duration_of_a_packet_of_opus(first, second, samples):
    assert opus_samples(np.array([first << 8 | second])).tolist() == [samples]


def test_packets_of_one_duration_are_counted_by_number():
    probed = Probed(44_100, 2, (1_024, 0, 1_024), (100, 100, 100))  # the second is damaged
    times = [0, 23, 46, 500, 520]  # with a gap, which moves nothing
    assert count_samples(listed(times), probed, "aac", Fraction(1, 1_000), 1_024).tolist() == [1_024] * 5
    irregular = Probed(44_100, 2, (1_024, 960, 1_024), (100, 100, 100))
    assert count_samples(listed(times), irregular, "aac", Fraction(1, 1_000), 1_024) is None


def test_the_last_packet_may_be_shorter():
    probed, times = Probed(44_100, 2, (4_608,) * 4, (9,) * 4), [0, 104, 209, 313]
    counts = count_samples(listed(times), probed, "flac", Fraction(1, 1_000), 500)
    assert counts.tolist() == [4_608, 4_608, 4_608, 500]
    for others in ([0, 104, 300, 400], [NO_TIME] * 4, [0, 104, 104, 313]):
        assert count_samples(listed(others), probed, "flac", Fraction(1, 1_000), 500) is None


def test_damage_at_the_start_does_not_decide_the_samples_of_packets():
    probed = Probed(44_100, 2, (0,) * 5 + (4_608,) * 3, (9,) * 8)
    assert probed.packet_samples == 4_608
    times = [round(number * 4_608 / 44.1) for number in range(10)]
    assert count_samples(listed(times), probed, "flac", Fraction(1, 1_000), 500).tolist() == [4_608] * 9 + [500]


def test_durations_count_where_time_is_in_samples():
    probed = Probed(48_000, 1, (300, 200, 100), (9,) * 3)
    durations = np.array([300, 200, 100, 50])
    assert count_samples(listed(range(4), durations), probed, "?", Fraction(1, 48_000), None).tolist() == [
        300, 200, 100, 50,
    ]  # fmt: skip
    assert count_samples(listed(range(4), durations + 1), probed, "?", Fraction(1, 48_000), None) is None
    assert count_samples(listed(range(4), durations), probed, "?", Fraction(1, 1_000), None) is None


def test_bytes_of_pcm_are_samples():
    probed = Probed(44_100, 2, (1_000,), (6_000,))
    counts = count_samples(listed(range(3), sizes=np.array([6_000, 6_000, 60])), probed, "pcm_s24le", Fraction(1), None)
    assert counts.tolist() == [1_000, 1_000, 10]
