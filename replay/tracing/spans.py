"""Spans of a session, in it one for each response, tool call and transcription. It needs the extra `otel`.

Names and attributes are those of the GenAI semantic conventions (in development, 2026), where they have any; others
begin with `realtape.`. Spans hold no words, arguments or results, unless they are asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import orjson
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, format_span_id, format_trace_id
from opentelemetry.trace import set_span_in_context as within
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import assert_never

from replay.cassette.json_text import Event
from replay.cassette.json_values import number_at, object_at, objects, text_at
from replay.outlets import clean
from replay.tracing.context import HEADERS
from replay.tracing.milestones import (
    MOST,
    ErrorCame,
    FirstOutput,
    Milestone,
    ResponseBegan,
    ResponseEnded,
    SessionNamed,
    ToolRan,
    Transcribed,
)
from replay.version import tool_version

Role = Literal["service", "relay"]
"""Whether a process answers a session, or passes it on."""
_PROVIDERS = {"xai": "x_ai", "openai": "openai", "azure": "azure.ai.openai"}
_W3C = TraceContextTextMapPropagator()
_MODALITIES = (("text", "text_tokens"), ("audio", "audio_tokens"), ("image", "image_tokens"))
MOST_ERRORS = 20
"""`error` events of a session that its span lists."""
LONGEST = 20_000
"""Characters of a text in a span."""


class Tracing:
    """Makes the spans of sessions. `provider`: a TracerProvider of the SDK. `content`: spans hold what was said, and
    the arguments and results of tools."""

    def __init__(self, provider: Any, *, content: bool = False) -> None:
        self._provider = provider
        self.tracer: Tracer = provider.get_tracer("realtape", tool_version())
        self.content = content

    def session(
        self,
        role: Role,
        opened: float,
        dialect: str,
        model: str | None,
        headers: Mapping[str, str],
        attributes: Mapping[str, str | int] | None = None,
    ) -> SessionSpans:
        """Begin the span of a session that opened at the Unix second `opened`. `headers`: those of the client's
        handshake, whose `traceparent` names the parent."""
        return SessionSpans(self, role, opened, dialect, model, headers, attributes or {})

    def close(self, wait_s: float) -> None:
        """Send what is left, for at most that long. A collector that does not answer is not waited for."""
        closing = threading.Thread(target=self._provider.shutdown, name="spans", daemon=True)
        closing.start()
        closing.join(wait_s)


class SessionSpans:
    """The spans of one session. Times are seconds since it opened."""

    def __init__(
        self,
        tracing: Tracing,
        role: Role,
        opened: float,
        dialect: str,
        model: str | None,
        headers: Mapping[str, str],
        attributes: Mapping[str, str | int],
    ) -> None:
        self._tracer, self._content = tracing.tracer, tracing.content
        self._opened_ns = round(opened * 1e9)
        self._model = model or ""
        vendor = dialect.partition("@")[0]
        self._known = {"gen_ai.provider.name": _PROVIDERS.get(vendor, vendor)}
        named = {"gen_ai.request.model": model} if model else {}
        about = {"gen_ai.operation.name": "realtime", "realtape.dialect": dialect, **named, **attributes}
        # A model runs in the process of the mock, and in another one than the relay's.
        self._kind = SpanKind.CLIENT if role == "relay" else SpanKind.INTERNAL
        parent = {name: headers[name] for name in HEADERS if name in headers}
        self._span: Span = self._tracer.start_span(
            f"realtime {self._model}".rstrip(),
            _W3C.extract(parent, Context()),
            kind=SpanKind.SERVER if role == "service" else SpanKind.CLIENT,
            attributes={**self._known, **about},
            start_time=self._opened_ns,
        )
        self._within = within(self._span, Context())
        self._responses: dict[str, tuple[Span, float]] = {}
        """Those that go on, and when they began."""
        self._errors = 0

    @property
    def trace_id(self) -> str:
        """In 32 hexadecimal digits."""
        return format_trace_id(self._span.get_span_context().trace_id)

    @property
    def span_id(self) -> str:
        """In 16 hexadecimal digits."""
        return format_span_id(self._span.get_span_context().span_id)

    def response_id(self, response: str) -> str:
        """The id of the span of a response that goes on, in 16 hexadecimal digits; empty for any other."""
        found = self._responses.get(response)
        return "" if found is None else format_span_id(found[0].get_span_context().span_id)

    def headers(self) -> dict[str, str]:
        """The headers by which a service that the session is passed on to joins the trace."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, self._within)
        return carrier

    def note(self, **attributes: str | int | float) -> None:
        """Add attributes to the span of the session. Two underscores stand for a dot."""
        self._span.set_attributes({name.replace("__", "."): value for name, value in attributes.items()})

    def closed(self, at: float, unfinished: Iterable[ToolRan] = (), error: str = "") -> None:
        """The session is over. `unfinished`: calls without a result. `error`: why it failed, as a word; empty if it did
        not."""
        for id in tuple(self._responses):
            self._cut_off(at, id)
        for call in unfinished:
            self._ran(at, call, "no_result")
        if error:
            _failed(self._span, error)
        self._span.end(self._ns(at))

    def _cut_off(self, at: float, id: str) -> None:
        """Nothing more will be known of a response."""
        span, _ = self._responses.pop(id)
        _failed(span, "cut_off")
        span.end(self._ns(at))

    def _ns(self, at: float) -> int:
        return self._opened_ns + round(at * 1e9)

    def take(self, at: float, milestone: Milestone) -> None:
        """Something happened in the session."""
        match milestone:
            case SessionNamed(session, conversation, model):
                named = {"realtape.session.id": session, "gen_ai.conversation.id": conversation}
                named["gen_ai.response.model"] = model
                self._span.set_attributes({name: value for name, value in named.items() if value})
            case ResponseBegan(id):
                about = {"gen_ai.response.id": id, **({"gen_ai.request.model": self._model} if self._model else {})}
                span = self._start(at, "chat", self._model, about, self._kind)
                if len(self._responses) >= MOST:
                    self._cut_off(at, next(iter(self._responses)))
                self._responses[id] = span, at
            case FirstOutput(response, audio):
                if (found := self._responses.get(response)) is not None:
                    span, began = found
                    span.set_attribute("gen_ai.response.time_to_first_chunk", at - began)
                    span.set_attribute("gen_ai.output.type", "speech" if audio else "text")
                    span.add_event("first audio" if audio else "first text", timestamp=self._ns(at))
            case ResponseEnded():
                if (found := self._responses.pop(milestone.id, None)) is not None:
                    self._ended(at, found[0], milestone)
            case ToolRan():
                self._ran(at, milestone, milestone.error)
            case Transcribed(item, began, error, usage):
                # The conventions have no name for it (October 2026).
                span = self._start(began, "transcription", "", {"realtape.item.id": item, **_usage(usage)}, self._kind)
                if error:
                    _failed(span, error)
                span.end(self._ns(at))
            case ErrorCame(code):
                self._errors += 1
                if self._errors <= MOST_ERRORS:
                    self._span.add_event("error", {"error.type": clean(code)[:100]}, self._ns(at))
            case _:
                assert_never(milestone)

    def _start(self, at: float, operation: str, subject: str, attributes: Mapping[str, Any], kind: SpanKind) -> Span:
        known = {**self._known, "gen_ai.operation.name": operation, **attributes}
        name = f"{operation} {subject}".rstrip()
        return self._tracer.start_span(name, self._within, kind=kind, attributes=known, start_time=self._ns(at))

    def _ended(self, at: float, span: Span, ended: ResponseEnded) -> None:
        span.set_attribute("gen_ai.response.finish_reasons", [ended.status])
        span.set_attributes(_usage(ended.usage))
        if ended.error:
            _failed(span, clean(ended.error)[:100])
        if self._content:
            asked = [{"role": "user", "parts": [_part(text)]} for text in ended.asked]
            parts = [part for item in ended.output for part in _said(item)]
            answer = [{"role": "assistant", "parts": parts, "finish_reason": ended.status}]
            if asked:
                span.set_attribute("gen_ai.input.messages", orjson.dumps(asked).decode())
            span.set_attribute("gen_ai.output.messages", orjson.dumps(answer).decode())
        span.end(self._ns(at))

    def _ran(self, at: float, call: ToolRan, error: str) -> None:
        about = {
            "gen_ai.tool.name": call.name,
            "gen_ai.tool.call.id": call.call_id,
            "gen_ai.tool.type": "extension" if call.hosted else "function",
        }
        if self._content:
            texts = {"gen_ai.tool.call.arguments": call.arguments, "gen_ai.tool.call.result": call.result}
            about |= {name: clean(text)[:LONGEST] for name, text in texts.items() if text}
        span = self._start(call.began, "execute_tool", call.name, about, SpanKind.INTERNAL)
        if error:
            _failed(span, error)
        span.end(self._ns(at))


