"""For test writers: MockServer, the live service behind the same interface, assertions, the pytest plugin."""
