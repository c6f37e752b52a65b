"""How OpenAI counts: tokens of a response by formulas fitted to recordings. Prices: replay/billing/prices.py.

Counts of recorded audio, and of responses with the recorded pieces, are exact. Counts of the client's texts are
approximate: the service's tokenizer is not part of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from mockserver.dialects.openai.chunking import tokens
from mockserver.dialects.openai.session_object import Model
from mockserver.protocol.conversation import Item
from mockserver.protocol.facts import Response
from replay.billing.prices import Tokens
from replay.openai_models import REALTIME

ITEM_TOKENS, SPOKEN_ITEM_TOKENS, RESULT_TOKENS = 4, 8, 8
"""Tokens that a text item, a spoken item and a tool's result count beside their content: exact for the four recorded
first turns, and for two of two recorded results."""
TOOLS_SHARE = 0.77
"""The share of a schema's JSON that counts, about: the service has a shorter form of it. Exact for the one tool that is
recorded."""
REASONING_TOKENS, REASONING_TOOLS_TOKENS = 7, 278
"""Tokens that the second generation counts in addition, and those that it counts if the session has tools. Each is
from one recorded conversation."""
CALL_TOKENS, REASONED_CALL_TOKENS = 8, 14
"""Tokens that a function call counts beside its name and arguments: 6 of 6 recorded of the first generation, one of one
of the second."""
THOUGHT = {"minimal": 0, "low": 17, "medium": 64, "high": 192, "xhigh": 384}
"""Reasoning tokens by effort. A guess: 17 was recorded once of gpt-realtime-2.1, and none in its other responses."""
THOUGHT_UNASKED = {"gpt-realtime-2.1-mini": 29}
"""Reasoning tokens where no effort is set, by model: the mean of two recorded responses. Others have none."""
CACHE_UNIT = 64
CACHE_SLACK = 4
"""Recorded: 384 tokens of a prompt were cached after a response of 383 tokens."""


def input_room(model: Model) -> int:
    """Tokens that a model reads: its context without its longest response."""
    known = model.row or REALTIME["gpt-realtime"]
    if known.context_tokens == 32_000:
        return 28_224  # documented of gpt-realtime
    return known.context_tokens - known.most_output_tokens  # a guess


class Reading:
    """What the model still reads of the conversation: the oldest items are dropped when the context has too many
    tokens. A response counts in later ones as it counted itself (2 of 2 recorded), with what was reasoned (a guess).
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._room = input_room(model)
        self._dropped: set[Item] = set()
        self._written: dict[Item, int] = {}
        """Text tokens of the messages of responses."""
        self._counted: tuple[Item, ...] = ()
        """The first items of the conversation: those that no longer change. Their tokens are added up once."""
        self._text = self._audio = 0

    def recount(self) -> None:
        """An item that was complete has changed."""
        self._counted, self._text, self._audio = (), 0, 0

    def wrote(self, response: Response, tokens: Tokens) -> None:
        """Remember what a response's messages count: the first of them all that is not of another item."""
        messages = [item for item in response.output if item.kind == "message"]
        rest = tokens.text_out + tokens.thought
        rest -= sum(_text_of(item, self._model) for item in response.output if item.kind == "call")
        for item in messages:
            self._written[item], rest = rest, 0

    def of(self, items: tuple[Item, ...], truncation: object, fixed: int) -> tuple[int, int]:
        """Text and audio tokens of the items that are left beside `fixed` tokens of instructions and tools, by the
        session's `truncation`. If that is `disabled`, nothing is dropped (a guess)."""
        kept = tuple(item for item in items if item not in self._dropped) if self._dropped else items
        text, audio = self._sums(kept)
        rule = truncation if isinstance(truncation, dict) else {}
        most = (rule.get("token_limits") or {}).get("post_instructions") or max(0, self._room - fixed)
        if truncation == "disabled" or text + audio <= most:
            return text, audio
        left = most * rule.get("retention_ratio", 1)
        gone, known = 0, len(self._counted)
        while gone < len(kept) and text + audio > left:
            item = kept[gone]
            item_text, item_audio = self._text_of(item), _audio_of(item)
            self._dropped.add(item)
            text, audio = text - item_text, audio - item_audio
            if gone < known:
                self._text, self._audio = self._text - item_text, self._audio - item_audio
            gone += 1
        self._counted = self._counted[gone:]
        return text, audio

    def _sums(self, items: tuple[Item, ...]) -> tuple[int, int]:
        """Text and audio tokens of the items."""
        known = len(self._counted)
        if items[:known] != self._counted:
            self.recount()
            known = 0
        changing = next((at for at in range(known, len(items)) if _changes(items[at])), len(items))
        for item in items[known:changing]:
            self._text += self._text_of(item)
            self._audio += _audio_of(item)
        self._counted, rest = items[:changing], items[changing:]
        return self._text + sum(map(self._text_of, rest)), self._audio + sum(map(_audio_of, rest))

    def _text_of(self, item: Item) -> int:
        written = None if item.truncated else self._written.get(item)
        return _text_of(item, self._model) if written is None else written


