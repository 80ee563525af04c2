"""Without an extra, what needs it says what to install, and everything else works."""

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
    "package", ["lightning", "pyarrow", "click", "rich", "matplotlib", "torchaudio", "librosa", "psutil"]
)
def test_the_dataset_needs_none_of_them(tmp_path, package):
    import soundfile

    soundfile.write(tmp_path / "a.wav", [0.0] * 1_000, 48_000)
    code = f"import flowmo_data; print(len(list(flowmo_data.StreamingAudioDataset({str(tmp_path)!r}))))"
    done = run_without(package, code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
