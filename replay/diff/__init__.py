"""Comparing two recordings by meaning."""
