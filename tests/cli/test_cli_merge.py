import json
import shutil

import pytest
from builders import DATA, make_wav
from click.testing import CliRunner
from tars import tar_of

from flowmo_data import AudioIndex
from flowmo_data.cli.group import flowmo_data_command

pytest.importorskip("pyarrow.parquet", reason="the extra index is not installed")


def run(*arguments):
    return CliRunner().invoke(flowmo_data_command, [str(argument) for argument in arguments])


def done(*arguments, status=0):
    result = run(*arguments)
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    for number in range(6):
        make_wav(folder / f"{number}.wav", 400)
    shutil.copy(DATA / "damaged" / "reservoir.mp3", folder / "damaged.mp3")
    (folder / "bad.mp3").write_bytes(b"text " * 100)
    (folder / "not_read.tak").write_bytes(b"text")
    return folder


@pytest.fixture
def named(tmp_path):
    for name in ("mix", "voice"):
        (tmp_path / name).mkdir()
        for number in range(5):
            if (name, number) != ("voice", 2):
                make_wav(tmp_path / name / f"{number}.wav", 300 + 9_000 * (name == "mix" and number == 3))
    return [f"mixture={tmp_path}/mix", f"voice={tmp_path}/voice"]


@pytest.mark.parametrize("count", [2, 7])
def test_parts_become_the_index_and_the_report_of_all(folder, named, tmp_path, count):
    (tmp_path / "tars").mkdir()
    (tmp_path / "tars" / "1.tar").write_bytes(tar_of({"x.wav": (folder / "1.wav").read_bytes()}))
    (tmp_path / "tars" / "2.tar").write_bytes(tar_of({"y.wav": (folder / "2.wav").read_bytes()})[:1_500])  # cut off
    for files in ([folder], [tmp_path / "tars"], named):
        parts = tmp_path / f"parts of {len(str(files))}"
        parts.mkdir()
        for number in range(1, count + 1):
            part = ["--part", f"{number}/{count}", "--workers", "0"]
            output = done("index", *files, "-o", parts / f"{number}.parquet", *part)
            assert f"{number}.parquet (part {number}/{count}): " in output
            result = run("check", *files, "--json", parts / f"{number}.json", *part)
            report = json.loads((parts / f"{number}.json").read_text())
            is_cut_off = any(path.endswith(".tar") for path in report["left_out"])
            assert result.exit_code == (is_cut_off or any(each["verdict"] != "whole" for each in report["files"]))
            assert f"part {number}/{count}: {len(report['files'])} file" in result.output
        done("index", *files, "-o", tmp_path / "whole.parquet", "--workers", "0")
        done("check", *files, "--json", tmp_path / "whole.json", "--quarantine", tmp_path / "whole.txt", status=1)
        for _ in range(2):  # the result of the first merge is not taken for a part by the second
            output = done("merge", parts, "-o", parts / "corpus.parquet")
            assert ("bad.mp3" in output) == (files == [folder])
            output = done("merge", parts, "-o", parts / "corpus.json", "--quarantine", parts / "list.txt", status=1)
            assert "2.tar" in output or files != [tmp_path / "tars"]
        # written to the same folder, as roots are relative to the index
        shutil.copy(tmp_path / "whole.parquet", tmp_path / "before.parquet")
        done("merge", parts / "[0-9].parquet", "-o", tmp_path / "whole.parquet")
        assert (tmp_path / "whole.parquet").read_bytes() == (tmp_path / "before.parquet").read_bytes()
        assert AudioIndex.load(parts / "corpus.parquet").part is None
        assert (parts / "corpus.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
        assert (parts / "list.txt").read_bytes() == (tmp_path / "whole.txt").read_bytes()


def test_an_index_is_checked_in_parts(folder, tmp_path):
    done("index", folder, "-o", tmp_path / "i.parquet", "--workers", "0")
    for number in (1, 2, 3):
        run("check", tmp_path / "i.parquet", "--part", f"{number}/3", "--json", tmp_path / f"{number}.json")
    done("merge", *(tmp_path / f"{number}.json" for number in (3, 1, 2)), "-o", tmp_path / "all.json", status=1)
    done("check", tmp_path / "i.parquet", "--json", tmp_path / "whole.json", status=1)
    assert (tmp_path / "all.json").read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_merge_joins_tables(folder, tmp_path):
    (tmp_path / "labels.csv").write_text("file_name,text\n" + "".join(f"music/{n}.wav,about {n}\n" for n in range(6)))
    (tmp_path / "segments.csv").write_text("file_name,start,stop\nmusic/1.wav,0,0.005\n")
    tables = ["--metadata", tmp_path / "labels.csv", "--segments", tmp_path / "segments.csv"]
    for number in (1, 2):
        done("index", folder, "-o", tmp_path / f"part-{number}.parquet", "--part", f"{number}/2")
    done("merge", tmp_path / "part-*", "-o", tmp_path / "c.parquet", *tables)
    merged = (tmp_path / "c.parquet").read_bytes()
    done("index", folder, "-o", tmp_path / "c.parquet", "--fresh", *tables)
    assert (tmp_path / "c.parquet").read_bytes() == merged
    output = done("merge", tmp_path / "part-*", "-o", tmp_path / "c.parquet")
    assert "it had metadata until now, and has none any more; to have them again, give --metadata TABLE" in output
    output = done("index", folder, "-o", tmp_path / "p.parquet", "--part", "1/2", *tables, status=2)
    assert "give them to flowmo-data merge, not with --part" in " ".join(output.split())


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["index", "{music}", "-o", "{tmp}/p.parquet", "--part", "0/16"], 2, "0/16 is not a part: parts count from 1"),
        (["check", "{music}", "--part", "17/16"], 2, "the last 16/16; in a Slurm array: --array=1-16"),
        (["index", "{music}", "-o", "{tmp}/p.parquet", "--part", "3"], 2, "'3' is not K/N, such as 3/16"),
        (["index", "{music}", "-o", "{tmp}/part.parquet", "--part", "2/2"], 1, "it is part 1/2, and part 2/2 would"),
        (["index", "{music}", "-o", "{tmp}/whole.parquet", "--part", "2/2"], 1, "it is the index of a whole corpus"),
        (["merge", "{tmp}/part.parquet", "-o", "{tmp}/c.parquet"], 1, "1 part of 2 missing: 2/2; make them"),
        (["merge", "{tmp}/part.parquet", "-o", "{tmp}/c.txt"], 2, "the name of an index must end in .parquet"),
        (["merge", "{tmp}/part.parquet", "-o", "{tmp}/text.parquet"], 1, "delete it, or choose another name"),
        (["merge", "{tmp}/no", "-o", "{tmp}/c.parquet"], 1, "no: there is no part of a corpus"),
        (["merge", "{music}", "-o", "{tmp}/c.json"], 1, "this is not a report of flowmo-data check --json (Unicode"),
        (["merge", "{tmp}/p.parquet", "-o", "{tmp}/no/c.parquet"], 1, "it cannot be written"),
        (["merge", "{tmp}/text.parquet", "-o", "{tmp}/c.json"], 1, "this is not a report of flowmo-data check --json"),
        (["merge", "{tmp}/1.json", "-o", "{tmp}/c.json"], 1, "1 part of 2 missing: 2/2; make them: flowmo-data check"),
        (["merge", "{tmp}/whole.json", "-o", "{tmp}/c.json"], 1, "it is about a whole corpus, not a part of one"),
        (["merge", "{tmp}/[12].json", "-o", "{tmp}/c.json"], 1, "make all parts with the same --decoder"),
        (["merge", "{tmp}/1.json", "-o", "{tmp}/c.json", "--root", "{tmp}"], 2, "are for indexes"),
        (["merge", "{tmp}/1.json", "-o", "memory://c.json"], 2, "a report is written to a local file"),
        (["merge", "{tmp}/3.json", "-o", "{tmp}/c.json"], 1, "this is not a report of flowmo-data check --json"),
        (["merge", "{tmp}/part.parquet", "-o", "{tmp}/c.parquet", "--quarantine", "l"], 2, "is for reports of check"),
    ],
)  # fmt: skip
def test_bad_input_is_said(tmp_path, arguments, status, message):
    music = make_wav(tmp_path / "a.wav", 400)
    AudioIndex.build(music, part=(1, 2)).save(tmp_path / "part.parquet")
    AudioIndex.build(music).save(tmp_path / "whole.parquet")
    (tmp_path / "text.parquet").write_text("no index")
    report = {"decoder": "native", "files": [], "left_out": {}}
    (tmp_path / "whole.json").write_text(json.dumps(report))
    (tmp_path / "1.json").write_text(json.dumps({**report, "part": [1, 2], "corpus": "0"}))
    (tmp_path / "2.json").write_text(json.dumps({**report, "part": [2, 2], "corpus": "0", "decoder": "soundfile"}))
    (tmp_path / "3.json").write_text(json.dumps({**report, "part": [1, 1], "corpus": "0", "left_out": []}))
    result = run(*(argument.format(music=music, tmp=tmp_path) for argument in arguments))
    assert result.exit_code == status, result.output
    assert message in " ".join(result.output.replace("│", " ").split())
    assert (tmp_path / "text.parquet").read_text() == "no index"


