"""Without an extra, what needs it says what to install, and everything else works."""

import re

import pytest
from programs import run


def run_without(package, code):
    hidden = f"import sys; sys.modules[{package!r}] = None\n"
    return run("-c", hidden + code, check=False)


@pytest.mark.parametrize(
    ("package", "code", "message"),
    [
        ("lightning", "import flowmo_data.lightning", "pip install 'flowmo_data[lightning]'"),
        ("pyarrow", "import flowmo_data; flowmo_data.AudioIndex.load('a.parquet')", "pip install 'flowmo_data[index]'"),
        ("click", "from flowmo_data.cli import main; main()", "pip install 'flowmo_data[cli]'"),
        (
            "torchcodec",
            "from flowmo_data.bench.baselines import check_torchcodec; check_torchcodec()",
            "pip install 'flowmo_data[torchcodec]', and FFmpeg",
        ),
        (
            "minimp3py",
            "import flowmo_data; flowmo_data.StreamingAudioDataset('.', decoder='minimp3py')",
            "pip install 'flowmo_data[minimp3py]'",
        ),
    ],
)
def test_what_is_missing_is_named_with_what_to_install(package, code, message):
    done = run_without(package, code)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "package", ["av", "lightning", "pyarrow", "click", "rich", "matplotlib", "torchaudio", "librosa", "psutil"]
)
def test_the_dataset_needs_none_of_them(tmp_path, package):
    import soundfile

    soundfile.write(tmp_path / "a.wav", [0.0] * 1_000, 48_000)
    code = f"import flowmo_data; print(len(list(flowmo_data.StreamingAudioDataset({str(tmp_path)!r}))))"
    done = run_without(package, code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_without_pyav_containers_are_left_out_named_and_refused(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "a.wav", [0.0] * 1_000, 48_000)
    for name in ("b.m4a", "c.webm", "d.m4a"):
        (tmp_path / name).write_bytes(b"\0\0\0\x1cftypM4A " + bytes(100))
    code = f"""
import logging, sys
from flowmo_data import StreamingAudioDataset
from flowmo_data.cli import main
logging.basicConfig(format="%(message)s")
print(len(list(StreamingAudioDataset({str(tmp_path)!r}))))
try:
    list(StreamingAudioDataset({str(tmp_path / "b.m4a")!r}, on_error="raise"))
except Exception as error:
    print(error)
for command in ("check", "inspect"):
    sys.argv = ["flowmo-data", command, {str(tmp_path)!r}, "--workers", "0"]
    try:
        main()
    except SystemExit as ended:
        print(ended.code or 0)
"""
    done = run_without("av", code)
    remedy = "pip install 'flowmo_data[av]'"
    left_out = f"left out: 3 files in formats that need PyAV (2 .m4a, 1 .webm): {remedy}; flowmo-data check lists them"
    assert done.stderr.splitlines()[0] == left_out
    lines = done.stdout.splitlines()
    assert lines[0] == "1"
    assert lines[1].startswith(f"{tmp_path / 'b.m4a'}: reading MP4 needs av (")
    assert lines[1].endswith(remedy)
    listed = [line for line in lines[2:] if re.match(r" ?[bcd]\.(m4a|webm)", line)]
    assert len(listed) == 6  # three files, twice
    assert all(remedy in line for line in listed)
    assert lines.count("0") == 2


def test_an_mp3_imports_nothing_of_pyav(tmp_path):
    from builders import make_mp3

    path = str(make_mp3(tmp_path / "a.mp3", 50_000))
    code = (
        f"import sys; from flowmo_data import *; print(len(list(StreamingAudioDataset({path!r}))), 'av' in sys.modules)"
    )
    assert run("-c", code).stdout == "1 False\n"
