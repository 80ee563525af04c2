import webdataset.tariterators
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmo_data.packing.naming import member_names
from flowmo_data.sources.member_paths import key_of


@settings(max_examples=50)
@given(st.lists(st.from_regex(r"(d\.e/)?[ab.]{1,4}\.(mp3|wav)", fullmatch=True), unique=True))
def test_every_file_has_a_key_of_its_own_and_keeps_its_suffix(names):
    """The key is that of webdataset."""
    found = list(member_names(names))
    keys = [webdataset.tariterators.base_plus_ext(name) for name in found]
    assert len({key for key, _ in keys}) == len(names)
    assert [suffix for _, suffix in keys] == [name.rpartition(".")[2] for name in names]
    assert [key for key, _ in keys] == [key_of(name) for name in found]