def test_parts_are_of_the_same_files_wherever_the_folder_is(folder, tmp_path):
    """Each machine may have the corpus at another place."""
    (tmp_path / "parts").mkdir()
    here, there = (shutil.copytree(folder, tmp_path / place / "music") for place in ("here", "there"))
    for number, place in ((1, here), (2, there)):
        run("check", place, "--part", f"{number}/2", "--json", tmp_path / "parts" / f"{number}.json")
    done("merge", tmp_path / "parts", "-o", tmp_path / "all.json", status=1)
    names = [each["path"].rpartition("/")[2] for each in json.loads((tmp_path / "all.json").read_text())["files"]]
    assert sorted(names) == sorted(path.name for path in folder.iterdir() if path.suffix != ".tak")


def test_a_report_or_an_index_of_one_part_does_not_replace_that_of_another(folder, tmp_path):
    report, index = tmp_path / "report.json", tmp_path / "part.parquet"
    run("check", folder, "--part", "1/2", "--json", report)
    run("index", folder, "--part", "1/2", "-o", index)
    before = report.read_bytes(), index.read_bytes()
    for part in (["--part", "2/2"], []):
        assert "is the report on part 1/2, and one on" in done("check", folder, *part, "--json", report, status=1)
        assert "it is part 1/2, and" in done("index", folder, *part, "-o", index, status=1)
    assert (report.read_bytes(), index.read_bytes()) == before
