"""The datasets that a training loop iterates over."""

from flowmo_data.datasets.map_style import AudioFrameDataset as AudioFrameDataset
from flowmo_data.datasets.mixed import Loop as Loop
from flowmo_data.datasets.mixed import MixedAudioDataset as MixedAudioDataset
from flowmo_data.datasets.streaming import StreamingAudioDataset as StreamingAudioDataset
