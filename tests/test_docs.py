"""The README and the docs, held against the code: their Python is run, and the names and options in them exist.

Pages are found, not listed here. The plain blocks of a page are run in order in one namespace, in a folder that has
music/ in it. A block that begins with `# torchrun` or `# accelerate launch`, or has a `__main__` guard, is a program:
it is run in processes of its own.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest
import soundfile
import torch
from builders import make_mp3, make_wav
from click.testing import CliRunner
from programs import LIGHTNING, TORCH, run, run_ranks
from test_structure import FLOORS

import flowmo_data
from flowmo_data import AudioIndex, ResumableDataLoader, StreamingAudioDataset
from flowmo_data.cli.group import flowmo_data_command

ROOT = Path(__file__).parents[1]
LANGUAGES = {"python", "sh", "text"}
LAUNCHED = ("# torchrun ", "# accelerate launch ")
NEEDS = {
    "accelerate": r"^from accelerate",
    "fsspec": r"memory://",
    "librosa": r"^import librosa",
    "lightning": r"^import lightning",
    "pyarrow": r"AudioIndex|\.parquet",
}
"""packages that are optional, and what blocks that need them have in them"""


class Block(NamedTuple):
    """A block of code on a page."""

    language: str
    code: str
    line: int
    """lines of the page before it"""

    @property
    def is_launched(self):
        return self.code.startswith(LAUNCHED)

    @property
    def is_program(self):
        return self.is_launched or '__name__ == "__main__"' in self.code


def pages(root):
    """The README and every page of the docs."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def blocks(page):
    """The blocks of a page, in order."""
    text = page.read_text()
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [Block(match[1], match[2], text.count("\n", 0, match.start(2))) for match in found]


def python_blocks(root):
    """All Python, by page: what is run in one namespace, and programs."""
    return {page: [block for block in blocks(page) if block.language == "python"] for page in pages(root)}


PYTHON = python_blocks(ROOT)
PLAIN = {page: [block for block in found if not block.is_program] for page, found in PYTHON.items()}
PROGRAMS = [(page, block) for page, found in PYTHON.items() for block in found if block.is_program]


