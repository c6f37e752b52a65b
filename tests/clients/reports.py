"""What a client in another process reports, held against what the mock saw."""

from __future__ import annotations

from typing import Any

import pytest

from mockserver.testing.mock_server import MockServer
from tests.clients.steps import NAMES, Steps


def check_report(report: dict[str, Any], mock: MockServer, steps: Steps, closes: int = 1000) -> None:
    """`report` is `{steps, usage, problems}` of a driver in JavaScript. Fails with what it found wrong.

    `closes` is the code with which the client closes: 1005 when its closing frame has none.
    """
    for name in NAMES[: NAMES.index("ledger")]:
        with steps(name):
            assert report["steps"].get(name, "not reached") == "ok"
    assert report["problems"] == []
    assert close_codes(mock) == [closes, closes], close_codes(mock)
    with steps("ledger"):
        check_usage(report["usage"], mock)


def close_codes(mock: MockServer) -> list[int | None]:
    """How each connection ended. A client may be told of that before the mock has written it down."""
    for _ in range(1000):
        if all(session.close_code is not None for session in mock.sessions):
            break
        mock.advance(ms=0)
    return [session.close_code for session in mock.sessions]


def check_usage(usage: list[dict[str, Any]], mock: MockServer) -> None:
    """The `usage` of every response of the first session against what the mock charges for it."""
    ledger = mock.sessions[0].ledger
    if not ledger.tokens:
        assert sum(each["output_audio_seconds"] for each in usage) == pytest.approx(float(ledger.audio_out_s))
        return
    (spent,) = (tokens for model, tokens in ledger.tokens.items() if model.startswith("gpt-realtime"))
    read = spent.text + spent.cached_text + spent.audio + spent.cached_audio
    assert sum(each["input_tokens"] for each in usage) == read
    assert sum(each["output_tokens"] for each in usage) == spent.text_out + spent.thought + spent.audio_out
