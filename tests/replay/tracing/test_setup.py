"""Which variables of OpenTelemetry have realtape make spans."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest

from replay.tracing.setup import tracing_of
from replay.version import install_command

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def theirs() -> Iterator[None]:
    """The logger of OpenTelemetry is as before."""
    found = logging.getLogger("opentelemetry")  # noqa: TID251  # not one of realtape's
    before, propagate = list(found.handlers), found.propagate
    yield
    found.handlers[:], found.propagate = before, propagate


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE},
    ],
)
def test_without_an_exporter_nothing_is_loaded_or_said(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "replay.tracing.spans", None)
    said: list[str] = []
    assert tracing_of(environment, "x", said.append) is None
    assert said == []


def test_without_the_extra_one_line_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    said: list[str] = []
    assert tracing_of({"OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE}, "x", said.append) is None
    (line,) = said
    assert line.startswith("OTEL_EXPORTER_OTLP_ENDPOINT is set, but")
    assert f"spans need the extra 'otel': {install_command('otel')}." in line


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER=zipkin"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
    ],
)
def test_what_is_not_supported_is_named(environment: dict[str, str], names: str):
    said: list[str] = []
    assert tracing_of(environment, "x", said.append) is None
    (line,) = said
    assert names in line


def test_a_collector_that_is_gone_is_told_once(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", NOWHERE)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    said: list[str] = []
    tracing = tracing_of({"OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE}, "x", said.append)
    assert tracing is not None
    for _ in range(3):
        tracing.session("service", 1.0, "xai@2026-10", "m", {}).closed(1.0)
    tracing.close(10.0)
    logging.getLogger("opentelemetry.sdk.trace").warning("again")  # noqa: TID251  # likewise
    (line,) = said
    assert "spans cannot be sent" in line
