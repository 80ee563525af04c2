"""Tars, read in place: their members, where the bytes of each lie, and what is damaged."""
