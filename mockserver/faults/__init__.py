"""Faults: what can go wrong, when, and the peer that makes it happen."""
