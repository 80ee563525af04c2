import io
import random
import tarfile

import pytest
from tars import tar_of

from flowmo_data import AudioFileError
from flowmo_data.sources.tars.headers import NotATarError, members_of

FILES = {f"{number}.mp3": bytes([number]) * (700 * number) for number in range(4)}


def walked(data):
    """The members of a tar by name, as bytes, and its problems."""
    problems = []
    found = list(members_of(lambda start, stop: data[start:stop], len(data), problems.append))
    return {each.name: data[each.offset : each.offset + each.size] for each in found}, problems


def reasons(problems):
    return "; ".join(each.reason for each in problems)


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_where_they_say(kind):
    assert walked(tar_of(FILES, kind=kind)) == (FILES, [])


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_other_alphabets(kind):
    files = {f"{'long/' * 60}name.mp3": b"long", "Größe/日本.mp3": b"unicode", "\udcff.mp3": b"no UTF-8"}
    assert walked(tar_of(files, kind=kind)) == (files, [])


def test_only_headers_are_read():
    data, read = tar_of({f"{number}.mp3": bytes(1 << 20) for number in range(8)}), []

    def noted(start, stop):
        read.append(stop - start)
        return data[start:stop]

    assert len(list(members_of(noted, len(data), print))) == 8
    assert sum(read) < 100_000


def test_more_members_than_one_reader_keeps():
    files = {f"{number}.mp3": b"%d" % number for number in range(2_500)}
    assert walked(tar_of(files)) == (files, [])


def test_names_lead_nowhere_else():
    found, _ = walked(tar_of({"./a.mp3": b"a", "/b.mp3": b"b", "c/../../d.mp3": b"d"}))
    assert found == {"a.mp3": b"a", "b.mp3": b"b", "d.mp3": b"d"}


def test_what_is_no_file_is_skipped_and_links_are_named():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, kind in [("folder", tarfile.DIRTYPE), ("pipe", tarfile.FIFOTYPE), ("a.mp3", tarfile.SYMTYPE)]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "b.mp3"
            tar.addfile(info)
    found, problems = walked(file.getvalue())
    assert found == {}
    assert [(each.name, each.reason) for each in problems] == [
        ("a.mp3", "it is a link in the tar, to b.mp3, which is read under its own name")
    ]
    assert "'::'" in reasons(walked(tar_of({"a::b.mp3": b""}))[1])


def test_a_sparse_member_is_refused():
    """As GNU tar writes it with --sparse: the header of the old format."""
    info = tarfile.TarInfo("a.mp3")
    info.type = tarfile.GNUTYPE_SPARSE
    info.size = 512
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:398], header[398:410], header[483:495] = b"%011o " % 0, b"%011o " % 512, b"%011o " % 9_000
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    data = bytes(header) + bytes(512) + tar_of({"b.mp3": b"b"})
    found, problems = walked(data)
    assert found == {"b.mp3": b"b"}
    assert "sparse" in reasons(problems)


def test_cut_off_anywhere_gives_whole_members_and_a_report():
    data = tar_of(FILES)
    ends = {name: data.index(FILES[name]) + len(FILES[name]) for name in list(FILES)[1:]}
    mark = ends["3.mp3"] // 512 * 512 + 512
    for stop in range(512, ends["3.mp3"] + 1_100, 100):
        found, problems = walked(data[:stop])
        assert list(found) == ["0.mp3", *(name for name, end in ends.items() if end <= stop)], stop
        assert bool(problems) == (stop <= mark), stop
    cut = data[: ends["3.mp3"] - 50]
    assert reasons(walked(cut)[1]) == "it is cut off inside the member 3.mp3: 2050 of its 2100 bytes are there"
    at_a_header = data.index(FILES["3.mp3"]) - 512
    assert "no mark of its end" in reasons(walked(data[:at_a_header])[1])
    assert "there is no header" in reasons(walked(data[: at_a_header + 100])[1])


def test_behind_damage_the_next_header_is_found():
    data = bytearray(tar_of(FILES))
    place = data.index(FILES["2.mp3"]) - 512
    data[place : place + 512] = random.Random(0).randbytes(512)
    found, problems = walked(bytes(data))
    assert found == {name: FILES[name] for name in ("0.mp3", "1.mp3", "3.mp3")}
    assert reasons(problems) == f"2048 bytes from byte {place} on are not read: there is no header of a member"


def test_tars_one_behind_the_other():
    """As cat joins them."""
    assert walked(tar_of({"a.mp3": b"a"}) + tar_of({"b.mp3": b"b"})) == ({"a.mp3": b"a", "b.mp3": b"b"}, [])
    found, problems = walked(tar_of({"a.mp3": b"a"}) + b"x" * 50_000)
    assert found == {"a.mp3": b"a"}
    assert "behind the mark of its end" in reasons(problems)


def test_an_empty_tar():
    assert walked(tar_of({})) == ({}, [])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x1f\x8b" + bytes(600), r"compressed tar \(gzip\).*flowmo-data pack"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), r"compressed tar \(zstd\)"),
        (b"BZh" + bytes(600), r"compressed tar \(bzip2\)"),
        (b"ID3" + bytes(600), "does not begin with the header of a tar"),
        (b"", "it has 0 bytes"),
    ],
)
def test_what_is_no_tar_is_refused(data, reason):
    with pytest.raises(NotATarError, match=reason):
        walked(data)


def test_a_tar_that_cannot_be_read():
    def broken(_start, _stop):
        raise AudioFileError.of("x.tar", "gone")

    with pytest.raises(AudioFileError, match=r"x\.tar: gone"):
        list(members_of(broken, 10_000, print))


def test_hostile_headers_end():
    """Flipped bits in headers: no member has bytes past the end, and nothing goes on forever."""
    chance, data = random.Random(1), tar_of({**FILES, "x" * 200: b"long"})
    starts = [place for place in range(0, len(data), 512) if data[place + 257 : place + 262] == b"ustar"]
    for _ in range(1_500):
        broken = bytearray(data)
        start = chance.choice(starts)
        for _ in range(chance.randint(1, 4)):
            broken[start + chance.choice([chance.randrange(512), chance.randrange(124, 157)])] = chance.randrange(256)
        if chance.random() < 0.7:  # with a checksum that fits
            broken[start + 148 : start + 156] = b"        "
            broken[start + 148 : start + 156] = b"%06o\0 " % sum(broken[start : start + 512])
        try:
            found, _ = walked(bytes(broken))
        except NotATarError:
            continue
        assert len(found) <= 5
