"""The recording proxy: forwards a call to a service and writes a cassette beside it."""
