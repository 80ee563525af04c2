"""The house rules that can be checked."""

import ast
import re
from pathlib import Path

import pytest

import flowmo_data

PACKAGE = Path(flowmo_data.__file__).parent
ROOMS = [
    "words", "errors", "resources", "interrupts", "processes", "extras", "figures", "callers", "sequences",
    "randomness", "sources", "sharding", "framing", "shuffling", "planning", "losses", "mpeg", "ogg", "decoding",
    "parts", "packets", "soundfiles", "tracks", "checking", "conditioning", "timeline", "index", "prefetching",
    "recycling", "batching", "epochs", "options", "shared_lines", "report", "ledger", "resuming", "spans", "indexed",
    "streams", "frames", "dataset", "loading", "agreeing", "lagging", "lightning", "bench", "commands", "cli",
]  # fmt: skip
INSIDE = {
    "mpeg": ["headers", "scanning", "sections", "tags", "walking", "holes", "seeking", "runs"],
    "index": ["schema", "columns", "describing", "building", "audio_index", "summarizing", "picturing"],
    "decoding": ["scratch", "minimp3", "libsndfile", "choosing", "recovery"],
    "bench": [
        "demo",
        "setups",
        "baselines",
        "surveying",
        "measuring",
        "running",
        "reporting",
        "plotting",
        "scaling",
        "indexing",
    ],
    "commands": ["console", "bench", "check", "index", "inspect", "group"],
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path):
    """The modules of the package that a module imports, without the package's name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("flowmo_data."):
            yield node.module.removeprefix("flowmo_data.")


def test_every_module_has_its_place():
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES} - {"__init__"}
    assert rooms == set(ROOMS)
    for folder, order in INSIDE.items():
        assert {path.stem for path in (PACKAGE / folder).glob("*.py")} - {"__init__"} == set(order)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    room, *inner = path.relative_to(PACKAGE).with_suffix("").parts
    if room == "__init__":
        return
    for module in imported(path):
        other, *other_inner = module.split(".")
        if other != room:
            assert ROOMS.index(other) < ROOMS.index(room), f"{room} imports {module}"
        elif inner and inner != ["__init__"] and other_inner:
            order = INSIDE[room]
            assert order.index(other_inner[0]) < order.index(inner[0]), f"{path.name} imports {module}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_at_most_300_lines(path):
    assert len(path.read_text().splitlines()) <= 300


def test_what_is_exported_is_sorted_and_there():
    assert flowmo_data.__all__ == sorted(flowmo_data.__all__)
    assert all(hasattr(flowmo_data, name) for name in flowmo_data.__all__)


def test_the_changelog_has_this_version():
    changelog = (PACKAGE.parent / "CHANGELOG.md").read_text()
    assert re.search(rf"^## {re.escape(flowmo_data.__version__)}\b", changelog, re.MULTILINE)
