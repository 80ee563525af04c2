"""Real music, where it lies beside the checkout: windows of random files against the whole decode."""

import random

import numpy as np
import pytest
import soundfile
from builders import CORPUS, EVERY_DECODER, needs_corpus, opened, read

FILES = sorted(CORPUS.glob("*.mp3"), key=lambda path: path.stat().st_size)[:8]

pytestmark = needs_corpus


@pytest.mark.parametrize("decoder", EVERY_DECODER)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_windows_are_slices_of_the_decoders_own_whole_decode(path, decoder):
    (part,) = opened(path).parts
    if decoder == "minimp3py":
        import minimp3py

        whole = minimp3py.read(str(path))[0]
    elif decoder == "native":
        whole = read(part, 0, part.num_samples, decoder).samples.copy()
        other = soundfile.read(path, dtype="float32", always_2d=True)[0]
        assert np.abs(whole - other).max() < 3e-6
    else:
        whole = soundfile.read(path, dtype="float32", always_2d=True)[0]
    assert len(whole) == part.num_samples
    draw = random.Random(path.name)
    for _ in range(6):
        start = draw.randrange(-(10**9), part.num_samples)
        start = max(start % part.num_samples, 0)
        stop = min(start + 196_608, part.num_samples)
        assert np.array_equal(read(part, start, stop, decoder).samples, whole[start:stop])
