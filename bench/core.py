"""What a session costs without sockets: µs a text turn and an append of 100 ms, in the same process, echo and tone.

    python bench/core.py [--profile] [--dialect NAME]

The best of several runs, for the machine may be busy. `--profile` shows where a turn's and an append's time goes.
`--digest` prints instead the SHA-256 of all that a fixed script makes a session say: equal digests, equal wire.
"""

from __future__ import annotations

import argparse
import base64
import cProfile
import gc
import hashlib
import json
import pstats
from collections.abc import Callable, Iterator
from itertools import count
from time import process_time

from mockserver.audio.tts import CachedSynthesizer, synthesizer_named
from mockserver.dialects.base import Opening
from mockserver.dialects.names import dialect_name
from mockserver.dialects.registry import SERVICES
from mockserver.responders.echo import EchoResponder
from mockserver.server.journal import Journal, SessionLog
from mockserver.server.narration import Narration
from mockserver.server.notices import CallOpened
from mockserver.session.session import Session
from replay.cassette.frames import Binary, Frame, Passage, Sound, Text, apart
from replay.findings.call import Handshake
from replay.findings.messages import Messages
from replay.findings.watch import Watcher

EPOCH = 1_785_214_080.0
TURNS, APPENDS, RUNS = 300, 2000, 5
TEXTS = ("hello", "Is Doctor Chen free on Monday? I can come in the morning, or after five.", "Thank you, goodbye!")
FORMATS = ("audio/pcm", "audio/pcmu", "audio/pcma")


def new_session(dialect: str, pacing: str = "burst") -> Session:
    opening = Opening(seed="0/0", epoch=EPOCH)
    session = Session(
        SERVICES[dialect].open(opening),
        EchoResponder(),
        CachedSynthesizer(synthesizer_named("tone")),
        seed="0/0",
        pacing=pacing,
    )
    session.joins = True  # as in a server
    return session


def typed(text: str) -> tuple[str, str]:
    """The two frames of a typed turn."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return json.dumps({"type": "conversation.item.create", "item": item}), json.dumps({"type": "response.create"})


def appends(pcm: bytes) -> list[str]:
    """The frames of a sound of 24 kHz, 100 ms each."""
    pieces = (pcm[at : at + 4800] for at in range(0, len(pcm), 4800))
    return [json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(p).decode()}) for p in pieces]


def spoken() -> bytes:
    """About twenty seconds of speech with pauses."""
    text = "Hello, I would like an appointment. It is for my dental cleaning, on Monday morning. " * 4
    return synthesizer_named("tone").speak(text).samples.tobytes()


# --- Cost ---


def turn_work(dialect: str) -> Callable[[], int]:
    """A run of text turns in a new session; gives how many."""
    frames = typed("hello")

    def run() -> int:
        session = new_session(dialect)
        for now in range(TURNS):
            for frame in frames:
                session.receive(frame, now)
            session.take_output(now)
        return TURNS

    return run


def append_work(dialect: str, frames: list[str]) -> Callable[[], int]:
    """A run of appends in a new session; gives how many."""

    def run() -> int:
        session = new_session(dialect)
        for number, now in zip(range(APPENDS), count(), strict=False):
            session.receive(frames[number % len(frames)], now / 10)
        session.take_output(APPENDS)
        return APPENDS

    return run


def watched_turns(dialect: str) -> Callable[[], int]:
    """Text turns gone through for findings alone: the frames of a run in a session, both ways."""
    session, frames = new_session(dialect), typed("hello")
    turns = []
    for now in range(TURNS):
        for frame in frames:
            session.receive(frame, now)
        turns.append(session.take_output(now))

    def run() -> int:
        watched = Messages(Watcher().open("", dialect, Handshake()))
        for number in range(TURNS):
            for frame in frames:
                watched.sent(float(number), frame)
            watched.received(turns[number])
        return TURNS

    return run


def watched_appends(dialect: str, frames: list[str]) -> Callable[[], int]:
    """Appends gone through for findings alone."""

    def run() -> int:
        watched = Messages(Watcher().open("", dialect, Handshake()))
        for number in range(APPENDS):
            watched.sent(number / 10, frames[number % len(frames)])
        return APPENDS

    return run


def observed_turns(dialect: str) -> Callable[[], int]:
    """Text turns as the log of a session takes them: journal, findings and the console's notices, without a session."""
    session, frames = new_session(dialect), typed("hello")
    turns = []
    for now in range(TURNS):
        for frame in frames:
            session.receive(frame, now)
        said = session.take_output(now)
        turns.append((said, b"".join(wire_of(each.frame) for each in said)))

    def run() -> int:
        log = observed(dialect, session)
        for now, (said, wire) in enumerate(turns):
            for frame in frames:
                log.inbound(float(now), frame)
            log.written(said, wire)
        return TURNS

    return run


