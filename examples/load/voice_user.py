"""One caller of a realtime voice API, and what a caller would measure with a stopwatch. See locustfile.py.

It speaks the wire of xAI and OpenAI through websocket-client, blocking: under Locust, gevent makes it share the
process with thousands like it. Times are seconds of the local clock.
"""

from __future__ import annotations

import base64
import json
import os
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import websocket

RATE = 24_000
"""Hz of the sound in both directions: 16-bit, mono."""
PIECE_S = 0.1
"""Seconds of sound in one append."""
ANSWER_S = 30.0
"""The longest wait for an event."""
CLOSE_S = 1.0
"""The longest wait for a frame once the caller hangs up."""
SILENCE = bytes(int(RATE * PIECE_S) * 2)

Event = dict[str, Any]


class CallFailed(Exception):
    """The service sent an error, closed the connection, or did not answer."""


def sound_of(path: Path) -> list[bytes]:
    """A WAV file (24 kHz, 16-bit, mono) in pieces of PIECE_S. Raises ValueError for another format."""
    with wave.open(str(path)) as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE):
            raise ValueError(
                f"{path}: wanted 24 kHz, 16-bit, mono; `realtape say TEXT --out {path.name}` writes such files"
            )
        pcm = file.readframes(file.getnframes())
    return [pcm[at : at + len(SILENCE)] for at in range(0, len(pcm), len(SILENCE))]


@dataclass
class Answer:
    """One response as it arrived."""

    asked_at: float
    first_audio_at: float | None = None
    audio_s: float = 0.0
    starved_s: float = 0.0
    """The longest time for which a player of the audio had nothing to play."""
    calls: list[Event] = field(default_factory=list)
    status: str = ""
    done_at: float = 0.0
    tokens: int = 0

    def hear(self, delta: str, now: float) -> None:
        """Audio arrived."""
        if self.first_audio_at is None:
            self.first_audio_at = now
        self.starved_s = max(self.starved_s, now - self.first_audio_at - self.audio_s)
        self.audio_s += len(delta) * 3 / 4 / (RATE * 2)


