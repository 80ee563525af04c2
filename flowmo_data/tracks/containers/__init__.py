"""Containers that FFmpeg reads: their packets, the exact length, and what each decoder needs before a window."""
