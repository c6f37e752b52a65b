"""The spans of a test, kept in memory."""

from __future__ import annotations

from typing import Any

import pytest


class Spans:
    """What `tracing` has made so far; skips the test without the extra `otel`."""

    def __init__(self, *, content: bool = False) -> None:
        pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        from replay.tracing.spans import Tracing

        self._kept = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracing = Tracing(provider, content=content)

    @property
    def ended(self) -> list[Any]:
        """The spans that are over, in the order of their end."""
        return list(self._kept.get_finished_spans())

    def one(self, name: str) -> Any:
        """The only span whose name has that first word."""
        (found,) = [each for each in self.ended if each.name.partition(" ")[0] == name]
        return found
