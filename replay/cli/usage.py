"""Bad usage, as every command reports it, and the addresses that only this machine reaches."""

from __future__ import annotations

import click

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Unusable(click.ClickException):
    """Bad input; the message is one line that says what to do."""

    exit_code = 2
