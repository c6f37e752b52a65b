"""Which options of `serve` about its content exclude each other."""

from __future__ import annotations

from pathlib import Path

from mockserver.server.options import ECHO
from replay.cli.usage import Unusable


def check_content(
    cassette: Path | None,
    verbatim: bool,
    speed: float,
    allow: tuple[str, ...],
    ignore: tuple[str, ...],
    scenario: Path | None,
    faults: Path | None,
    watch: bool,
    responder: str,
) -> None:
    """Raise Unusable if options about what is answered exclude each other."""
    if cassette is None and verbatim:
        raise Unusable("--verbatim replays a cassette; name it with --cassette FILE")
    if cassette is not None and speed != 1.0 and not verbatim:
        raise Unusable("--speed belongs to --verbatim; the pace of a session is --pacing")
    if cassette is not None and allow and not verbatim:
        raise Unusable("--allow belongs to --verbatim; a session has no recorded events to leave unsent")
    if ignore and cassette is None:
        raise Unusable("--ignore belongs to --cassette; without one, there is nothing to differ from")
    if watch and scenario is None and faults is None:
        raise Unusable("--watch reads files again; name one with --scenario or --faults")
    if cassette is not None and scenario is not None:
        raise Unusable("--scenario and --cassette both set the content; leave out one of them")
    if responder != ECHO and (cassette is not None or scenario is not None):
        raise Unusable("--responder answers without --scenario and --cassette; leave out one of them")
