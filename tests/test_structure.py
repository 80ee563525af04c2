"""The house rules that can be checked."""

import ast
import re
from pathlib import Path

import pytest

import flowmo_data

PACKAGE = Path(flowmo_data.__file__).parent
FLOORS = [
    "errors", "runtime", "sources", "tracks", "epochs", "decoding", "datasets", "loading", "lightning",
    "bench", "packing", "cli",
]  # fmt: skip
"""what lies in the package, from the ground up: each imports only from those before it"""
INSIDE = {
    "runtime": [
        "scratch", "resources", "extras", "library", "figures", "threads", "processes", "shared_log", "batch_memory",
        "epoch_clock", "ranks", "collating",
    ],
    "sources": [
        "source", "local_file", "member_paths", "paths", "folders", "stores", "tars", "opening", "listing", "metadata",
        "corpus_parts",
    ],
    "sources/stores": [
        "retrying", "reasons", "connections", "signing", "range_requests", "storage_options", "object_states", "store",
        "remote_file",
    ],
    "sources/tars": ["headers", "tables", "member", "opening", "listing"],
    "sources/listing": ["braces", "excluding", "manifests", "hugging_face", "entries", "found", "aligning"],
    "sources/metadata": ["rows", "sidecars", "tables", "of_files"],
    "sources/corpus_parts": ["part", "listing", "files", "whole"],
    "tracks": [
        "mpeg", "mpeg_in_wav", "excerpt", "chunks", "wav", "big_endian", "flac_headers", "flac", "ogg_pages", "ogg",
        "parts", "mpeg_part", "soundfile_part", "containers", "byte_ranges", "opened_file", "flac_opening",
        "ogg_opening", "soundfile_opening", "track", "aligned", "index",
    ],
    "tracks/containers": ["kinds", "codecs", "part", "packets", "losses", "mp4_edits", "opening"],
    "tracks/mpeg": ["headers", "following", "scanning", "sections", "tags", "claims", "walking", "seeking", "runs"],
    "tracks/index": [
        "schema", "columns", "aligned_columns", "segments", "joining", "filtering", "describing", "building",
        "storing", "merging", "audio_index",
    ],
    "epochs": [
        "options", "framing", "randomness", "shuffle_buffer", "plan", "sharding", "report", "tally", "error_log",
        "progress", "reached", "span", "fetching", "tar_stream", "opening", "from_files", "from_index", "stream",
        "mixtures",
    ],
    "epochs/mixtures": ["mixing", "turns", "stages", "sets", "from_index", "from_files"],
    "decoding": [
        "minimp3", "libsndfile", "native", "registry", "recovery", "window", "mpeg_window", "flac_frames",
        "soundfile_window", "container_window", "polyphase", "convolving", "resampling", "conditioning", "reading",
        "batching", "items", "frames", "mixed_frames",
    ],
    "datasets": ["iteration", "streaming", "map_style", "mixed"],
    "lightning": ["lagging", "data_module"],
    "bench": [
        "demo", "setups", "baselines", "surveying", "limit", "measuring", "running", "decoders", "reporting",
        "plotting",
    ],
    "packing": ["naming", "planning", "writing"],
    "cli": [
        "version", "console", "part_option", "summary", "check_report", "new_index", "bench", "check", "index",
        "inspect", "merge", "pack", "group", "__main__",
    ],
}  # fmt: skip
"""the same of what lies in each folder"""
TESTS = Path(__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path):
    """The modules of the package that a module imports, as tuples of their parts."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "flowmo_data":
            parts = node.module.split(".")[1:]
            for name in node.names:
                yield (*parts, name.name) if (PACKAGE.joinpath(*parts, f"{name.name}.py")).exists() else tuple(parts)


def order_in(folder):
    """The order of what lies in a folder, by its parts."""
    return INSIDE["/".join(folder)] if folder else FLOORS


def test_everything_has_its_place():
    for folder in [(), *(tuple(name.split("/")) for name in INSIDE)]:
        here = PACKAGE.joinpath(*folder)
        found = {path.stem for path in here.glob("*.py")} | {path.parent.name for path in here.glob("*/__init__.py")}
        assert found - {"__init__"} == set(order_in(folder)), here


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    own = path.relative_to(PACKAGE).with_suffix("").parts
    for other in imported(path):
        for depth, (mine, its) in enumerate(zip(own, other, strict=False)):
            if mine != its:
                if "__init__" not in (mine, its):
                    order = order_in(own[:depth])
                    assert order.index(its) < order.index(mine), f"{'/'.join(own)} imports {'/'.join(other)}"
                break


def test_tests_lie_in_the_folders_of_what_they_test():
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    assert all((PACKAGE / folder).is_dir() for folder in folders)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_at_most_300_lines(path):
    assert len(path.read_text().splitlines()) <= 300


def test_what_is_exported_is_sorted_and_there():
    assert flowmo_data.__all__ == sorted(flowmo_data.__all__)
    assert all(hasattr(flowmo_data, name) for name in flowmo_data.__all__)


def test_the_changelog_has_this_version():
    changelog = (PACKAGE.parent / "CHANGELOG.md").read_text()
    assert re.search(rf"^## {re.escape(flowmo_data.__version__)}\b", changelog, re.MULTILINE)
