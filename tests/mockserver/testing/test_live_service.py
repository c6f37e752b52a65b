"""LiveService with a mock, or a few lines of a server, as the service."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from fractions import Fraction
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from mockserver.testing.live_service import REPLACED_KEY, LiveService
from mockserver.testing.mock_server import MockServer
from replay.relay.budget import Budget

KEY = "the-real-key"
NOW = datetime(2026, 7, 10, tzinfo=timezone.utc)
USAGE = {
    "input_token_details": {"text_tokens": 100, "audio_tokens": 0, "cached_tokens_details": {"text_tokens": 40}},
    "output_token_details": {"text_tokens": 10, "audio_tokens": 20},
}


def live(url: str, service: str = "xai", usd: str = "1") -> LiveService:
    return LiveService(service, url, KEY, Fraction(usd), NOW)


def dialled(service: LiveService, key: str = REPLACED_KEY) -> ClientConnection:
    return connect(service.ws_url, additional_headers={"Authorization": f"Bearer {key}"}, compression=None)


def until(ws: ClientConnection, type: str) -> dict[str, Any]:
    while (event := json.loads(ws.recv(timeout=10)))["type"] != type:
        pass
    return dict(event)


@contextmanager
def service_of(handler: Callable[[ServerConnection], None]) -> Iterator[str]:
    """A service by hand, and its address."""
    with serve(handler, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v1/realtime"
        finally:
            server.shutdown()
            thread.join(timeout=10)


def tokens_of(model: str) -> Callable[[ServerConnection], None]:
    def handler(ws: ServerConnection) -> None:
        ws.send(json.dumps({"type": "session.created", "session": {"model": model}}))
        ws.recv()
        ws.send(json.dumps({"type": "response.done", "response": {"id": "r", "status": "completed", "usage": USAGE}}))
        for _ in ws:
            pass

    return handler


def test_a_call_is_in_the_journal_and_costs_what_the_mock_says_it_does():
    with MockServer(pacing="burst", voice="tone", api_keys=[KEY]) as mock, live(mock.ws_url) as service:
        with dialled(service) as ws:
            ws.send('{"type": "response.create"}')
            until(ws, "response.done")
        service.assert_order("response.create", "response.done", "client (close)")
        assert service.ledger.audio_out_s == mock.ledger.audio_out_s > 0
        (log,) = service.sessions
        assert log.close_code == 1000
        assert service.sessions[0].sent() == mock.sessions[0].sent()
        assert service.spent_usd > 0


def test_a_refused_handshake_is_told():
    with MockServer(api_keys=["another"]) as mock, live(mock.ws_url) as service:
        with pytest.raises(InvalidStatus):
            dialled(service)
        (log,) = service.sessions
        assert log.close_reason.startswith("refused with HTTP 4")


def test_tokens_are_priced_as_the_service_tells_them():
    with service_of(tokens_of("gpt-realtime")) as url, live(url, "openai") as service, dialled(service) as ws:
        ws.send('{"type": "response.create"}')
        until(ws, "response.done")
        usd = (60 * Fraction("4") + 40 * Fraction("0.4") + 10 * Fraction("16") + 20 * Fraction("64")) / 1_000_000
        assert service.spent_usd == usd
        assert service.limit is None


@pytest.mark.parametrize("model", ["gpt-realtime", "unheard-of"])
def test_a_call_is_ended_when_the_budget_is_spent(model: str):
    with service_of(tokens_of(model)) as url, live(url, "openai", "0.001") as service:
        with dialled(service) as ws:
            ws.send('{"type": "response.create"}')
            with pytest.raises(ConnectionClosed):
                until(ws, "never")
        assert service.limit == "realtape: the limit of 0.001 USD is reached"
        with pytest.raises(InvalidStatus, match="429"):
            dialled(service)


def test_services_spend_a_shared_budget_together():
    """Each call costs 0.00156 USD: one fits into the budget, a second ends the calls of both services."""
    budget = Budget(Fraction("0.003"))
    with (
        service_of(tokens_of("gpt-realtime")) as url,
        LiveService("openai", url, KEY, budget, NOW) as first,
        LiveService("openai", url, KEY, budget, NOW) as second,
    ):
        with dialled(first) as ws:
            ws.send('{"type": "response.create"}')
            until(ws, "response.done")
        with dialled(first) as idle, dialled(second) as ws:
            ws.send('{"type": "response.create"}')
            with pytest.raises(ConnectionClosed):
                until(ws, "never")
            assert second.limit == "realtape: the limit of 0.003 USD is reached"
            idle.send('{"type": "response.create"}')
            with pytest.raises(ConnectionClosed):
                until(idle, "never")
        with pytest.raises(InvalidStatus, match="429"):
            dialled(first)
        assert first.limit == second.limit


def test_its_time_cannot_be_moved():
    with pytest.raises(RuntimeError, match="live=False"):
        live("ws://127.0.0.1:9/v1/realtime").advance(minutes=1)
