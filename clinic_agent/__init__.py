"""A telephone assistant of a clinic: a client of a realtime voice API.

It has a URL and a key, and cannot tell which server answers. The same code runs on the live service and on any endpoint
with the same protocol.
"""
