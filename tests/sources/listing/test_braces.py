import pytest

from flowmo_data.sources.listing.braces import expand_braces


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.tar", ["a.tar"]),
        ("{8..11}", ["8", "9", "10", "11"]),
        ("{08..11}", ["08", "09", "10", "11"]),
        ("{3..1}", ["3", "2", "1"]),
        ("{0..6..3}", ["0", "3", "6"]),
        ("{0..2..0}", ["0", "1", "2"]),
        ("{-1..1}", ["-1", "0", "1"]),
        ("{-01..01}", ["-01", "000", "001"]),
        ("{a..c}{1,2}", ["a1", "a2", "b1", "b2", "c1", "c2"]),
        ("s3://{a,b}/{00..01}.tar", ["s3://a/00.tar", "s3://a/01.tar", "s3://b/00.tar", "s3://b/01.tar"]),
        ("{a,b{1..2}}", ["a", "b1", "b2"]),
        ("{,x}", ["", "x"]),
        ("{a}", ["{a}"]),
        ("{a,b", ["{a,b"]),
        ("a}b", ["a}b"]),
        ("{a{1,2}", ["{a1", "{a2"]),
        ("{a{1,2}}", ["{a1}", "{a2}"]),
    ],
)
def test_as_a_shell_expands_them(text, expected):
    assert list(expand_braces(text)) == expected
