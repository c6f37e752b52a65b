"""Finding secrets in text: by the name beside them, by the form of keys, by the place in a URL or a header.

Pure functions of text. Records, JSON and base64 are in replay/cassette/scrub.py.
"""
