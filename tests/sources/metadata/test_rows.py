import datetime
import math

import pytest

from flowmo_data.errors import FilesError
from flowmo_data.sources.metadata.rows import Rows, filled

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed; it is optional")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2], [1, 2]),
        ([1, None], [1.0, math.nan]),
        ([True, False], [True, False]),
        ([True, None], [1.0, math.nan]),
        ([0.5, None], [0.5, math.nan]),
        (["a", None], ["a", ""]),
        ([b"a", None], [b"a", b""]),
        ([None, None], ["", ""]),
        ([[1, None], None, []], [[1.0, math.nan], [], []]),
        ([{"a": 1, "b": ["x", None]}, None], [{"a": 1.0, "b": ["x", ""]}, {"a": math.nan, "b": []}]),
        ([{}, None], [{}, {}]),
        ([[{}], None], [[{}], []]),
        ([datetime.date(2026, 1, 2), None], ["2026-01-02", ""]),
    ],
)
def test_gaps_are_filled(values, expected):
    array = pa.array(values)
    assert repr(filled(array).to_pylist()) == repr(expected)
    assert repr(filled(pa.concat_arrays([array, array]).slice(len(array))).to_pylist()) == repr(expected)


def test_other_types_become_plain():
    assert filled(pa.array(["a", "b", "a", None]).dictionary_encode()).to_pylist() == ["a", "b", "a", ""]
    assert filled(pa.array([0.5, 1], pa.float16())).to_pylist() == [0.5, 1.0]
    assert filled(pa.array([b"ab", None], pa.binary(2))).to_pylist() == [b"ab", b"\0\0"]
    assert filled(pa.array([[1, 2]], pa.list_(pa.int64(), 2))).to_pylist() == [[1, 2]]


def test_a_row_is_a_new_dictionary():
    rows = Rows({"a": pa.array([1, 2]), "b": pa.array([["x"], ["y"]])})
    rows[1]["b"].append("z")
    assert rows[1] == {"a": 2, "b": ["y"]}


def test_a_type_that_cannot_be_emitted_is_named():
    column = pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))
    with pytest.raises(FilesError, match="column 'tags' has the type map<.*leave it out, or store it as text"):
        Rows({"tags": column})
