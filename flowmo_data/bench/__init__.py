"""How fast frames come, from the first batch to the steady state, and how far that is from the decoder alone."""
