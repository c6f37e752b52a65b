"""Spans by the environment: the variables of OpenTelemetry say whether there are any, and where they go."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from replay.outlets import clean, logger
from replay.version import install_command

if TYPE_CHECKING:
    from replay.tracing.spans import Tracing

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTERS = "OTEL_TRACES_EXPORTER"
_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
CLOSE_S = 2.0
"""Seconds that the last spans may take on their way, at the end of a process."""


def tracing_of(environment: Mapping[str, str], name: str, warn: Callable[[str], None]) -> Tracing | None:
    """What makes spans, if OTEL_TRACES_EXPORTER or an endpoint of OTLP is set; else None, and nothing is loaded.

    `name`: that of the service, unless the environment has one. `warn`: called with a line if what is set cannot be
    used, and once if spans cannot be sent.
    """
    endpoint = next((each for each in _ENDPOINTS if environment.get(each)), None)
    wanted = environment.get(_EXPORTERS, "").strip() or ("otlp" if endpoint else "none")
    if wanted == "none" or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    cause = endpoint if endpoint and not environment.get(_EXPORTERS) else f"{_EXPORTERS}={wanted}"
    try:
        exporters = [_exporter(each.strip(), environment) for each in wanted.split(",")]
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from replay.tracing.spans import Tracing
    except ImportError:
        warn(f"{cause} is set, but spans need the extra 'otel': {install_command('otel')}. No spans are sent")
        return None
    except ValueError as problem:
        warn(f"{problem}. No spans are sent")
        return None
    _tell_once(warn)
    named = "OTEL_SERVICE_NAME" in environment or "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    about: dict[str, str | int] = {"process.pid": os.getpid(), **({} if named else {SERVICE_NAME: name})}
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))  # has a thread of its own
    content = environment.get(_CONTENT, "").strip().lower() in ("true", "span_only", "span_and_event")
    return Tracing(provider, content=content)


def _exporter(kind: str, environment: Mapping[str, str]) -> Any:
    """Raises ImportError without the extra, ValueError for a kind or a protocol that is not there."""
    if kind == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter(out=sys.stderr)  # stdout has the ready line
    if kind != "otlp":
        raise ValueError(f"{_EXPORTERS}={kind} is not supported: set it to otlp, console or none")
    protocol = next((environment[each] for each in _PROTOCOLS if environment.get(each)), "http/protobuf")
    if protocol != "http/protobuf":
        raise ValueError(f"OTLP over {protocol} is not supported: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _tell_once(warn: Callable[[str], None]) -> None:
    """Say once that spans cannot be sent, instead of each time that the SDK notices."""

    class Told(logging.Handler):
        told = False

        def emit(self, record: logging.LogRecord) -> None:
            if not self.told:
                self.told = True
                why = clean(record.getMessage())[:200]
                warn(f"spans cannot be sent, and are dropped; sessions go on. Is the collector up? {why}")

    theirs = logger("opentelemetry")
    theirs.handlers[:] = [Told(logging.WARNING)]
    theirs.propagate = False
