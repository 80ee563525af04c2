"""The index of a corpus: what every file holds, how long it is, and where its packets are."""

from flowmo_data.tracks.index.audio_index import INDEX_SUFFIX, AudioIndex

__all__ = ["INDEX_SUFFIX", "AudioIndex"]
