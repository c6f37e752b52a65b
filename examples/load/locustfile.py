"""Load a realtime voice API with callers that type, speak, interrupt, use tools, drop and resume.

    pip install locust websocket-client
    realtape serve --scenario examples/load/desk.yaml --max-sessions 1000
    locust -f examples/load/locustfile.py --headless --users 50 --spawn-rate 10 --run-time 2m \\
        --host "ws://127.0.0.1:8765/v1/realtime?model=grok-voice-3.0"

It works against any realtime endpoint; the key is REALTAPE_LOAD_KEY. Against the mock it also reads cost and findings.
Locust's own --master and --worker spread it over machines. Exit code 1: a threshold was exceeded.
"""

from __future__ import annotations

import json
import time
import urllib.request
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from locust import User, between, events, tag, task
from locust.env import Environment
from locust.runners import WorkerRunner
from voice_user import Answer, Call, CallFailed, sound_of, url_and_key

QUESTIONS = ("What are your opening hours?", "I would like to book a table.", "Can I park there?")
TOOL = {
    "type": "function",
    "name": "find_order",
    "description": "Find an order.",
    "parameters": {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
}
CLIP = Path(__file__).resolve().parent.parent / "ci" / "caller.wav"


@events.init_command_line_parser.add_listener
def options(parser: ArgumentParser) -> None:
    """What decides whether a run passes, and what callers speak."""
    parser.add_argument("--speech", default=str(CLIP), help="WAV file that callers speak: 24 kHz, 16-bit, mono")
    parser.add_argument(
        "--max-first-audio-ms", type=float, default=0, help="fail if the 95th percentile is above; 0: off"
    )
    parser.add_argument("--max-gap-ms", type=float, default=0, help="of the gap at the end of a spoken turn")
    parser.add_argument("--max-barge-in-ms", type=float, default=0, help="of the time until an answer stops")
    parser.add_argument("--max-starved-ms", type=float, default=0, help="of the time without sound in an answer")
    parser.add_argument("--max-failures", type=float, default=0.01, help="the share of failed steps that is allowed")
    parser.add_argument("--max-findings", type=int, default=-1, help="of the mock's findings; -1: any number")


class Caller(User):
    """One caller. Each task is one call."""

    wait_time = between(0.5, 2.0)

    def on_start(self) -> None:
        """Read what it speaks."""
        self.url, self.key = url_and_key(self.host or "")
        self.speech = sound_of(Path(self.environment.parsed_options.speech))

    @task(4)
    def type(self) -> None:
        """Three typed turns."""
        with self.call() as call:
            for question in QUESTIONS:
                self.heard("first audio", call.say(question))

    @task(3)
    def speak(self) -> None:
        """A spoken turn."""
        with self.call() as call:
            answer = call.speak(self.speech)
            call.finish(answer)
            self.heard("gap at turn end", answer)

    @task(2)
    def interrupt(self) -> None:
        """Speak over the answer."""
        with self.call() as call:
            stopped_s = call.interrupt(call.speak(self.speech), self.speech)
            if stopped_s is not None:
                self.note("barge-in stop", stopped_s)

    @task(2)
    def use_tool(self) -> None:
        """Ask for what only a tool knows."""
        with self.call(tools=[TOOL]) as call:
            answer = call.say("Where is order 1043?")
            for wanted in answer.calls:
                then = call.result(wanted, {"number": 1043, "state": "being packed"})
                self.heard("tool result to audio", then)

    @tag("resume")
    @task(1)
    def drop_and_resume(self) -> None:
        """Lose the connection between two turns, and go on."""
        with self.call(resumable=True) as call:
            self.heard("first audio", call.say(QUESTIONS[0]))
            conversation = call.conversation
            call.drop()
        if conversation:
            with self.call(conversation) as call:
                self.heard("first audio", call.say(QUESTIONS[1]))

    @contextmanager
    def call(self, conversation: str = "", resumable: bool = False, **session: object) -> Iterator[Call]:
        """A call. What fails in it is a failed step, and the caller calls again later."""
        began = time.perf_counter()
        try:
            with Call(self.url, self.key, conversation) as call:
                call.begin(resumable=resumable or bool(conversation), **session)
                self.note("resumed" if conversation else "ready", time.perf_counter() - began)
                yield call
        except CallFailed as problem:
            self.note("call", time.perf_counter() - began, problem)

    def heard(self, name: str, answer: Answer) -> None:
        """Report an answer."""
        if answer.status not in ("completed", "cancelled"):
            self.note(name, answer.done_at - answer.asked_at, CallFailed(f"the response is {answer.status}"))
        elif answer.first_audio_at is not None:
            self.note(name, answer.first_audio_at - answer.asked_at, size=answer.tokens)
            self.note("starved", answer.starved_s)

    def note(self, name: str, seconds: float, problem: Exception | None = None, size: int = 0) -> None:
        """Report a step to Locust. `size`, which Locust calls the content's length, is tokens."""
        self.environment.events.request.fire(
            request_type="voice",
            name=name,
            response_time=seconds * 1000,
            response_length=size,
            exception=problem,
            context={},
        )


def of_mock(host: str, path: str) -> Any:
    """What the mock's control plane answers; None from another service."""
    parts = urlsplit(host)
    scheme = "https" if parts.scheme == "wss" else "http"
    try:
        with urllib.request.urlopen(f"{scheme}://{parts.netloc}/_mock{path}", timeout=5) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return None


@events.quitting.add_listener
def judge(environment: Environment, **_: object) -> None:
    """Print the result, and set the exit code. Only where the results of all workers are."""
    if isinstance(environment.runner, WorkerRunner):
        return
    options, stats = environment.parsed_options, environment.stats
    exceeded = []
    for name, most in (
        ("first audio", options.max_first_audio_ms),
        ("gap at turn end", options.max_gap_ms),
        ("barge-in stop", options.max_barge_in_ms),
        ("starved", options.max_starved_ms),
    ):
        entry = stats.get(name, "voice")
        p95 = entry.get_response_time_percentile(0.95) or 0
        if most and not entry.num_requests:
            exceeded.append(f"{name}: there was none")
        elif most and p95 > most:
            exceeded.append(f"{name}: 95th percentile {p95:.0f} ms, at most {most:.0f} ms allowed")
    if not stats.total.num_requests:
        exceeded.append("there was no call")
    elif stats.total.fail_ratio > options.max_failures:
        exceeded.append(f"failed: {stats.total.fail_ratio:.1%}, at most {options.max_failures:.1%} allowed")
    ledger = of_mock(environment.host or "", "/ledger")
    if ledger is not None:
        findings = of_mock(environment.host or "", "/findings") or []
        print(f"cost: {ledger.get('usd')} USD; findings: {len(findings)}")
        if 0 <= options.max_findings < len(findings):
            exceeded.append(f"findings: {len(findings)}, at most {options.max_findings} allowed")
    for line in exceeded:
        print(f"FAILED  {line}")
    environment.process_exit_code = 1 if exceeded else 0
