"""Processes, threads and shared memory. Nothing here knows about audio."""
