"""Fuzzes what reads client frames, in both dialects: `python -m tests.fuzz.parsers --seconds 600 --seed 7`.

Each spoilt frame goes through `parse`, and through a session of its own that then must still answer. With `--atheris`
the frames come from that fuzzer, which watches what code they reach (`pip install atheris`), instead of mutate.py.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from itertools import islice
from time import perf_counter
from typing import Any, get_args

from mockserver.audio.tts import CachedSynthesizer, synthesizer_named
from mockserver.dialects.base import Opening
from mockserver.dialects.registry import SERVICES
from mockserver.protocol.commands import Command, Rejected
from mockserver.responders.echo import EchoResponder
from mockserver.session.session import Session
from tests.fuzz.mutate import spoilt

FUZZED = ("xai@2026-07", "openai@2026-08")
LONGEST_REFUSAL = 4_000
FRESH = 50
"""Frames that one session gets."""
_VOICE = CachedSynthesizer(synthesizer_named("tone"))


def session(service: str) -> Session:
    """A new one, whose answers come at once."""
    opening = Opening("fuzz/0", 1_785_214_080.0)
    return Session(SERVICES[service].open(opening), EchoResponder(), _VOICE, seed="fuzz/0", pacing="burst")


class Target:
    """One dialect under fire. Raises what the code under it raises, and AssertionError for an unfit answer."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.kinds: Counter[str] = Counter()
        self.slowest = (0.0, b"")
        """Seconds of one frame, and its beginning."""
        self._session = session(service)

    def hit(self, frame: str | bytes) -> None:
        """Have one frame read, obeyed and answered."""
        began = perf_counter()
        if sum(self.kinds.values()) % FRESH == 0:
            self._session = session(self.service)
        command = self._session.dialect.parse(frame, self._session.settings)
        assert isinstance(command, get_args(Command)), command
        if isinstance(command, Rejected):
            assert command.message and len(command.message) < LONGEST_REFUSAL, command.message[:200]
        self.kinds[type(command).__name__] += 1
        self._session.receive(frame, 1.0)
        self._session.take_output(1.0)
        took = perf_counter() - began
        if took > self.slowest[0]:
            self.slowest = took, (frame if isinstance(frame, bytes) else frame.encode(errors="replace"))[:200]


def fire(frames: Iterable[str | bytes]) -> list[Target]:
    """Every frame at every service."""
    targets = [Target(service) for service in FUZZED]
    for frame in frames:
        for target in targets:
            try:
                target.hit(frame)
            except Exception as problem:
                raise AssertionError(f"{target.service}: {problem!r} at the frame {str(frame)[:2000]!r}") from problem
    return targets


def _for(seconds: float, seed: str) -> Iterable[str | bytes]:
    began = perf_counter()
    stream = spoilt(seed)
    while perf_counter() - began < seconds:
        yield from islice(stream, 100)


def _with_atheris() -> None:
    atheris: Any = import_module("atheris")
    targets = [Target(service) for service in FUZZED]

    def once(data: bytes) -> None:
        for target in targets:
            target.hit(data.decode(errors="replace"))

    atheris.instrument_all()
    atheris.Setup(sys.argv[:1], once)
    atheris.Fuzz()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--seed", default="0")
    options.add_argument("--atheris", action="store_true")
    asked = options.parse_args()
    if asked.atheris:
        _with_atheris()
        return
    for target in fire(_for(asked.seconds, asked.seed)):
        took, frame = target.slowest
        counts = ", ".join(f"{kind} {count}" for kind, count in target.kinds.most_common())
        sys.stdout.write(f"{target.service}: {sum(target.kinds.values())} frames: {counts}\n")
        sys.stdout.write(f"  slowest {took * 1000:.1f} ms: {frame!r}\n")


if __name__ == "__main__":
    main()
