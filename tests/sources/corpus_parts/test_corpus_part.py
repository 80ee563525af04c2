import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmo_data.errors import FilesError
from flowmo_data.sources.corpus_parts.part import CorpusPart, as_part, part_in
from flowmo_data.sources.corpus_parts.whole import odd_one_out, whole_corpus


@given(st.lists(st.text(), unique=True), st.integers(1, 20))
def test_parts_are_a_partition(names, count):
    try:
        list(map(str.encode, names))
    except UnicodeEncodeError:
        return
    parts = [CorpusPart(number, count) for number in range(1, count + 1)]
    assert all(sum(part.holds(name) for part in parts) == 1 for name in names)


def test_parts_have_about_as_many_files_each():
    part = CorpusPart(2, 16)
    held = [name for name in (f"disc {number}/track {number % 7}.mp3" for number in range(16_000)) if part.holds(name)]
    assert 900 < len(held) < 1_100
    assert held[0] == "disc 9/track 2.mp3"  # on every machine, in every version


def test_a_part_goes_through_json():
    part = as_part([2, 3]).of(["a", "b"])
    assert part_in(part.as_json()) == part != as_part([2, 3]).of(["ab"])
    assert part_in({}) is None


def test_many_missing_parts_are_counted():
    with pytest.raises(FilesError, match=r"one and others: 9 parts of 10 missing: 1/10, 3/10, .*6/10 and 4 more; make"):
        whole_corpus({"one": CorpusPart(2, 10)}, lambda *_: True, command="make")
    assert odd_one_out({"a": 1}) is None
