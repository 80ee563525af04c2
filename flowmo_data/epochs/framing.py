"""Cut a file into frames, as numbers.

    file                 [0 .............................. num_samples)
    pad           |.phase|         |         |         |         zeros|
    drop                 [.phase|         |         |         |..rest..)
    pad, overlap  |.phase|         |
                       |         |         ...            |         |
    pad, gaps            [.phase|    |         |    |         |    zeros|

Cut points differ from epoch to epoch, because the phase does.
"""

from __future__ import annotations


def frame_starts(
    num_samples: int, *, samples_per_frame: int, phase: int, framing: str, hop: int | None = None
) -> range:
    """Return the start of each frame of a file, in samples of the file.

    Args:
        num_samples: length of the file; 0 gives no frame.
        samples_per_frame: length of a frame.
        phase: 0 to hop - 1. With "pad", the number of zeros before the file's first sample. With "drop", and with gaps
            between frames (see `skips_phase`), the number of samples to skip at the start; fewer are skipped if a file
            that is long enough for a frame would otherwise have none.
        framing: "pad": frames cover every sample, if there are no gaps between them. The first may start below 0, and
            the last may end past the file; each has at least one sample of the file, and none starts after one that
            reaches the file's end. "drop": frames lie inside the file.
        hop: samples from the start of a frame to the start of the next; None for `samples_per_frame`.

    Returns:
        The starts, ascending, `hop` apart; each frame is `[start, start + samples_per_frame)`.

    >>> list(frame_starts(10, samples_per_frame=4, phase=1, framing="pad"))
    [-1, 3, 7]
    >>> list(frame_starts(10, samples_per_frame=4, phase=1, framing="drop"))
    [1, 5]
    >>> list(frame_starts(10, samples_per_frame=4, phase=1, framing="pad", hop=2))
    [-1, 1, 3, 5, 7]
    """
    hop = samples_per_frame if hop is None else hop
    if not num_samples:
        return range(0)
    if not skips_phase(samples_per_frame, framing, hop):
        return range(-phase, max(num_samples - samples_per_frame + hop, 1 - phase), hop)
    stop = num_samples if framing == "pad" else num_samples - samples_per_frame + 1
    if phase >= stop > 0:
        phase %= stop
    return range(phase, stop, hop)


def skips_phase(samples_per_frame: int, framing: str, hop: int) -> bool:
    """Return whether the phase skips samples of a file. If not, it is a number of zeros before the file."""
    return framing == "drop" or hop > samples_per_frame


def jittered_starts(start: int, num_samples: int, *, samples_per_frame: int, hop: int) -> range:
    """Return the starts to draw from for a frame that is moved by less than `hop` samples, without leaving its file.

    It moves later, as long as it ends in the file. A frame that ends past the file moves earlier.

    >>> jittered_starts(4, 11, samples_per_frame=4, hop=4)
    range(4, 8)
    >>> jittered_starts(8, 11, samples_per_frame=4, hop=4)
    range(5, 9)
    """
    last = num_samples - samples_per_frame
    if start > last:
        return range(max(start - hop + 1, 0), start + 1)
    return range(start, min(start + hop, last + 1))
