"""The webhook of an incoming call, as the service's own client reads it."""

from __future__ import annotations

import base64
import json

import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from mockserver.calls.webhook import BadSecret, Webhook, incoming_call, key_of, secret_of, signature

SECRET = secret_of(bytes(range(32)))
CALL = incoming_call("evt_1", 1_750_000_000, "rtc_1", [("From", "sip:+14155550100@sip.example.com"), ("X-A", "b")])
WEBHOOK = Webhook("wh_1", CALL, SECRET)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> OpenAI:
    monkeypatch.setattr("time.time", lambda: 1_750_000_060.0)
    return OpenAI(api_key="sk-test", webhook_secret=SECRET)


def test_the_released_client_unwraps_it(client: OpenAI):
    event = client.webhooks.unwrap(WEBHOOK.body, WEBHOOK.headers(1_750_000_000))
    assert event.type == "realtime.call.incoming"
    assert (event.id, event.created_at, event.data.call_id) == ("evt_1", 1_750_000_000, "rtc_1")
    assert [(each.name, each.value) for each in event.data.sip_headers][1] == ("X-A", "b")


@pytest.mark.parametrize(
    ("unix", "secret", "body"),
    [
        pytest.param(1_749_999_000, None, CALL, id="too old"),
        pytest.param(1_750_000_000, secret_of(bytes(32)), CALL, id="signed with another secret"),
        pytest.param(1_750_000_000, None, CALL.replace(b"rtc_1", b"rtc_2"), id="another body"),
    ],
)
def test_the_released_client_refuses(client: OpenAI, unix: int, secret: str | None, body: bytes):
    with pytest.raises(InvalidWebhookSignatureError):
        client.webhooks.unwrap(body, WEBHOOK.headers(unix, secret=secret))


def test_a_retry_has_the_same_id_and_body_and_its_own_timestamp():
    first, second = WEBHOOK.headers(10), WEBHOOK.headers(15)
    assert first["webhook-id"] == second["webhook-id"] == "wh_1"
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("10", "15")
    assert first["webhook-signature"] != second["webhook-signature"]
    assert first["user-agent"].startswith("OpenAI/1.0 ")


def test_only_one_service_has_metadata():
    assert "metadata" not in json.loads(CALL)["data"]
    assert json.loads(incoming_call("evt_1", 1, "c", [], metadata=True))["data"]["metadata"] == {}


@pytest.mark.parametrize(
    "secret",
    ["", "abc", "whsec_", "whsec_????", "whsec_" + base64.b64encode(bytes(23)).decode(), secret_of(bytes(65))],
)
def test_a_bad_secret_is_refused_and_not_repeated(secret: str):
    with pytest.raises(BadSecret) as refused:
        signature(secret, "wh_1", 1, b"{}")
    assert secret in ("", "whsec_") or secret not in str(refused.value)


def test_a_secret_is_its_key_in_base64():
    assert key_of(SECRET) == bytes(range(32))
    assert SECRET not in repr(WEBHOOK)
