"""Bytes that nobody would write: any of them give a table, and what they cost can be counted."""

import logging
import os
import random
import sys
import time
from pathlib import Path

import pytest
from builders import EVERY_DECODER, make_mp3, opened
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flowmo_data import AudioFileError, NoReadableFileError, StreamingAudioDataset
from flowmo_data.cli.group import flowmo_data_command
from flowmo_data.tracks.mpeg import walk

sys.path.insert(0, str(Path(__file__).parent / "fuzz"))

from hostile_sizes import HOSTILE
from invariants import check_walk
from mutations import Draw, info_packet, tags

SECRETS = {
    "path": b"/etc/passwd",
    "traversal": b"../../../../tmp/x.mp3",
    "shell": b"$(touch /tmp/flowmo_was_here); `id`",
    "format": b"%s%n {0} {path!r}",
    "markup": b"[bold red]flowmo[/]",
    "line": b"\nERROR flowmo_data: all files are lost\n",
    "escape": b"\x1b[2J\x1b]0;flowmo\x07",
    "nul": b"fl\x00owmo",
    "not UTF-8": b"\xc3\x28flowmo\xa0",
}


def headers():
    """Four bytes that are a header."""
    second = st.sampled_from([0xFB, 0xFA, 0xF3, 0xE3, 0xFD, 0xFF])
    return st.tuples(st.just(0xFF), second, st.integers(0, 0xEF), st.integers(0, 255)).map(bytes)


def fragments():
    """What files are made of, in pieces."""
    seeds = st.integers(0, 1 << 30)
    whole_tags = st.tuples(st.binary(max_size=40), st.none() | st.integers(0, 400)).flatmap(
        lambda drawn: st.sampled_from(sorted(tags(drawn[0], stated=drawn[1]).values()))
    )
    info = st.tuples(headers(), seeds).map(lambda drawn: info_packet(Draw(drawn[1], ()), drawn[0]))
    packet = st.tuples(headers(), st.sampled_from([20, 100, 140, 205, 413, 414, 1_040])).map(
        lambda drawn: drawn[0] + bytes(drawn[1])
    )
    several = st.tuples(packet, st.integers(2, 60)).map(lambda drawn: drawn[0] * drawn[1])
    starts = st.sampled_from([b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"000011LYRICS200", b"Xing", b"VBRI"])
    return st.one_of(packet, several, headers(), whole_tags, info, starts, st.binary(max_size=60))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=4_000))
def test_any_bytes_give_a_table_that_holds(data):
    check_walk(data)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(fragments(), max_size=25).map(b"".join))
@example(b"\xff\xfb\x90\x64" + bytes(413))
def test_any_order_of_what_files_are_made_of_gives_a_table_that_holds(data):
    check_walk(data)


@settings(max_examples=60, deadline=None, suppress_health_check=[*HealthCheck])
@given(data=st.lists(fragments(), max_size=12).map(b"".join))
@pytest.mark.parametrize("decoder", EVERY_DECODER)
def test_any_file_gives_frames_or_an_error_that_names_it(tmp_path, decoder, data):
    path = tmp_path / "a.mp3"
    path.write_bytes(data)
    frames, told = [], str(path)
    try:
        frames = list(StreamingAudioDataset(path, samples_per_frame=20_000, decoder=decoder, on_error="raise"))
    except AudioFileError as error:
        told = str(error)
    assert str(path) in told
    assert all(frame.shape == (2, 20_000) and frame.isfinite().all() for frame in frames)


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_reads_grow_as_the_file_does(name):
    def reads(size):
        data, count = HOSTILE[name](size), [0, 0]

        def read(start, stop):
            count[0] += 1
            count[1] += len(data[start:stop])
            return data[start:stop]

        walk(read, len(data))
        return count

    (few, few_bytes), (many, many_bytes) = reads(30_000), reads(120_000)
    assert many <= 4 * few + 8
    assert many_bytes <= 4 * few_bytes + 8 * 120_000
    assert many_bytes <= 12 * 120_000


def tagged(content):
    """Files that are no audio, with this in tags of all kinds, in front where there may be such, and behind."""
    for kind, tag in tags(content.ljust(64, b" ")).items():
        yield b"junk " * 20 + tag
        if kind in ("ID3v2", "ID3v1", "APEv2"):
            yield tag + b"junk " * 20


