"""The sources of the decoder in C: tables are up to date, compilers do not warn, the layout is clang-format's."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import flowmo_data

PACKAGE = Path(flowmo_data.__file__).parent
SOURCES = PACKAGE / "decoding" / "layer3"
COMPILED = ("avx2.c", "avx512.c", "baseline.c", "dispatch.c", "long_codes.c", "lookup.c")
MOST_LINES = 320


def test_tables_are_those_that_the_script_writes():
    assert runpy.run_path(str(SOURCES / "make_tables.py"))["tables"]() == (SOURCES / "tables.h").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("name", COMPILED)
def test_compilers_do_not_warn(compiler, name, tmp_path):
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    flags = ("-std=gnu11", "-O1", "-fPIC", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
    subprocess.run([compiler, *flags, "-c", SOURCES / name, "-o", tmp_path / "object.o"], check=True)


def test_the_layout_is_that_of_clang_format():
    beside_python = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    clang_format = shutil.which("clang-format", path=beside_python)
    if not clang_format:
        pytest.skip("clang-format is not installed")
    paths = [path for path in PACKAGE.rglob("*.[ch]") if path.name != "tables.h"]
    subprocess.run([clang_format, "--dry-run", "-Werror", *paths], check=True)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.[ch]")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_is_short_and_ascii_but_for_drawings(path):
    text = path.read_text()
    assert path.name == "tables.h" or len(text.splitlines()) <= MOST_LINES
    assert set(text) <= {*map(chr, range(32, 127)), "\n", "─"}
