"""The commands of the mock server."""
