"""OpenTelemetry spans of a call: one for the call, and in it one for each response and each tool that is run.

Names and attributes follow the GenAI semantic conventions (in development, 2026); the agent's own begin with `clinic.`.
Spans hold no words of a call and no arguments of tools. Without the extra `otel` there are no spans. They go where the
tracer provider of the process sends them, see `export_spans`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from clinic_agent.call.connection import CallTool, Watcher, unwatched
from clinic_agent.call.cost import Cost, hosted_call
from clinic_agent.call.turn import Event
from clinic_agent.config import Config
from clinic_agent.extras import install_command

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROVIDER = {"xai": "x_ai", "openai": "openai"}
"""The names of the services in the semantic conventions, by dialect."""
_LIVE = ("x.ai", "openai.com", "azure.com")
"""Ends of the live services' host names. They do not join a trace, so ids of it do not leave for them."""
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def export_spans() -> None:
    """Send the spans of this process to the endpoint of OTEL_EXPORTER_OTLP_ENDPOINT or
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT; nothing, if neither is set or the process has a tracer provider already.

    Raises ValueError, with the command that installs it, if the extra `otel` is missing.
    """
    endpoint = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
    if endpoint is None:
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as missing:
        raise ValueError(
            f"{endpoint} is set, but spans need the extra `otel`: {install_command('otel')}, or unset the variable"
        ) from missing
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return  # the program has chosen its own
    name = os.environ.get("OTEL_SERVICE_NAME", "clinic-agent")
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


@cache
def _installed() -> bool:
    """Whether the SDK is there. Other packages bring the API alone, and then nothing takes spans."""
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None


def _tracer() -> Tracer | None:
    return import_module("opentelemetry.trace").get_tracer("clinic_agent") if _installed() else None


def _propagator() -> TraceContextTextMapPropagator:
    module = import_module("opentelemetry.trace.propagation.tracecontext")
    made: TraceContextTextMapPropagator = module.TraceContextTextMapPropagator()
    return made


@contextmanager
def traced(config: Config) -> Iterator[CallTrace]:
    """The spans of the call that is made in the block."""
    trace = CallTrace(config)
    try:
        yield trace
    except BaseException as error:
        trace.end(None if isinstance(error, GeneratorExit | asyncio.CancelledError) else error)
        raise
    trace.end(None)


