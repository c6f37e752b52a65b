"""Base64 as it crosses the wire, decoded quickly. The decoder of Python accepts a little more, and is slow."""

from __future__ import annotations

from base64 import b64decode

import pybase64


def decoded(text: str | bytes, *, strictly: bool = False) -> bytes:
    """The bytes that base64 stands for. Raises ValueError for what is none.

    Other characters are skipped, as `base64.b64decode` does; with `strictly` they are an error.
    """
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError:
        return b64decode(text, validate=strictly)


def is_whole(text: str) -> bool:
    """Whether a text is base64 from its first character to its padding, and not empty."""
    try:
        return bool(pybase64.b64decode_as_bytearray(text, validate=True))
    except ValueError:
        return False
