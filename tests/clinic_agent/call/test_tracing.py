"""The spans of a call, as an exporter gets them."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from clinic_agent.call import tracing
from clinic_agent.call.connection import CallFailed
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.call.tracing import export_spans
from clinic_agent.clinic.assistant import calling, clinic_assistant, run_call
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.config import Config
from tests.clinic_agent.app.test_telephone import PATIENT, telephone

TODAY = date(2026, 7, 1)
ONCE = RetryPolicy(attempts=1, resumptions=0)
CHECK = '{"service":"dental cleaning","date":"2026-07-06"}'


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """The spans that have ended, by name."""
    pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", lambda: provider.get_tracer("test"))
    return lambda: {span.name: span for span in exporter.get_finished_spans()}


async def answers(side) -> None:
    """The beginning of a spoken answer of a second."""
    await side.send("response.created", response={"id": "r", "object": "realtime.response"})
    delta = b64encode(b"\1\0" * 24_000).decode()
    await side.send("response.output_audio.delta", item_id="a", response_id="r", delta=delta)


async def service(side) -> None:
    """Looks free times up and offers them."""
    await side.greet()
    await side.until("response.create")
    await side.calls("check_availability", CHECK)
    await side.done()
    await side.until("response.create")
    await answers(side)
    await side.speaks("I have 09:30.", samples=0)
    await side.done(input_tokens=12, output_tokens=34)
    await side.hung_up()


async def test_a_call_is_a_span_with_its_responses_and_tools_in_it(serving, spans):
    async with serving(service) as config:
        report = await run_call(config, ["A cleaning?"], clinic_assistant(Clinic(TODAY)), priced_on=TODAY, retry=ONCE)
    ended = spans()
    call, tool = ended["invoke_agent clinic"], ended["execute_tool check_availability"]
    response = ended["chat grok-voice-think-fast-1.0"]
    assert {span.parent.span_id for span in (tool, response)} == {call.context.span_id}
    assert {span.context.trace_id for span in ended.values()} == {call.context.trace_id}
    assert call.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert call.attributes["gen_ai.provider.name"] == "x_ai"
    assert call.attributes["gen_ai.conversation.id"] == report.conversation_id
    assert call.attributes["server.address"] == "127.0.0.1"
    assert call.attributes["clinic.usd"] == pytest.approx(float(report.cost.usd or 0))
    assert call.attributes["clinic.audio_out_s"] == 1.0
    assert call.status.is_ok or call.status.is_unset
    assert tool.attributes["gen_ai.operation.name"] == "execute_tool"
    assert tool.attributes["gen_ai.tool.name"] == "check_availability"
    assert tool.attributes["gen_ai.tool.call.id"]
    assert response.attributes["gen_ai.operation.name"] == "chat"
    assert response.attributes["gen_ai.response.finish_reasons"] == ("completed",)
    assert response.attributes["gen_ai.usage.input_tokens"] == 12
    assert response.attributes["gen_ai.usage.output_tokens"] == 34
    assert [event.name for event in response.events] == ["first audio"]
    assert call.start_time <= tool.start_time <= tool.end_time <= call.end_time
    words = json.dumps([[dict(span.attributes), span.name] for span in ended.values()])
    assert not any(word in words for word in ("cleaning", "09:30", config.key))  # no words of the call


@pytest.mark.slow
def test_a_telephone_call_has_the_same_spans_and_is_named_by_its_id(spans, tmp_path: Path):
    made = telephone(tmp_path, "I would like a dental cleaning on July sixth.", *PATIENT)
    ended = spans()
    call, tool, response = (
        ended[name] for name in ("invoke_agent clinic", "execute_tool check_availability", "chat gpt-realtime-2.1")
    )
    assert {span.parent.span_id for span in (tool, response)} == {call.context.span_id}
    assert call.attributes["gen_ai.conversation.id"] == made.call.id
    assert call.attributes["gen_ai.provider.name"] == "openai"
    assert call.attributes["clinic.usd"] == pytest.approx(float(made.record.usd or 0), abs=1e-6)
    assert [event.name for event in response.events] == ["first audio"]


async def test_a_tool_that_fails_and_a_call_that_breaks_off_are_errors(serving, spans):
    async def breaks_off(side):
        await side.greet()
        await side.until("response.create")
        await side.calls("check_availability", CHECK)
        await side.done()
        await side.until("response.create")
        await answers(side)
        await side.socket.close(1011)

    async with serving(breaks_off) as config:
        assistant = clinic_assistant(Clinic(TODAY))
        async with calling(config, assistant, priced_on=TODAY, retry=ONCE, plays=False) as call:
            call.tools = assistant.tools.failing(["check_availability"])
            with pytest.raises(CallFailed):
                await call.say("A cleaning?")
    errors = {name: span.attributes["error.type"] for name, span in spans().items() if not span.status.is_ok}
    assert errors == {
        "execute_tool check_availability": "tool_error",
        "chat grok-voice-think-fast-1.0": "cut_off",
        "invoke_agent clinic": "call_failed",
    }


async def test_a_call_that_cannot_start_is_an_error(spans):
    nobody = Config("ws://127.0.0.1:1/v1/realtime", "http://127.0.0.1:1/v1", "key")
    with pytest.raises(CallFailed):
        await run_call(nobody, ["Hello"], clinic_assistant(Clinic(TODAY)), priced_on=TODAY, retry=ONCE)
    assert spans()["invoke_agent clinic"].attributes["error.type"] == "CallFailed"


async def test_without_the_extra_a_call_has_no_spans(serving, monkeypatch):
    monkeypatch.setattr(tracing, "_installed", lambda: False)
    async with serving(service) as config:
        report = await run_call(config, ["A cleaning?"], clinic_assistant(Clinic(TODAY)), priced_on=TODAY, retry=ONCE)
    assert report.failure is None


@pytest.mark.slow
def test_the_agent_imports_nothing_of_opentelemetry():
    code = (
        "import sys; import clinic_agent.cli; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_endpoint_without_the_extra_is_told(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ValueError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT is set.*pip install 'realtape\[otel\]'"):
        export_spans()


def test_without_an_endpoint_no_exporter_is_set_up(monkeypatch):
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    export_spans()
