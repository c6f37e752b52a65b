"""How OpenAI counts: tokens of a response by formulas fitted to recordings. Prices: replay/billing/prices.py.

Counts of recorded audio, and of responses with the recorded pieces, are exact. Counts of the client's texts are
approximate: the service's tokenizer is not part of this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson

from mockserver.dialects.openai.chunking import tokens
from mockserver.dialects.openai.session_object import Model
from mockserver.protocol.conversation import Item
from mockserver.protocol.facts import Response
from replay.billing.prices import Tokens

ITEM_TOKENS, SPOKEN_ITEM_TOKENS = 4, 8
"""Tokens that a text or spoken item counts beside its content: exact for the two recorded first turns."""
TOOLS_SHARE = 0.75
"""The share of a schema's JSON that counts, about: the service has a shorter form of it."""
PREAMBLE_TOKENS = 284
"""Tokens that the second generation counts in addition, as in a recorded conversation."""
CALL_TOKENS = 8
"""Tokens that a function call counts beside its name and arguments (6 of 6 recorded)."""
THOUGHT = {"low": 17, "medium": 64, "high": 192, "xhigh": 384}
"""Reasoning tokens by effort. A guess: 17 was recorded once, and 0 in the other responses."""
CACHE_UNIT = 64
CACHE_SLACK = 4
"""Recorded: 384 tokens of a prompt were cached after a response of 383 tokens."""


CONTEXT_TOKENS = 28_224
"""What gpt-realtime reads (documented): its window of 32k tokens without the longest response. A guess for others."""


class Reading:
    """The items that the model still reads: the oldest are dropped when the context has too many tokens."""

    def __init__(self) -> None:
        self._dropped: set[Item] = set()

    def of(self, items: Sequence[Item], truncation: object, fixed: int) -> tuple[int, int]:
        """Text and audio tokens of the items that are left beside `fixed` tokens of instructions and tools, by the
        session's `truncation`. If that is `disabled`, nothing is dropped (a guess)."""
        kept = [item for item in items if item not in self._dropped] if self._dropped else items
        text, audio = sum(map(_text_of, kept)), sum(map(_audio_of, kept))
        rule = truncation if isinstance(truncation, dict) else {}
        most = (rule.get("token_limits") or {}).get("post_instructions") or max(0, CONTEXT_TOKENS - fixed)
        if truncation == "disabled" or text + audio <= most:
            return text, audio
        for item in kept:
            if text + audio <= most * rule.get("retention_ratio", 1):
                break
            self._dropped.add(item)
            text, audio = text - _text_of(item), audio - _audio_of(item)
        return text, audio


def tokens_of(response: Response, session: Mapping[str, Any], model: Model, before: int, reading: Reading) -> Tokens:
    """The tokens of a response. Up to `before` of them may be cached: the tokens of the last response, at first 0."""
    if not response.output and response.status != "completed":
        return Tokens()  # cut before any output (beta logs)
    settings = response.settings
    fixed = _counted(settings.instructions) + (PREAMBLE_TOKENS if model.reasons else 0)
    if tools := session.get("tools") if settings.tools is None else settings.tools:
        fixed += round(_counted(orjson.dumps(tools).decode()) * TOOLS_SHARE)
    text, audio = reading.of(response.counts.context, session.get("truncation"), fixed)
    text += fixed
    within = min(text + audio, before + CACHE_SLACK if before else 0)
    cached_text = min(text, within) // CACHE_UNIT * CACHE_UNIT
    cached_audio = min(audio, within - cached_text) // CACHE_UNIT * CACHE_UNIT
    return replace(
        _output(response, model),
        text=text - cached_text,
        cached_text=cached_text,
        audio=audio - cached_audio,
        cached_audio=cached_audio,
    )


