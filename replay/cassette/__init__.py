"""Cassettes: the file format, the values in it, and what must never be written to it."""
