"""The verification of cassettes."""

from __future__ import annotations

from pathlib import Path

from replay.cassette.file import BadCassette
from replay.cassette.scrub import Scrubber
from replay.cli.files import opened
from replay.report.verification import faults
from replay.secrets.named import Secrets


def reasons(file: Path, secrets: Secrets) -> list[str]:
    """Why a cassette fails verification; nothing if it passes. Raises Unusable."""
    with opened(file) as cassette:
        try:
            return faults(cassette, Scrubber(secrets))
        except BadCassette as problem:
            return [str(problem)]