def usage(tokens: Tokens) -> dict[str, object]:
    """The `usage` of a `response.done`, in wire order. `reasoning_tokens` is left out if it is 0."""
    text, audio = tokens.text + tokens.cached_text, tokens.audio + tokens.cached_audio
    written = tokens.text_out + tokens.thought
    details: dict[str, object] = {"text_tokens": written, "audio_tokens": tokens.audio_out}
    if tokens.thought:
        details["reasoning_tokens"] = tokens.thought
    return {
        "total_tokens": text + audio + written + tokens.audio_out,
        "input_tokens": text + audio,
        "output_tokens": written + tokens.audio_out,
        "input_token_details": {
            "text_tokens": text,
            "audio_tokens": audio,
            "image_tokens": 0,
            "cached_tokens": tokens.cached_text + tokens.cached_audio,
            "cached_tokens_details": {
                "text_tokens": tokens.cached_text,
                "audio_tokens": tokens.cached_audio,
                "image_tokens": 0,
            },
        },
        "output_token_details": details,
    }


def total(tokens: Tokens) -> int:
    """The sum of all tokens."""
    return (
        tokens.text
        + tokens.cached_text
        + tokens.audio
        + tokens.cached_audio
        + tokens.text_out
        + tokens.thought
        + tokens.audio_out
    )


def _output(response: Response, model: Model) -> Tokens:
    """Output tokens: pieces and a constant for each message, arguments, name and a constant for each call."""
    counts, thought = response.counts, 0
    written = 0
    if counts.segments and response.settings.speaks:
        written += counts.segments + 2 * counts.runs + 4  # 11 of 11
    elif counts.segments:
        written += counts.segments + (4 if model.reasons else 2)  # 11 of 11 of gpt-realtime, 2 of 2 of gpt-realtime-2.1
    written += sum(_call(item) for item in response.output if item.kind in ("call", "hosted", "request"))
    if model.reasons:
        thought = THOUGHT.get(response.settings.effort, 0)
    spoken_ms = sum(item.spoken_ms for item in response.output)
    return Tokens(text_out=written, thought=thought, audio_out=round(spoken_ms) // 50)


def _call(item: Item) -> int:
    return _counted(item.arguments) + len(item.name.split("_")) + CALL_TOKENS


def _text_of(item: Item) -> int:
    if item.kind in ("call", "request"):
        return _call(item)
    if item.kind == "hosted":  # as a call and its result: a guess
        return _call(item) + _counted(item.output or item.error) + ITEM_TOKENS
    if item.kind == "listing":  # without the schemas, which are not known here
        return sum(map(_counted, item.tools)) + ITEM_TOKENS
    if item.kind == "result":
        return _counted(item.output) + ITEM_TOKENS
    spoken = item.role == "user" and any(part.is_audio for part in item.parts)
    return SPOKEN_ITEM_TOKENS if spoken else ITEM_TOKENS + _counted(item.text)


def _audio_of(item: Item) -> int:
    """10 tokens a second of the user's audio, 20 of the assistant's."""
    return audio_tokens(item.heard_ms) + round(item.spoken_ms) // 50


def audio_tokens(heard_ms: float) -> int:
    """Audio tokens of a spoken turn of that many milliseconds."""
    return int(heard_ms) // 100


@lru_cache(maxsize=4096)
def _counted(text: str) -> int:
    return tokens(text)


TRANSCRIBED_BY_TOKENS = ("gpt-4o-transcribe", "gpt-4o-mini-transcribe")
"""Prefixes of transcription models that count tokens; the others count seconds."""


def counts_tokens(transcriber: str) -> bool:
    """Whether a transcription model is billed by tokens."""
    return transcriber.startswith(TRANSCRIBED_BY_TOKENS)


def transcription_tokens(heard_ms: float, pieces: int) -> Tokens:
    """Input: 10 tokens a second of audio. Output: the deltas and two (2 of 2 recorded)."""
    return Tokens(audio=audio_tokens(heard_ms), text_out=pieces + 2)


def transcription_usage(transcriber: str, heard_ms: float, pieces: int) -> dict[str, object]:
    """The `usage` of a transcript: tokens or whole seconds, by the model."""
    if not counts_tokens(transcriber):
        # 2.796 and 2.668 s both counted 3: that it rounds up is a guess.
        return {"type": "duration", "seconds": -int(-heard_ms // 1000)}
    counted = transcription_tokens(heard_ms, pieces)
    return {
        "type": "tokens",
        "total_tokens": counted.audio + counted.text_out,
        "input_tokens": counted.audio,
        "input_token_details": {"text_tokens": 0, "audio_tokens": counted.audio},
        "output_tokens": counted.text_out,
    }