def tokens_of(response: Response, session: Mapping[str, Any], model: Model, before: int, reading: Reading) -> Tokens:
    """The tokens of a response. Up to `before` of them may be cached: the tokens of the last response, at first 0."""
    if not response.output and response.status in ("cancelled", "failed"):
        return Tokens()  # cut before any output (beta logs)
    settings = response.settings
    fixed = tokens(settings.instructions) + (REASONING_TOKENS if model.reasons else 0)
    if tools := session.get("tools") if settings.tools is None else settings.tools:
        fixed += round(tokens(orjson.dumps(tools).decode()) * TOOLS_SHARE)
        fixed += REASONING_TOOLS_TOKENS if model.reasons else 0
    text, audio = reading.of(response.counts.context, session.get("truncation"), fixed)
    text += fixed
    within = min(text + audio, before + CACHE_SLACK if before else 0)
    cached_text = min(text, within) // CACHE_UNIT * CACHE_UNIT
    cached_audio = min(audio, within - cached_text) // CACHE_UNIT * CACHE_UNIT
    made = output_tokens(response, model)
    reading.wrote(response, made)
    return Tokens(
        text=text - cached_text,
        cached_text=cached_text,
        audio=audio - cached_audio,
        cached_audio=cached_audio,
        text_out=made.text_out,
        thought=made.thought,
        audio_out=made.audio_out,
    )


def usage(tokens: Tokens, *, zero: bool) -> dict[str, object]:
    """The `usage` of a `response.done`, in wire order. `reasoning_tokens` of 0 are left out without `zero`."""
    text, audio = tokens.text + tokens.cached_text, tokens.audio + tokens.cached_audio
    written = tokens.text_out + tokens.thought
    details: dict[str, object] = {"text_tokens": written, "audio_tokens": tokens.audio_out}
    if tokens.thought or zero:
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


def output_tokens(response: Response, model: Model, segments: int = 0, runs: int = 0) -> Tokens:
    """The output tokens of a response so far, and of `segments` further texts in `runs` further runs: pieces and a
    constant for each message; arguments, name and a constant for each call."""
    counts, settings = response.counts, response.settings
    segments, runs = counts.segments + segments, counts.runs + runs
    messages = max(1, sum(item.kind == "message" for item in response.output))  # that each counts so is a guess
    written = 0
    if segments and settings.speaks:
        written += segments + 2 * runs + 4 * messages  # 11 of 11 of gpt-realtime
    elif segments:
        written += segments + (4 if model.reasons else 2) * messages  # 11 of 11 of gpt-realtime, 2 of 2 of 2.1
    written += sum(_call(item, model) for item in response.output if item.kind in ("call", "hosted", "request"))
    thought = 0
    if model.reasons:
        unasked = next((count for name, count in THOUGHT_UNASKED.items() if model.name.startswith(name)), 0)
        thought = THOUGHT.get(settings.effort, unasked)
    return Tokens(text_out=written, thought=thought, audio_out=round(counts.audio_seconds * 1000) // 50)


def _call(item: Item, model: Model) -> int:
    around = REASONED_CALL_TOKENS if model.reasons else CALL_TOKENS
    return tokens(item.arguments) + len(item.name.split("_")) + around


def _text_of(item: Item, model: Model) -> int:
    if item.kind in ("call", "request"):
        return _call(item, model)
    if item.kind == "hosted":  # as a call and its result: a guess
        return _call(item, model) + tokens(item.error.message if item.error else item.output) + RESULT_TOKENS
    if item.kind == "listing":  # the names alone: what descriptions and schemas count is unknown
        return sum(tokens(tool.name) for tool in item.tools) + ITEM_TOKENS
    if item.kind == "result":
        return tokens(item.output) + RESULT_TOKENS
    spoken = item.role == "user" and any(part.is_audio for part in item.parts)
    return SPOKEN_ITEM_TOKENS if spoken else ITEM_TOKENS + tokens(item.text)


def _changes(item: Item) -> bool:
    """Whether what the item counts still changes. A turn of the user is complete when it enters the conversation."""
    return item.status == "in_progress" and not (item.kind == "message" and item.role == "user")


def _audio_of(item: Item) -> int:
    """10 tokens a second of the user's audio, 20 of the assistant's."""
    return audio_tokens(item.heard_ms) + round(item.spoken_ms) // 50


def audio_tokens(heard_ms: float) -> int:
    """Audio tokens of a spoken turn of that many milliseconds."""
    return int(heard_ms) // 100


TRANSCRIBED_BY_TOKENS = ("gpt-4o-transcribe", "gpt-4o-mini-transcribe")
"""Prefixes of transcription models that count tokens; the others count seconds."""


def counts_tokens(transcriber: str) -> bool:
    """Whether a transcription model is billed by tokens."""
    return transcriber.startswith(TRANSCRIBED_BY_TOKENS)


def transcription_tokens(heard_ms: float, pieces: int) -> Tokens:
    """Input: 10 tokens a second of audio. Output: the deltas and two (2 of 2 recorded)."""
    return Tokens(audio=audio_tokens(heard_ms), text_out=pieces + 2)


def transcribed_seconds(heard_ms: float) -> int:
    """Whole seconds that a transcription model counts. Silence counts 0 (recorded: of 5.12 s)."""
    return -int(-heard_ms // 1000)  # 2.796 and 2.668 s both counted 3: that it rounds up is a guess


def transcription_usage(transcriber: str, heard_ms: float, pieces: int) -> dict[str, object]:
    """The `usage` of a transcript: tokens or whole seconds, by the model."""
    if not counts_tokens(transcriber):
        return {"type": "duration", "seconds": transcribed_seconds(heard_ms)}
    counted = transcription_tokens(heard_ms, pieces)
    return {
        "type": "tokens",
        "total_tokens": counted.audio + counted.text_out,
        "input_tokens": counted.audio,
        "input_token_details": {"text_tokens": 0, "audio_tokens": counted.audio},
        "output_tokens": counted.text_out,
    }
