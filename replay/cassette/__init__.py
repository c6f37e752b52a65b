"""Cassettes: the file format, its frames, and what must never be written to it."""
