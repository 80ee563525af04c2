"""From runs of packets to samples: one module per decoder, the choice between them, and what to do with damage."""

from flowmo_data.decoding.choosing import DECODERS, Decode, choose_decoder, load_decoder
from flowmo_data.decoding.recovery import decode_run

__all__ = ["DECODERS", "Decode", "choose_decoder", "decode_run", "load_decoder"]
