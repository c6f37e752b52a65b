"""Calls: sessions with two sound tracks instead of sound in events, and a telephone with a caller in front of them."""
