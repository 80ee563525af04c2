"""The dataset for a Lightning Trainer."""

from flowmo_data.lightning.data_module import StreamingAudioDataModule as StreamingAudioDataModule
