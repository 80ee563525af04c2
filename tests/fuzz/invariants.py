"""What holds for the table of any bytes whatever: for the fuzzer and for the tests."""

from __future__ import annotations

from flowmo_data.tracks.mpeg import build_run, missing_packets, packet_range, walk
from flowmo_data.tracks.mpeg.headers import parse_header, stream_key

MOST_READ = 40
"""bytes read for each byte of the file, at most, beside a few chunks"""


def check_walk(data: bytes) -> None:
    """Walk bytes, and build the runs of a few windows of what was found.

    Raises:
        AssertionError: an invariant does not hold.
    """
    num_read = 0

    def read(start: int, stop: int) -> bytes:
        nonlocal num_read
        assert start >= 0, (start, stop)
        found = data[start:stop]
        num_read += len(found)
        return found

    table = walk(read, len(data))
    assert num_read <= MOST_READ * len(data) + (8 << 20), (num_read, len(data))
    assert 0 <= table.lost_bytes <= len(data)
    assert 0 <= table.trailing_bytes <= len(data)
    before = 0
    for section in table.sections:
        offsets = list(section.offsets)
        assert offsets
        assert offsets == sorted(set(offsets))
        assert before <= offsets[0]
        assert offsets[-1] < section.end <= len(data)
        before = section.end
        assert 0 < section.num_samples <= section.num_packets * section.header.samples_per_packet
        assert section.delay >= 0
        for packet, count in missing_packets(section, table.trailing_bytes).items():
            assert 0 <= packet <= section.num_packets
            assert count > 0
        for start, stop in zip(offsets, [*offsets[1:], section.end], strict=True):
            assert 0 < section.lengths[data[start + 2]] <= stop - start
        for gap in section.gaps:
            assert 0 <= gap.packet < section.num_packets
            assert 0 <= gap.lost_bytes <= offsets[gap.packet] - gap.start
        assert [gap.packet for gap in section.gaps] == sorted({gap.packet for gap in section.gaps})
        key = stream_key(data, offsets[0])
        middle = section.num_samples // 2
        for start, stop in {(0, 1), (middle, section.num_samples), (section.num_samples - 1, section.num_samples)}:
            run = build_run(section, *packet_range(section, start, stop), read)
            assert run.starts == sorted(run.starts)
            assert run.starts[-1] == len(run.data)
            assert run.num_samples >= stop - start
            assert all(parse_header(run.data, place) for place in run.starts[:-1])
            assert {stream_key(run.data, place) for place in run.starts[:-1]} == {key}
            assert (run.first * section.header.samples_per_packet) <= start + section.delay
