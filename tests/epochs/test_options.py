import pickle

import pytest
import torch
from builders import make_ramps
from programs import run

from flowmo_data import OptionError, StreamingAudioDataset

BAD = [
    ("sr", 0, "sr=0: it must be a whole number of at least 1"),
    ("sr", 44_100.0, "sr=44100.0: it must be a whole number"),
    ("samples_per_frame", 0, "samples_per_frame=0: it must be a whole number of at least 1"),
    ("samples_per_frame", 10**15, "samples_per_frame=1000000000000000: it must be at most 2147483647"),
    ("samples_per_frame", "196608", "samples_per_frame='196608': it must be a whole number"),
    ("hop", 0, "hop=0: it must be a whole number of at least 1: samples from the start of a frame"),
    ("limit", 0, "limit=0: it must be a whole number of at least 1: frames to select"),
    ("limit", 5, "limit=5: .* needs an index"),
    ("shuffle_buffer_size", 0, "shuffle_buffer_size=0: .*shuffle=False for file order"),
    ("batch_size", 0, "batch_size=0: it must be a whole number of at least 1: frames in a batch"),
    ("channels", 3, "channels=3: use 1 .* or 2"),
    ("shuffle", "yes", "shuffle='yes': use True or False"),
    ("seed", -1, "seed=-1: it must be a whole number of at least 0"),
    ("framing", "crop", "framing='crop': use 'pad' .* or 'drop'"),
    ("decoder", "ffmpeg", "decoder='ffmpeg': there is no such decoder; use one of auto"),
    ("max_buffered_bytes", 1_000, "max_buffered_bytes=1000: it must be a whole number of at least 1048576: bytes of"),
    ("decode_threads", -1, "decode_threads=-1: it must be a whole number of at least 0"),
    ("on_error", "ignore", "on_error='ignore': use 'skip' .*, 'raise', or a function"),
    ("on_other_rate", "keep", "on_other_rate='keep': use one of 'resample', 'skip', 'raise'"),
    ("dtype", torch.float64, "dtype=torch.float64: use one of torch.float32"),
    ("transform", 3, "transform=3: it is not callable"),
    ("return_info", 1, "return_info=1: use True or False"),
    ("repeat", 1, "repeat=1: use True or False"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options") / "ramps"
    make_ramps(folder, [50, 70])
    return folder


@pytest.mark.parametrize(("name", "value", "message"), BAD, ids=[f"{name}={value!r}" for name, value, _ in BAD])
def test_a_bad_option_is_refused_with_its_remedy(folder, name, value, message):
    with pytest.raises(OptionError, match=message):
        StreamingAudioDataset(folder, **{name: value})
    assert issubclass(OptionError, ValueError)


def test_options_are_keywords(folder):
    with pytest.raises(TypeError, match="positional argument"):
        StreamingAudioDataset(folder, 44_100)


def test_half_a_rank_is_refused_at_once(folder):
    with pytest.raises(OptionError, match="give both, or neither"):
        StreamingAudioDataset(folder, rank=1)
    with pytest.raises(OptionError, match="rank must be 0 to world_size - 1"):
        StreamingAudioDataset(folder, rank=2, world_size=2)


def frames(folder, **options):
    """What a dataset emits, as something that can be compared."""
    given = {"sr": 44_100, "samples_per_frame": 32, "decoder": "soundfile", **options}
    items = list(StreamingAudioDataset(folder, **given))
    audio = [item["audio"] if isinstance(item, dict) else item for item in items]
    return [(str(frame.dtype), tuple(frame.shape), frame.tolist()) for frame in audio], [type(item) for item in items]


@pytest.mark.parametrize(
    "option",
    [
        {"sr": 22_050}, {"samples_per_frame": 16}, {"hop": 16}, {"hop": 40}, {"shuffle_buffer_size": 1},
        {"channels": 1}, {"shuffle": False}, {"seed": 1},
        {"framing": "drop"}, {"dtype": torch.float16}, {"transform": torch.neg}, {"return_info": True},
        {"batch_size": 3}, {"rank": 0, "world_size": 2},
    ],
    ids=lambda option: next(iter(option)),
)  # fmt: skip
def test_every_option_that_shapes_the_output_matters(folder, option):
    assert frames(folder, **option) != frames(folder)


def test_threads_and_decoder_do_not_shape_the_output(folder):
    assert frames(folder, decode_threads=2) == frames(folder)
    assert frames(folder, decoder="auto") == frames(folder)


def test_a_dataset_pickles_small_and_as_it_was(folder):
    dataset = StreamingAudioDataset(folder, samples_per_frame=32)
    data = pickle.dumps(dataset)
    assert len(data) < 4_000
    copy = pickle.loads(data)
    assert [frame.tolist() for frame in copy] == [frame.tolist() for frame in dataset]


def test_nothing_starts_at_import():
    code = (
        "import os, threading; os.environ['RANK'] = 'nonsense'; import flowmo_data;assert threading.active_count() == 1"
    )
    run("-c", code)