def wire_of(frame: Frame | Sound | Passage) -> bytes:
    """The bytes of its frames, or of its message."""
    if isinstance(frame, Passage):
        return frame.wire
    assert isinstance(frame, Text | Binary)
    return frame.data


def observed_appends(dialect: str, frames: list[str]) -> Callable[[], int]:
    """Appends as the log of a session takes them."""
    session = new_session(dialect)

    def run() -> int:
        log = observed(dialect, session)
        for number in range(APPENDS):
            log.inbound(number / 10, frames[number % len(frames)])
        return APPENDS

    return run


def observed(dialect: str, session: Session) -> SessionLog:
    """A log with all that observes a session in `realtape serve`."""
    log = Journal(16 << 20).open("s", "c", EPOCH, session.ledger)
    log.narration = Narration(CallOpened("s", dialect, ""), lambda notice: None, session.ledger, session.heard)
    log.watch = Watcher().open("s", dialect, Handshake())
    return log


def best_us(work: Callable[[], int]) -> float:
    def once() -> float:
        gc.collect()
        gc.freeze()  # as a server does with what it keeps
        began = process_time()
        done = work()
        return (process_time() - began) / done * 1e6

    return min(once() for _ in range(RUNS))


def profile(work: Callable[[], int]) -> None:
    profiler = cProfile.Profile()
    profiler.runcall(work)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


# --- Digest ---


def script() -> Iterator[tuple[float, str]]:
    """What a client does, and when: typed and spoken turns, formats, a barge-in, mistakes."""
    now = 0.0
    for form in FORMATS:
        sides = {"input": {"format": {"type": form}}, "output": {"format": {"type": form}}}
        for detection in (None, {"type": "server_vad"}):
            session = {"instructions": "Be brief.", "turn_detection": detection, "audio": sides}
            yield now, json.dumps({"type": "session.update", "session": session})
            for text in TEXTS:
                for frame in typed(text):
                    yield now, frame
                now += 3.0
            for frame in appends(spoken())[:80]:
                now += 0.1
                yield now, frame
            for type in ("input_audio_buffer.commit", "response.cancel", "response.create", "no.such.event"):
                now += 0.5
                yield now, json.dumps({"type": type})
            now += 20.0


def digest(dialect: str, pacing: str) -> str:
    session, said = new_session(dialect, pacing), hashlib.sha256()
    for now, frame in [*script(), (1000.0, "")]:
        while (due := session.next_due()) is not None and due <= now:
            _hash(said, session, due)
        if frame:
            session.receive(frame, now)
            _hash(said, session, now)
    return said.hexdigest()


def _hash(said: hashlib._Hash, session: Session, now: float) -> None:
    for each in apart(session.take_output(now)):
        said.update(repr(each.at).encode())
        if isinstance(each.frame, Text | Binary):
            said.update(each.frame.data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect", default="xai@2026-07", type=dialect_name)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--digest", action="store_true")
    asked = parser.parse_args()
    if asked.digest:
        for pacing in ("burst", "live"):
            print(pacing, digest(asked.dialect, pacing))
        return
    works = {
        "text turn": turn_work(asked.dialect),
        "append, silence": append_work(asked.dialect, appends(bytes(48000))),
        "append, speech": append_work(asked.dialect, appends(spoken())),
        "findings, turn": watched_turns(asked.dialect),
        "findings, append": watched_appends(asked.dialect, appends(spoken())),
        "observed, turn": observed_turns(asked.dialect),
        "observed, append": observed_appends(asked.dialect, appends(spoken())),
    }
    for name, work in works.items():
        print(f"{name:16} {best_us(work):8.1f} µs")
        if asked.profile:
            profile(work)


if __name__ == "__main__":
    main()
