"""Whatever a bridge sends, a call goes on to its end and can be reported."""

from __future__ import annotations

import base64
import json
from random import Random
from typing import Any

import numpy as np
import pytest

from mockserver.calls.caller import Caller, Interrupt, Press, Speak, Step
from mockserver.dial.leg import CallLeg
from mockserver.dial.network import Network
from mockserver.dial.plivo import Plivo
from mockserver.dial.report import report_of
from mockserver.dial.twilio import Twilio

EVENTS = ("media", "mark", "clear", "playAudio", "checkpoint", "clearAudio", "sendDTMF")
KEYS = ("event", "streamSid", "streamId", "media", "mark", "name", "payload", "contentType", "sampleRate", "dtmf")
VOICE = (9000 * np.sin(np.arange(3000) / 4)).astype(np.int16)


def any_value(rng: Random, depth: int = 0) -> Any:
    sound = base64.b64encode(rng.randbytes(rng.choice((0, 1, 160, 4001)))).decode()
    plain = (None, True, -1, 1e308, 2**70, 8000, "", "audio/x-mulaw", "\x00\ud7ff", sound, *EVENTS)
    kind = rng.randrange(3) if depth < 4 else 0
    if kind == 0:
        return rng.choice(plain)
    if kind == 1:
        return [any_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(KEYS): any_value(rng, depth + 1) for _ in range(rng.randrange(5))}


def any_message(rng: Random, stream: str) -> str | bytes:
    message = any_value(rng)
    if isinstance(message, dict):
        message |= {"event": rng.choice(EVENTS)} if rng.random() < 0.8 else {}
        message |= {rng.choice(("streamSid", "streamId")): stream} if rng.random() < 0.8 else {}
        if rng.random() < 0.5:
            sound = base64.b64encode(rng.randbytes(rng.choice((1, 160, 16_000)))).decode()
            message |= {"media": {"payload": sound, "contentType": "audio/x-mulaw", "sampleRate": 8000}}
            message |= {"name": "a", "mark": {"name": "b"}}
    text = json.dumps(message)
    return rng.choice((text, text, text, text[: rng.randrange(1, 40)], b"\xff\x00"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(0, 60, 20))
def test_a_call_ends_and_is_reported_whatever_the_bridge_sends(seed: int):
    for each in range(seed, seed + 20):
        rng = Random(each)
        provider = rng.choice((Twilio, Plivo))(str(each))
        steps: list[Step] = [Speak(VOICE, "Hello"), Interrupt(0.2, 2.0), Speak(VOICE[:800], "No"), Press("1#")]
        network = Network(rng.choice((0, 50)), rng.choice((0, 0.3)), rng.choice((None, 3.0)))
        longest_s = rng.choice((5.0, 60.0))
        leg = CallLeg(provider, Caller(steps, greeting_s=1.0), network, seed=str(each), longest_s=longest_s)
        while not leg.over:
            due = leg.next_due()
            assert due is not None and due <= 61
            now = due + rng.choice((0, 1e-9, 0.013))
            for message in leg.take_output(now):
                json.loads(message)
            if rng.random() < 0.2:
                leg.receive(any_message(rng, provider.stream_id), now)
            if rng.random() < 0.001:
                leg.closed(rng.choice((None, 1000, 1011)), "why", now)
        report = report_of(leg, "ws://bridge")
        assert len(report.heard) == len(report.said) and json.loads(report.as_json())["ended"] in str(report)