class Call:
    """One connection. A context manager: leaving it hangs up."""

    def __init__(self, url: str, key: str, conversation: str = "") -> None:
        """`conversation`: the id of one to resume, on xAI. Raises CallFailed if the handshake is refused."""
        if conversation:
            url += ("&" if "?" in url else "?") + f"conversation_id={conversation}"
        self.conversation = ""
        self._pending: list[Event] = []
        try:
            self._socket = websocket.create_connection(
                url, header=[f"Authorization: Bearer {key}"], timeout=ANSWER_S, enable_multithread=False
            )
        except websocket.WebSocketBadStatusException as refused:
            raise CallFailed(f"the handshake was refused with {refused.status_code}") from refused
        except (OSError, websocket.WebSocketException) as failed:
            raise CallFailed(f"{type(failed).__name__}: {failed}") from failed

    def __enter__(self) -> Call:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Not by the library's `close`: it swallows what ends a greenlet, and the caller would go on for ever.
        try:
            if kind is None:
                self._socket.send_close()
                self._socket.settimeout(CLOSE_S)
                while self._socket.recv_data_frame(control_frame=True)[0] != websocket.ABNF.OPCODE_CLOSE:
                    pass
        except (OSError, websocket.WebSocketException):
            pass  # the service hung up first, or does not answer
        finally:
            self._socket.shutdown()

    def drop(self) -> None:
        """Lose the connection, as a phone in a tunnel does: without a close frame."""
        self._socket.shutdown()

    def send(self, type: str, **fields: object) -> None:
        """Send an event."""
        try:
            self._socket.send(json.dumps({"type": type, **fields}))
        except (OSError, websocket.WebSocketException) as lost:
            raise CallFailed(f"lost while sending {type}: {lost}") from lost

    def event(self) -> Event:
        """The next event. Raises CallFailed for an `error`, a lost connection, or none in ANSWER_S."""
        try:
            event = _read(self._socket.recv())
        except (OSError, websocket.WebSocketException) as lost:
            raise CallFailed(f"{type(lost).__name__}: {lost}") from lost
        if event["type"] == "conversation.created":
            self.conversation = event["conversation"]["id"]
        return event

    def begin(self, *, resumable: bool = False, **session: object) -> None:
        """Configure the session, with turn detection, and wait until it is. `resumable` has an effect on xAI alone."""
        while (created := self.event())["type"] != "session.created":
            pass
        if "turn_detection" in created["session"]:  # xAI keeps it there; OpenAI's is on by default
            own: Event = {"turn_detection": {"type": "server_vad"}, "resumption": {"enabled": resumable}}
        else:
            own = {"type": "realtime"}
        self.send("session.update", session={**own, **session})
        while self.event()["type"] != "session.updated":
            pass

    def say(self, text: str) -> Answer:
        """Type a text; the whole answer."""
        content = [{"type": "input_text", "text": text}]
        self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        self.send("response.create")
        return self.answer(time.perf_counter())

    def speak(self, pieces: list[bytes]) -> Answer:
        """Speak in real time, with a microphone that stays open; the answer, up to its first audio or its end.

        `asked_at` is when the last piece had been spoken.
        """
        for _ in self._microphone(pieces):
            pass
        spoke_until = time.perf_counter()
        answer = Answer(spoke_until)
        deadline = spoke_until + ANSWER_S
        microphone = self._microphone([SILENCE] * int(ANSWER_S / PIECE_S))
        while answer.first_audio_at is None and not answer.done_at:
            next(microphone, None)
            self._take_waiting(answer)
            if time.perf_counter() > deadline:
                raise CallFailed(f"no answer within {ANSWER_S:g} s of speech")
        return answer

    def interrupt(self, answer: Answer, pieces: list[bytes]) -> float | None:
        """Speak over an answer; seconds from the first word until it stopped. None if it was over already."""
        if answer.done_at:
            return None
        began = time.perf_counter()
        for _ in self._microphone(pieces):
            self._take_waiting(answer)
            if answer.done_at:
                break
        else:
            self.finish(answer)
        return answer.done_at - began if answer.status == "cancelled" else None

    def answer(self, asked_at: float) -> Answer:
        """Read events up to the end of the next response."""
        answer = Answer(asked_at)
        self.finish(answer)
        return answer

    def result(self, call: Event, output: object) -> Answer:
        """Answer a function call; the response to its result."""
        item = {"type": "function_call_output", "call_id": call["call_id"], "output": json.dumps(output)}
        self.send("conversation.item.create", item=item)
        self.send("response.create")
        return self.answer(time.perf_counter())

    def finish(self, answer: Answer) -> None:
        """Read events up to the end of a response."""
        while not answer.done_at:
            self._take(answer, self.event())

    def _take(self, answer: Answer, event: Event) -> None:
        match event["type"]:
            case "response.output_audio.delta":
                answer.hear(event["delta"], time.perf_counter())
            case "response.output_item.done" if event["item"]["type"] == "function_call":
                answer.calls.append(event["item"])
            case "response.done":
                response = event["response"]
                answer.done_at, answer.status = time.perf_counter(), response["status"]
                answer.tokens = (response.get("usage") or {}).get("total_tokens", 0)

    def _take_waiting(self, answer: Answer) -> None:
        """Take what has arrived, without waiting for more."""
        self._socket.settimeout(0.001)
        try:
            while not answer.done_at:
                try:
                    raw = self._socket.recv()
                except websocket.WebSocketTimeoutException:
                    return
                except (OSError, websocket.WebSocketException) as lost:
                    raise CallFailed(f"{type(lost).__name__}: {lost}") from lost
                self._take(answer, _read(raw))
        finally:
            self._socket.settimeout(ANSWER_S)

    def _microphone(self, pieces: list[bytes]) -> Iterator[None]:
        """Send pieces in their time. Instants are absolute, so that delays do not add up."""
        began = time.perf_counter()
        for number, piece in enumerate(pieces, 1):
            self.send("input_audio_buffer.append", audio=base64.b64encode(piece).decode())
            gevent.sleep(max(0.0, began + number * PIECE_S - time.perf_counter()))
            yield


def _read(raw: str | bytes) -> Event:
    """An event. Raises CallFailed for an `error`, and for the end of the connection."""
    if not raw:
        raise CallFailed("the service hung up")
    event: Event = json.loads(raw)
    if event["type"] == "error":
        raise CallFailed(f"error: {event['error'].get('message')}")
    return event


def url_and_key(host: str) -> tuple[str, str]:
    """The address and the key of a service: as given, with the key of REALTAPE_LOAD_KEY (default: any)."""
    return host, os.environ.get("REALTAPE_LOAD_KEY", "any")
