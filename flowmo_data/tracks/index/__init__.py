"""The index of a corpus: the contents and the exact length of every file, and the positions of its packets."""

from flowmo_data.tracks.index.audio_index import AudioIndex
from flowmo_data.tracks.index.storing import INDEX_SUFFIX

__all__ = ["INDEX_SUFFIX", "AudioIndex"]