@pytest.mark.parametrize("secret", SECRETS)
def test_what_tags_say_is_told_to_nobody(tmp_path, secret, caplog):
    caplog.set_level(logging.DEBUG, "flowmo_data")
    (tmp_path / "good").mkdir()
    audio = make_mp3(tmp_path / "whole.mp3", 20_000).read_bytes()
    for number, junk in enumerate(tagged(SECRETS[secret])):
        (tmp_path / f"{number}.mp3").write_bytes(junk)
    for number, tag in enumerate(tags(SECRETS[secret]).values()):
        (tmp_path / "good" / f"{number}.mp3").write_bytes(tag + audio[:2_000] + tag + audio[3_000:] + tag)
    for path in sorted(tmp_path.glob("[0-9].mp3")):
        with pytest.raises(AudioFileError, match="no MPEG audio packets") as caught:
            opened(path)
        caplog.records.clear()
        check_not_told(SECRETS[secret], str(caught.value))
    list(StreamingAudioDataset(tmp_path, decoder="soundfile", samples_per_frame=20_000))
    assert caplog.records
    for record in caplog.records:
        check_not_told(SECRETS[secret], record.getMessage())
    result = CliRunner().invoke(flowmo_data_command, ["inspect", str(tmp_path), "--workers", "0"])
    assert result.exit_code == 0
    check_not_told(SECRETS[secret], result.output)


def check_not_told(secret, text):
    """See that a text has nothing of a secret, as it is or escaped."""
    for word in secret.split():
        assert word.decode("latin-1") not in text or word in (b"all", b"files", b"are", b"lost")
        assert repr(word)[2:-1] not in text or word in (b"all", b"files", b"are", b"lost")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are Unicode")
@pytest.mark.parametrize(
    "name", [b"a\nERROR all is lost.mp3", b"a\x1b[2J\x1b]0;x\x07.mp3", b"a\xff\xfe\xa0.mp3", b"[red]a.mp3"]
)
def test_names_of_files_do_not_break_what_is_told(tmp_path, name, caplog):
    path = os.fsencode(tmp_path) + b"/" + name
    with open(path, "wb") as file:
        file.write(b"text " * 100)
    with pytest.raises(NoReadableFileError):
        list(StreamingAudioDataset(os.fsdecode(path), decoder="soundfile"))
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    result = CliRunner().invoke(flowmo_data_command, ["inspect", str(tmp_path), "--workers", "0"])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "\x1b" not in result.output
    assert "ERROR all is lost.mp3" not in result.output.splitlines()


def test_what_a_file_holds_does_not_matter_for_where_it_leads(tmp_path):
    """A file of paths is no list of files: it is a file that is no audio."""
    make_mp3(tmp_path / "secret.mp3", 20_000)
    playlist = tmp_path / "list.mp3"
    playlist.write_text(f"#EXTM3U\n{tmp_path / 'secret.mp3'}\n" * random.Random(0).randint(3, 9))
    with pytest.raises(NoReadableFileError, match="no MPEG audio packets"):
        list(StreamingAudioDataset(playlist, decoder="soundfile"))


@pytest.mark.parametrize(
    "piece",
    [
        bytes.fromhex("664c614380000022100010000000000000000ac442f000000000") + bytes(16),  # a FLAC header
        b"OggS\0\2" + bytes(8) + b"\1\0\0\0" + bytes(8) + b"\1\7\1vorbis" + b"OggS\0\0" + bytes(21),  # a link
        b"OggS\0\2" + bytes(8) + b"\1\0\0\0" + bytes(8) + b"\1\7\1vorbis",  # a stream of a link
        b"OggS\0\0" + bytes(21),
        b"OggS\0" + b"\xff" * 22,  # pages of 65 kB
        b"OggS",
        b"RIFF\0\0\0\0WAVE",
        b"FORM\0\0\0\0",
        b"caff\0\0\0\0\0\0\0\0",
    ],
    ids=["FLAC", "links", "streams", "pages", "long pages", "markers", "RIFF", "FORM", "CAF"],
)
def test_headers_without_end_take_seconds(tmp_path, piece):
    path = tmp_path / "a.audio"
    path.write_bytes(piece * (1_000_000 // len(piece)))
    start = time.process_time()
    with pytest.raises(AudioFileError):
        opened(path)
    assert time.process_time() - start < 10