class CallTrace:
    """The spans of one call. Let `watch` see each frame, and run the tools of `tools`."""

    def __init__(self, config: Config) -> None:
        self._tracer = _tracer()
        self._responses: dict[str, Span] = {}
        self._speaking: set[str] = set()
        self._called: list[tuple[str, str, str]] = []  # name, arguments and id of calls that have not been run
        self.config = config
        """The endpoint; if it may know of the trace, with the headers by which it joins."""
        if self._tracer is None:
            return
        there = urlsplit(config.url)
        self._model = config.model
        self._provider = {"gen_ai.provider.name": _PROVIDER[config.dialect]}
        self._call = self._tracer.start_span(
            "invoke_agent clinic",
            attributes={
                **self._provider,
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": "clinic",
                "gen_ai.request.model": config.model,
                "gen_ai.output.type": "speech",
                "server.address": there.hostname or "",
                "server.port": there.port or (443 if there.scheme == "wss" else 80),
            },
        )
        self._within = import_module("opentelemetry.trace").set_span_in_context(self._call)
        if not (there.hostname or "").endswith(_LIVE):
            carrier: dict[str, str] = {}
            _propagator().inject(carrier, self._within)
            self.config = replace(config, trace=tuple(carrier.items()))

    @property
    def watch(self) -> Watcher:
        """The watcher of the call; one that does nothing, where there are no spans."""
        return unwatched if self._tracer is None else self._see

    def tools(self, call_tool: CallTool) -> CallTool:
        """The same tools, with a span for each that is run."""
        return call_tool if self._tracer is None else self._traced(call_tool)

    def conversation(self, conversation_id: str) -> None:
        """Name the conversation, where no event of the service does."""
        if self._tracer is not None:
            self._call.set_attribute("gen_ai.conversation.id", conversation_id)

    def result(self, cost: Cost, failure: str | None) -> None:
        """Take the cost of the whole call; `failure` says why it broke off, None: it did not."""
        if self._tracer is None:
            return
        self._call.set_attributes(
            {
                "gen_ai.response.model": cost.model,
                "clinic.audio_in_s": float(cost.input_s),
                "clinic.audio_out_s": float(cost.output_s),
                "clinic.text_items": cost.text_items,
            }
        )
        if cost.usd is not None:
            self._call.set_attribute("clinic.usd", float(cost.usd))
        if failure is not None:
            _failed(self._call, "call_failed")

    def end(self, error: BaseException | None) -> None:
        """The call is over; `error` is what it raised."""
        if self._tracer is None:
            return
        for span in self._responses.values():  # that were cut off
            _failed(span, "cut_off")
            span.end()
        if error is not None:
            _failed(self._call, type(error).__name__)
        self._call.end()

    def _see(self, way: Literal["sent", "received"], event: Event) -> None:
        match way, event:
            case "received", {"type": "conversation.created", "conversation": {"id": str(conversation)}}:
                self._call.set_attribute("gen_ai.conversation.id", conversation)
            case "received", {"type": "response.created", "response": {"id": str(response)}}:
                self._responses[response] = self._span(f"chat {self._model}", "chat", {"gen_ai.response.id": response})
            case "received", {
                "type": "response.output_audio.delta" | "output_audio_buffer.started",
                "response_id": str(response),
            }:
                if response in self._responses and response not in self._speaking:
                    self._speaking.add(response)
                    self._responses[response].add_event("first audio")
            case "received", {"type": "response.function_call_arguments.done", "call_id": call_id, "name": name}:
                if hosted_call(event) is None:
                    self._called.append((str(name), str(event.get("arguments", "")), str(call_id)))
            case "received", {"type": "response.done", "response": {"id": str(response)}}:
                self._speaking.discard(response)
                if (span := self._responses.pop(response, None)) is not None:
                    _done(span, event)
            case "received", {"type": "error"}:
                self._call.add_event("error of the service")
            case _:
                pass

    def _span(self, name: str, operation: str, attributes: Mapping[str, str]) -> Span:
        assert self._tracer is not None
        known = {**self._provider, "gen_ai.operation.name": operation, **attributes}
        if operation == "chat":
            known |= {"gen_ai.request.model": self._model, "gen_ai.output.type": "speech"}
        return self._tracer.start_span(name, self._within, attributes=known)

    def _traced(self, call_tool: CallTool) -> Callable[[str, str], dict[str, Any]]:
        def run(name: str, arguments: str) -> dict[str, Any]:
            call_id = self._taken(name, arguments)
            about = {"gen_ai.tool.name": name, "gen_ai.tool.type": "function", "gen_ai.tool.call.id": call_id}
            span = self._span(f"execute_tool {name}", "execute_tool", about)
            try:
                result = call_tool(name, arguments)
                if "error" in result:
                    _failed(span, "tool_error")
                return result
            finally:
                span.end()

        return run

    def _taken(self, name: str, arguments: str) -> str:
        """The id of the oldest call with these arguments that has not been run."""
        for each in self._called:
            if each[:2] == (name, arguments):
                self._called.remove(each)
                return each[2]
        return ""


def _done(span: Span, event: Event) -> None:
    response = event["response"]
    status, usage = str(response.get("status", "completed")), event.get("usage") or response.get("usage") or {}
    span.set_attribute("gen_ai.response.finish_reasons", [status])
    for name in ("input_tokens", "output_tokens"):
        if isinstance(usage.get(name), int):
            span.set_attribute(f"gen_ai.usage.{name}", usage[name])
    if status == "failed":
        _failed(span, "failed")
    span.end()


def _failed(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(import_module("opentelemetry.trace").StatusCode.ERROR)
