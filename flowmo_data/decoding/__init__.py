"""Decode last: from spans to samples. A new decoder is a module here, and a line in `registry`."""

from flowmo_data.decoding.reading import fill_frame, read_window
from flowmo_data.decoding.registry import DECODERS, choose_decoder

__all__ = ["DECODERS", "choose_decoder", "fill_frame", "read_window"]
