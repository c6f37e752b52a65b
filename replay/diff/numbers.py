"""Numbers of two conversations: which must be equal, which may differ by how much, and what each depends on.

Where the service's rule is known, a number is exact once what it counts is the same. Two correct conversations count
different things if their words differ, if their voices speak for different lengths of time, or if the client's
messages came at different instants. A caller says which of these the two conversations have in common.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from replay.cassette.json_values import path_pattern

Basis = Literal["words", "speech", "input", "clock", "date"]
"""What a number depends on beside the course of the conversation: the words, the length of the assistant's speech, the
user's audio, the instants of the client's messages since the connection opened, the instant at which it opened."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two numbers may be apart: `absolute`, in the number's unit, or `relative` to the expected one, whichever
    is more. `basis`: the number counts only where both conversations share all of it.
    """

    event: str
    path: str
    basis: tuple[Basis, ...]
    absolute: float = 0
    relative: float = 0

    def allows(self, expected: float, actual: float) -> bool:
        """Whether the difference is within the tolerance."""
        return abs(actual - expected) <= max(self.absolute, self.relative * abs(expected)) + 1e-9


def _row(event: str, path: str, *basis: Basis, absolute: float = 0, relative: float = 0) -> Tolerance:
    return Tolerance(event, path, basis, absolute, relative)


TOLERANCES: tuple[Tolerance, ...] = (
    # event, path in it (`*` is anything). The first matching row decides whose basis both conversations share. xAI has
    # `usage` beside the response, OpenAI inside it. A number without a row does not count: its size is chance.
    _row("response.done", "usage.input_token_details.text_tokens", "words"),
    _row("response.done", "usage.input_token_details.audio_tokens", "input", absolute=4, relative=0.1),
    _row("response.done", "usage.output_token_details.text_tokens", "words", absolute=1),  # 12 of 16 recorded exact
    _row("response.done", "usage.output_token_details.audio_tokens", "speech", absolute=1),
    _row("response.done", "usage.output_audio_seconds", "speech", absolute=0.01),
    _row("response.done", "usage.billable_audio_seconds", "clock", "input", "speech"),
    _row("response.done", "usage.billable_audio_seconds", "input", "speech", absolute=3),
    # The tokenizer of OpenAI is not known; the deltas of an answer, and so their number, are the service's own.
    _row("response.done", "response.usage.input_token_details.text_tokens", "words", absolute=4, relative=0.15),
    _row("response.done", "response.usage.input_token_details.audio_tokens", "input", "speech", absolute=1),
    _row("response.done", "response.usage.output_token_details.text_tokens", "words", absolute=6, relative=0.25),
    _row("response.done", "response.usage.output_token_details.audio_tokens", "speech", absolute=1),
    _row("response.done", "response.usage.*cached*", "words", "input", "speech", absolute=64),
    _row("conversation.item.input_audio_transcription.completed", "usage.seconds", "input", absolute=1),
    _row("conversation.item.input_audio_transcription.completed", "usage.*output_tokens", "words", absolute=1),
    _row("conversation.item.input_audio_transcription.completed", "usage.*tokens", "input", absolute=1),
    _row("rate_limits.updated", "rate_limits[*].limit"),
    _row("rate_limits.updated", "rate_limits[*].remaining", "words", "input", absolute=1000),
    _row("rate_limits.updated", "rate_limits[*].reset_seconds", "words", "input", absolute=0.005),
    # xAI tells of speech 60 to 80 ms after its first message; once after 177 ms, for which no cause is known. It tells
    # of the end 100 to 150 ms later if the commit was sent at once, else 69 to 217 ms after the commit (recordings).
    _row("input_audio_buffer.*", "audio_start_ms", "clock", "input", absolute=120),
    _row("input_audio_buffer.*", "audio_end_ms", "clock", "input", absolute=150),
    _row("ping", "timestamp", "clock", "date", absolute=500),
    _row("session.*", "session.expires_at", "date", absolute=2),
    # The first delta: 489, 520 or 642 ms of grok-voice-think-fast-1.0, always 245 ms of 2.0.
    _row("response.output_audio.delta", "audio_duration_ms", "speech", absolute=160),
)


SECONDS, SPOKEN_TOKENS = "usage.output_audio_seconds", "usage.output_token_details.audio_tokens"
"""Of a response.done of xAI: the length of the speech, and the tokens that it counts."""
TOKENS_PER_SPOKEN_S = 50
"""Of xAI (35 of 36 recorded responses, with a constant and a quarter for each further segment)."""


def spoken_tokens(expected: float, expected_s: float, actual_s: float) -> float:
    """The tokens of a response of xAI, if it had spoken as long as another one."""
    return expected + TOKENS_PER_SPOKEN_S * (actual_s - expected_s)


@lru_cache(maxsize=4096)
def tolerance(event: str, path: str, shared: frozenset[Basis]) -> Tolerance | None:
    """The row of a number, if it counts. `shared`: what both conversations have in common."""
    for row in TOLERANCES:
        fits = path_pattern(row.event).fullmatch(event) and path_pattern(row.path).fullmatch(path)
        if fits and shared.issuperset(row.basis):
            return row
    return None


def differ(event: str, path: str, expected: float, actual: float, shared: frozenset[Basis]) -> bool:
    """Whether two numbers at the same place differ by more than they may. `shared`: see Basis."""
    row = tolerance(event, path, shared)
    return row is not None and not row.allows(expected, actual)
