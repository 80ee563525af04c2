"""A long run in small: what processes hold does not grow. `python tests/soak.py` is the whole of it."""

import json
from pathlib import Path

import pytest
from builders import EVERY_DECODER
from programs import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="shared memory is looked up in Linux's /proc"),
]


@pytest.mark.parametrize("decoder", EVERY_DECODER)
def test_what_is_held_does_not_grow(tmp_path, decoder):
    soak = [Path(__file__).parent / "soak.py", "--epochs", 60, "--decoder", decoder]
    run(*soak, "--json", tmp_path / "out.json", fork=None, timeout=1_200)
    _, early, _, late = json.loads((tmp_path / "out.json").read_text())
    assert (early["epoch"], late["epoch"]) == (10, 60)
    for name in ("open descriptors", "threads"):
        assert late[name] <= early[name] + 2, name
    for name in ("USS, MB", "PSS, MB", "shared memory, MB"):
        assert late[name] < 1.03 * early[name] + 10, name
    assert late["files skipped"] == early["files skipped"] >= 1
