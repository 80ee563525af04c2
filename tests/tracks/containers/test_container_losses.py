"""What is missing between packets."""

import numpy as np
import pytest

from flowmo_data.tracks.containers.losses import missing_packets
from flowmo_data.tracks.containers.packets import Listed


def adjacent(sizes):
    sizes = np.array(sizes, np.int64)
    none = np.zeros(len(sizes), np.int64)
    return Listed(np.cumsum(sizes) - sizes, sizes, none, none, np.empty(0, np.int64))


@pytest.mark.parametrize("demuxer", ["ac3", "eac3"])
def test_frames_of_dolby_that_are_joined_to_others_are_missing(demuxer):
    listed, seconds = adjacent([834, 836, 1_672, 836, 2_508, 834]), np.full(6, 0.032)
    ((words, losses),) = missing_packets(listed, seconds, demuxer, 1.0, 0.0, int(listed.sizes.sum()))
    assert words == "3 packets inside cannot be found, as sync words are damaged"
    assert [loss.packets for loss in losses] == [1, 2]
    assert [loss.start_seconds for loss in losses] == pytest.approx([0.096, 0.16])
    assert [loss.seconds for loss in losses] == pytest.approx([0.032, 0.064])


def test_nothing_is_missing_from_packets_that_fill_the_file():
    for demuxer in ("ac3", "aac"):
        listed = adjacent([834, 836, 836, 834])
        assert missing_packets(listed, np.full(4, 0.032), demuxer, 1.0, 0.0, int(listed.sizes.sum())) == []
    listed = adjacent([200, 700, 350])  # of AAC, any size is usual
    assert missing_packets(listed, np.full(3, 0.023), "aac", 1.0, 0.0, int(listed.sizes.sum())) == []
