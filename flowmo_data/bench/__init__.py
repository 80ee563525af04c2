"""Measurements of speed, from the first batch to the steady state, compared with the decoder alone."""
