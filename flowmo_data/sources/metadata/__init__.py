"""What the user knows about files: tables, sidecars, functions."""
