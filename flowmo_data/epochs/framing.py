"""Cut a file into frames, as numbers.

    file           [0 .............................. num_samples)
    pad     |.phase|         |         |         |         zeros|
    drop           [.phase|         |         |         |..rest..)

Cut points differ from epoch to epoch, because the phase does.
"""

from __future__ import annotations


def frame_starts(num_samples: int, *, samples_per_frame: int, phase: int, framing: str) -> range:
    """Return the start of each frame of a file, in samples of the file.

    Args:
        num_samples: length of the file.
        samples_per_frame: length of a frame.
        phase: 0 to samples_per_frame - 1. With "pad", the number of zeros before the file's first sample. With "drop",
            the number of samples to skip at the start; fewer are skipped if a file that is long enough for a frame
            would otherwise have none.
        framing: "pad": frames cover every sample. The first may start below 0, and the last may end past the file;
            each has at least one sample of the file. "drop": frames lie inside the file.

    Returns:
        The starts, ascending, `samples_per_frame` apart; each frame is `[start, start + samples_per_frame)`.

    >>> list(frame_starts(10, samples_per_frame=4, phase=1, framing="pad"))
    [-1, 3, 7]
    >>> list(frame_starts(10, samples_per_frame=4, phase=1, framing="drop"))
    [1, 5]
    """
    if framing == "pad":
        return range(-phase, num_samples, samples_per_frame)
    if phase + samples_per_frame > num_samples >= samples_per_frame:
        phase %= num_samples - samples_per_frame + 1
    return range(phase, num_samples - samples_per_frame + 1, samples_per_frame)
