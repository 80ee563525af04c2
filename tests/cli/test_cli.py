import json
import os
import signal
import time
from importlib.util import find_spec

import programs
import pytest
from builders import make_mp3, make_wav
from click.testing import CliRunner
from programs import run as run_program

from flowmo_data import MissingPackageError, __version__
from flowmo_data.bench.demo import NUM_FILES
from flowmo_data.cli.group import flowmo_data_command
from flowmo_data.decoding.registry import explain_choice
from flowmo_data.runtime import library


def run(*arguments):
    return CliRunner().invoke(flowmo_data_command, [str(argument) for argument in arguments])


def test_help_and_version():
    assert "bench" in run("--help").output
    assert run("--version").output == f"flowmo-data, version {__version__}\ndecoder: {explain_choice()}\n"
    assert "--workers N ..." in run("bench", "--help").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench"], "give a FOLDER of audio, or --demo"),
        (["bench", "x", "--demo"], "give the folder x or --demo, not both"),
        (["bench", "--demo", "--workers", "two"], "'two' is not a valid int"),
        (["bench", "--demo", "--workers"], "requires an argument"),
        (["bench", "--demo", "--decoder", "ffmpeg"], "'ffmpeg' is not one of"),
        (["bench", "--demo", "--batches", "0"], "0 is not in the range x>=1"),
        (
            ["bench", "--demo", "--decoders", "--baselines", "whole-file"],
            "leave out --baselines, --map-style and --plot",
        ),
        (["nothing"], "No such command 'nothing'"),
    ],
)
def test_wrong_usage_is_said_and_exits_with_2(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_what_is_not_there_is_said_and_exits_with_1(tmp_path):
    result = run("bench", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "nowhere': there is no such file or folder" in result.output
    assert run("bench", tmp_path).exit_code == 1


def test_files_that_cannot_be_read_are_said(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"text " * 100)
    result = run("bench", tmp_path, "--workers", "0")
    assert result.exit_code == 1
    assert "none of 1 file can be read" in result.output


def test_bench_prints_one_table(tmp_path, monkeypatch):
    for index in range(2):
        make_mp3(tmp_path / f"{index}.mp3", 60_000, seed=index)
    (tmp_path / "flowmo_data").mkdir()
    (tmp_path / "flowmo_data/__init__.py").write_text("raise AssertionError('another package')")  # a source tree, say
    monkeypatch.chdir(tmp_path)
    options = [
        "--workers",
        "0",
        "3",
        "--samples-per-frame",
        "8000",
        "--batch-size",
        "2",
        "--warmup",
        "2",
        "--batches",
        "4",
    ]
    written = ["--repeats", "1", "--json", tmp_path / "out.json", "--plot", tmp_path / "out.png"]
    result = run("bench", ".", *options, *written)
    assert result.exit_code == 0, result.output
    first_columns = [line[:14].strip() for line in result.output.splitlines()]
    assert first_columns.count("flowmo_data") == 4
    assert "decoder alone" in first_columns
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["results"][0]["setup"]["loader"] == "decoder"
    assert all(len(entry["runs"]) == 1 and entry["batches_per_second"] > 0 for entry in report["results"])
    assert report["corpus"]["num_files"] == 2
    assert {"cores", "versions", "date"} <= report["machine"].keys()
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    assert "Recommended here: num_workers=" in result.output
    assert f"decoder: {explain_choice()}\n" in result.output
    assert "goes through the" not in result.output
    assert "3 workers for 2 files: a file goes to one worker, and the others are idle" in result.output


def test_the_demo_makes_fewer_and_shorter_runs_unless_others_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("flowmo_data.cli.bench.default_folder", lambda: tmp_path)
    for index in range(NUM_FILES):
        make_mp3(tmp_path / f"demo_{index:03d}.mp3", 30_000, seed=index)  # they exist, so they are not made
    given = ["--samples-per-frame", "8000", "--batch-size", "2", "--batches", "3"]
    result = run("bench", "--demo", *given, "--json", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    entries = json.loads((tmp_path / "out.json").read_text())["results"]
    assert {entry["setup"]["num_workers"] for entry in entries} == {0, 2}
    assert {entry["setup"]["warmup"] for entry in entries} == {2}
    assert {entry["setup"]["batches"] for entry in entries} == {3}  # as given
    assert {len(entry["runs"]) for entry in entries} == {2}


def test_bench_shows_the_decoders_side_by_side(tmp_path):
    make_mp3(tmp_path / "a.mp3", 60_000)
    options = ["--samples-per-frame", "8000", "--batch-size", "2", "--warmup", "1", "--batches", "2", "--repeats", "3"]
    result = run("bench", tmp_path, "--decoders", *options, "--json", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    entries = json.loads((tmp_path / "out.json").read_text())["decoders"]
    found = [tuple(entry["setup"][key] for key in ("decoder", "instruction_set", "channels")) for entry in entries]
    own = [("native", name, channels) for name in library.variants() for channels in (2, 1)]
    others = [(name, "", 2) for name in ("minimp3py", "soundfile") if find_spec(name)]
    assert found == own + others
    assert all(len(entry["runs_ms"]) == 3 and min(entry["runs_ms"]) > 0 for entry in entries)
    assert entries[len(own)]["ratio"] == 1
    assert {entry["ratio_to"] for entry in entries} == {others[0][0]}
    assert all(f"{name}" in result.output for name, *_ in found)


def test_decoders_are_compared_on_mp3s(tmp_path):
    make_wav(tmp_path / "a.wav", 60_000)
    result = run("bench", tmp_path, "--decoders", "--samples-per-frame", "8000")
    assert result.exit_code == 1
    assert "there is no MP3 at 44,100 Hz in it" in result.output


def test_without_its_extra_the_command_says_what_to_install():
    code = "import sys; sys.modules['click'] = None; from flowmo_data.cli import main; main()"
    result = run_program("-c", code, check=False)
    assert result.returncode == 1
    assert result.stderr == "flowmo-data needs the package click: pip install 'flowmo_data[cli]'\n"


@pytest.mark.parametrize("environment", [{}, {"FLOWMO_DATA_SIMD": "avx1024"}])
def test_the_version_needs_no_extra_and_never_fails(environment):
    hidden = "; ".join(f"sys.modules[{name!r}] = None" for name in ("click", "rich", "psutil", "platformdirs"))
    code = f"import sys; {hidden}; sys.argv[1:] = ['--version']; from flowmo_data.cli import main; main()"
    result = run_program("-c", code, env=environment)
    version, decoder = result.stdout.splitlines()
    assert version == f"flowmo-data, version {__version__}"
    assert decoder.startswith("decoder: ")
    assert ("none, as FLOWMO_DATA_SIMD='avx1024'" in decoder) == (bool(environment) and library.LIBRARY.exists())


def test_measuring_writes_a_line_for_every_batch(tmp_path):
    from flowmo_data.bench.setups import Measurement, Setup

    make_mp3(tmp_path / "a.mp3", 60_000)
    setup = Setup(files=(str(tmp_path),), samples_per_frame=5_000, batch_size=2, warmup=2, batches=3)
    lines = run_program("-m", "flowmo_data.bench.measuring", setup.to_json()).stdout.splitlines()
    messages = [json.loads(line) for line in lines]
    assert [message["batch"] for message in messages[:-1]] == list(range(1, len(messages)))
    measurement = Measurement.from_values(messages[-1]["measurement"])
    assert measurement.first_batch_seconds > 0
    assert measurement.num_batches >= 3
    assert measurement.peak_bytes > 10_000_000


@pytest.mark.parametrize("baseline", ["whole-file", "librosa", "torchcodec"])
def test_baselines_are_measured_in_a_process_of_their_own(tmp_path, baseline):
    from flowmo_data.bench.baselines import check_torchcodec, own_decoder
    from flowmo_data.bench.running import run_setups
    from flowmo_data.bench.setups import Setup

    if baseline == "torchcodec":
        try:
            check_torchcodec()
        except MissingPackageError as error:
            pytest.skip(str(error))
    make_mp3(tmp_path / "a.mp3", 60_000)
    setup = Setup(
        files=(str(tmp_path),), loader=baseline, decoder=own_decoder(baseline), samples_per_frame=5_000,
        batch_size=2, warmup=1, batches=2, shuffle_buffer_size=3,
    )  # fmt: skip
    ((measurement,),) = run_setups([setup], repeats=1, on_batch=lambda index, batch: None)
    assert measurement.num_batches >= 2


def test_a_json_that_cannot_be_written_is_said_before_measuring(tmp_path):
    make_mp3(tmp_path / "a.mp3", 60_000)
    result = run("bench", tmp_path, "--json", tmp_path / "no" / "out.json")
    assert result.exit_code == 1
    assert "--json " in result.output
    assert "it cannot be written (No such file or directory)" in result.output


def test_a_plot_of_an_unknown_format_is_said_before_measuring(tmp_path):
    make_mp3(tmp_path / "a.mp3", 60_000)
    result = run("bench", tmp_path, "--plot", tmp_path / "out.xyz")
    assert result.exit_code == 1
    assert "its name must end in one of" in result.output


def test_a_process_that_fails_says_why(tmp_path):
    from flowmo_data.bench.running import MeasuringError, run_setups
    from flowmo_data.bench.setups import Setup

    with pytest.raises(MeasuringError, match="there is no such file or folder"):
        run_setups([Setup(files=(str(tmp_path / "x"),))], repeats=1, on_batch=lambda index, batch: None)


@pytest.mark.parametrize("command", ["check", "inspect"])
@pytest.mark.parametrize("after_seconds", [0.3, 0.6, 1.2])
def test_an_interrupt_ends_a_command_with_130_also_while_it_imports(tmp_path, command, after_seconds):
    for number in range(8):
        make_mp3(tmp_path / f"{number}.mp3", 100_000)
    program = programs.start("-m", "flowmo_data.cli", command, tmp_path, "--workers", 0, fork=None)
    time.sleep(after_seconds)
    if program.poll() is None:  # else the machine is so fast that it is over
        os.killpg(program.pid, signal.SIGINT)
    done = programs.finish(program)
    assert done.returncode in (0, 130)
    assert "Traceback" not in done.stderr
    assert done.stderr.strip() in ("", "Aborted!")


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, flowmo_data.cli; assert not {'torch', 'numpy', 'soundfile'} & set(sys.modules); "
    programs.run("-c", code + "from flowmo_data import *; assert StreamingAudioDataset and AudioFileError", fork=None)