def skip_without(code):
    for package, pattern in NEEDS.items():
        if re.search(pattern, code, flags=re.MULTILINE) and find_spec(package) is None:
            pytest.skip(f"{package} is not installed; it is optional")


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A folder with music/ and speech/ in it, their indexes, and mix/ and vocals/, which are aligned."""
    material = tmp_path_factory.mktemp("material")
    (material / "music").mkdir()
    for index in range(12):
        make_mp3(material / "music" / f"{index:02d}.mp3", 220_000 - 15_000 * (index % 6), seed=index)
    (material / "speech").mkdir()
    for index in range(3):
        make_mp3(material / "speech" / f"{index}.mp3", 200_000, seed=20 + index, channels=1)
    for folder in ("mix", "vocals"):
        (material / folder).mkdir()
        for index in range(5):
            make_mp3(material / folder / f"{index}.mp3", 150_000, seed=index)
    if find_spec("pyarrow") is not None:
        for name in ("music", "speech"):
            AudioIndex.build(material / name).save(material / f"{name}.parquet")
    return material


@pytest.fixture
def place(material, tmp_path, monkeypatch):
    """A copy of it, to be worked in."""
    shutil.copytree(material, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_page(page):
    """Run the plain blocks of a page; gives the namespace that they leave."""
    namespace = {"__name__": page.stem}
    for block in PLAIN[page]:
        skip_without(block.code)
        exec(compile("\n" * block.line + block.code, str(page), "exec"), namespace)
    return namespace


def launch(place, code, *, world_size=1):
    """Run a program, which may want to be launched: as one process for each rank, by the environment of torchrun."""
    script = place / "train.py"
    script.write_text(code)
    fork = LIGHTNING if "import lightning" in code else TORCH
    if world_size > 1:
        return run_ranks(world_size, script, cwd=place, fork=fork)
    return run(script, cwd=place, fork=fork, check=False)


@pytest.mark.filterwarnings("ignore:'(aifc|audioop|sunau)' is deprecated:DeprecationWarning")  # of librosa's audioread
@pytest.mark.parametrize("page", [page for page, found in PLAIN.items() if found], ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page, place):
    run_page(page)


@pytest.mark.parametrize(("page", "block"), PROGRAMS, ids=[f"{page.name}:{block.line}" for page, block in PROGRAMS])
def test_the_programs_run(page, block, place):
    skip_without(block.code)
    done = launch(place, block.code, world_size=2 if block.is_launched else 1)
    assert done.returncode == 0, done.stderr
    for steps in re.findall(r"Trainer\(.*max_steps=(\d+)", block.code):
        assert f"`Trainer.fit` stopped: `max_steps={steps}` reached." in done.stderr


def test_the_page_on_resuming_goes_on_with_the_fourth_batch(place):
    namespace = run_page(ROOT / "docs" / "resuming.md")
    assert namespace["state"]["batches"] == 3
    whole = ResumableDataLoader(StreamingAudioDataset("music/"), batch_size=8, num_workers=2)
    assert torch.equal(namespace["batch"], next(islice(whole, 3, None)))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_page_on_transforms_resumes_bit_for_bit(place, num_workers):
    namespace = run_page(ROOT / "docs" / "transforms.md")
    whole = list(namespace["make_loader"](num_workers))
    assert len({seed for batch in whole for seed in batch["seed"].tolist()}) == sum(
        len(batch["seed"]) for batch in whole
    )
    if num_workers == 2:
        assert equal(namespace["batch"], whole[3])
    assert {batch["audio"].shape[1:] for batch in whole} == {(2, namespace["CROP"])}
    for after in (1, len(whole) // 2):
        stopped = namespace["make_loader"](num_workers)
        for _ in islice(stopped, after):
            pass
        resumed = namespace["make_loader"](num_workers)
        resumed.load_state_dict(stopped.state_dict())
        assert all(equal(one, other) for one, other in zip(resumed, whole[after:], strict=True))


def equal(one, other):
    """Whether two batches of dictionaries are equal, bit for bit."""
    return one.keys() == other.keys() and all(
        torch.equal(one[key], other[key]) if isinstance(one[key], torch.Tensor) else one[key] == other[key]
        for key in one
    )


def test_the_page_on_transforms_skips_quiet_frames(place):
    make_wav(place / "music" / "loud.wav", 150_000)
    samples, rate = soundfile.read(place / "music" / "loud.wav")
    soundfile.write(place / "music" / "quiet.wav", samples * 1e-3, rate)
    soundfile.write(place / "music" / "silent.wav", samples * 0, rate)
    loud_enough = run_page(ROOT / "docs" / "transforms.md")["loud_enough"]
    dataset = StreamingAudioDataset("music/", samples_per_frame=50_000, shuffle=False, transform=loud_enough)
    num_frames = len(list(dataset))
    assert dataset.report().rejected == 6
    assert num_frames + 6 == len(list(StreamingAudioDataset("music/", samples_per_frame=50_000, shuffle=False)))


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is not installed; it is optional")
def test_the_page_on_the_index_makes_one(place):
    (place / "music.parquet").unlink()
    run_page(ROOT / "docs" / "corpus_index.md")
    assert (place / "music.parquet").exists()


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is not installed; it is optional")
def test_the_slurm_script_makes_the_parts_of_the_index(place):
    page = (ROOT / "docs" / "corpus_index.md").read_text()
    script = re.search(r"<!-- slurm -->\n```sh\n(.*?)```", page, flags=re.DOTALL)[1]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for task in (2, 1):
        slurm = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": "2"}
        subprocess.run(["bash", "-c", script], env={**environment, **slurm}, check=True, capture_output=True)
    AudioIndex.build("music/").save("music.parquet")
    whole = (place / "music.parquet").read_bytes()
    done = CliRunner().invoke(flowmo_data_command, ["merge", "parts/", "-o", "music.parquet"])
    assert done.exit_code == 0, done.output
    assert (place / "music.parquet").read_bytes() == whole


# Nothing is left out


def test_every_block_is_in_a_language_and_all_python_is_run():
    for page in pages(ROOT):
        text = page.read_text()
        assert len(re.findall(r"^\s*(?:```|~~~)", text, flags=re.MULTILINE)) == 2 * len(blocks(page)), page
        assert {block.language for block in blocks(page)} <= LANGUAGES, page
    run = [block for found in PLAIN.values() for block in found] + [block for _, block in PROGRAMS]
    assert len(run) == sum(page.read_text().count("```python\n") for page in pages(ROOT)) > 10


def test_a_new_page_is_found_with_all_its_blocks(tmp_path):
    (tmp_path / "docs" / "deeper").mkdir(parents=True)
    (tmp_path / "README.md").write_text("no code\n")
    page = tmp_path / "docs" / "deeper" / "new.md"
    page.write_text("```python\na = 1\n```\n\n```sh\nls\n```\n\n```python\n# torchrun x.py\nb = 2\n```\n")
    found = python_blocks(tmp_path)
    assert set(found) == {tmp_path / "README.md", page}
    assert [(block.code, block.line, block.is_program) for block in found[page]] == [
        ("a = 1\n", 1, False),
        ("# torchrun x.py\nb = 2\n", 9, True),
    ]


@pytest.mark.parametrize("page", pages(ROOT), ids=lambda page: page.name)
def test_no_figure_is_left_to_be_filled_in(page):
    assert "@@" not in page.read_text()


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r": ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(), flags=re.MULTILINE))
    assert listed == {str(page.relative_to(ROOT / "docs")) for page in pages(ROOT)[1:]}


@pytest.fixture
def copied_pages(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    for page in pages(ROOT):
        copy = tmp_path / page.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(page, copy)
    return tmp_path


def test_the_pages_have_the_figures_of_the_last_run(copied_pages):
    benchmarks = import_module("make_benchmarks")
    benchmarks.write_pages(copied_pages, json.loads((ROOT / benchmarks.REPORT).read_text()))
    for page in pages(ROOT):
        assert (copied_pages / page.relative_to(ROOT)).read_text() == page.read_text()


def test_a_run_fills_every_place_for_figures(copied_pages):
    benchmarks = import_module("make_benchmarks")
    for page, parts in benchmarks.PARTS.items():
        text = (copied_pages / page).read_text()
        for marker in parts:
            text = benchmarks.fill(text, marker, "")
        (copied_pages / page).write_text(text)
    decoders = [
        {
            "setup": {"decoder": name, "instruction_set": instruction_set, "channels": channels},
            "frame_ms": 4 / ratio, "runs_ms": [4 / ratio], "batches_per_second": 7.8 * ratio,
            "ratio": ratio, "ratio_to": "minimp3py",
        }
        for name, instruction_set, channels, ratio in [("native", "avx2", 2, 3), ("minimp3py", "", 2, 1)]
    ]  # fmt: skip
    report = json.loads((ROOT / benchmarks.REPORT).read_text())
    benchmarks.write_pages(copied_pages, {**report, "decoders": decoders, "recommendation": "Recommended here: this"})
    for page, parts in benchmarks.PARTS.items():
        text = (copied_pages / page).read_text()
        for marker in parts:
            assert re.search(rf"<!-- {marker} -->\s*\S+.*<!-- /{marker} -->", text, flags=re.DOTALL), marker
            assert f"<!-- {marker} -->\n\n\n\n" not in text
        assert not re.search(r"\bnan\b", text)
    assert "| native, avx2, stereo, against minimp3py | 3.00 × |" in (copied_pages / "docs/benchmarks.md").read_text()


# Names and options


def api_names():
    text = (ROOT / "docs" / "api.md").read_text()
    return re.findall(r"^::: ([\w.]+)$", text, flags=re.MULTILINE) + re.findall(r"`(flowmo_data\.\w+)`", text)


@pytest.mark.parametrize("name", api_names())
def test_what_the_api_page_names_is_there(name):
    module, _, attribute = name.rpartition(".")
    if module == "flowmo_data.lightning":
        pytest.importorskip("lightning", reason="lightning is not installed; it is optional")
    assert hasattr(import_module(module), attribute)


def test_the_api_page_names_all_that_is_exported():
    exported = {name.removeprefix("flowmo_data.") for name in api_names() if name.count(".") == 1}
    assert exported == set(flowmo_data.__all__)


def test_the_design_page_has_every_room_in_its_order():
    text = (ROOT / "docs" / "design.md").read_text().partition("## The rooms")[2]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert re.findall(r"`(\w+)`", " ".join(cells)) == FLOORS


def options(command):
    """The names of a command's options, and their defaults."""
    return {
        name: parameter.default
        for parameter in flowmo_data_command.commands[command].params
        for name in parameter.opts
        if name.startswith("-")
    }


def test_the_page_on_the_command_line_has_every_command_and_every_option():
    text = (ROOT / "docs" / "command_line.md").read_text()
    _, *sections = re.split(r"^## flowmo-data ", text, flags=re.MULTILINE)
    assert {section.split(maxsplit=1)[0] for section in sections} == set(flowmo_data_command.commands)
    for section in sections:
        there = options(section.split(maxsplit=1)[0])
        rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `-")]
        assert sorted(name for row in rows for name in re.findall(r"`(-[-\w]+)", row[0])) == sorted(there)
        for row in rows:
            default = there[re.findall(r"`(-[-\w]+)", row[0])[-1]]
            if isinstance(default, (int, str, tuple)) and not isinstance(default, bool) and default:
                shown = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
                assert row[1] == shown, row


@pytest.mark.parametrize("page", pages(ROOT), ids=lambda page: page.name)
def test_commands_that_are_shown_exist_with_their_options(page):
    shown = re.findall(r"flowmo-data ([a-z]+)([^`\n]*)", page.read_text())
    for command, arguments in shown:
        assert command in flowmo_data_command.commands
        assert set(re.findall(r"(?<!\S)--?[a-z][-a-z]*", arguments)) <= {*options(command), "--help", "-h"}