def _usage(usage: Mapping[str, object]) -> dict[str, int]:
    """Tokens, as the conventions name them."""
    found: dict[str, float | None] = {}
    for way in ("input", "output"):
        found[f"gen_ai.usage.{way}_tokens"] = number_at(usage, f"{way}_tokens")
        details = object_at(usage, f"{way}_token_details")
        for modality, name in _MODALITIES:
            found[f"gen_ai.usage.{modality}.{way}_tokens"] = number_at(details, name)
    found["gen_ai.usage.cache_read.input_tokens"] = number_at(usage, "input_token_details", "cached_tokens")
    return {name: int(count) for name, count in found.items() if count is not None}


def _part(text: str) -> dict[str, object]:
    return {"type": "text", "content": clean(text)[:LONGEST]}


def _said(item: Event) -> Sequence[dict[str, object]]:
    """An item of a response as parts of a message."""
    if text_at(item, "type") == "function_call":
        arguments = clean(text_at(item, "arguments"))[:LONGEST]
        return [
            {"type": "tool_call", "id": text_at(item, "call_id"), "name": text_at(item, "name"), "arguments": arguments}
        ]
    texts = (text_at(part, "transcript") or text_at(part, "text") for part in objects(item.get("content")))
    return [_part(text) for text in texts if text]


def _failed(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)
