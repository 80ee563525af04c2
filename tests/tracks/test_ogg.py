import pytest

from flowmo_data.tracks.ogg import last_page_start


def page(granule, size=50):
    return b"OggS\0\0" + granule.to_bytes(8, "little") + bytes(size)


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ([], 0),
        ([page(700)], 0),
        ([page(0), page(500), page(900)], 500),
        ([page(500), page(2**64 - 1), page(900)], 500),
        ([page(i, 60_000) for i in range(1, 30)], 28),
    ],
)
def test_the_last_page_starts_where_the_one_before_ends(pages, expected):
    data = b"".join(pages)
    assert last_page_start(lambda start, stop: data[start:stop], len(data)) == expected
