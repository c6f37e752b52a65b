"""The signature of webhooks, compared with the one that another library checks."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from openai import OpenAI

from clinic_agent.app.settings import settings_from
from clinic_agent.app.webhook import BadWebhook, signing_keys, verify
from clinic_agent.config import ConfigError

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
NOW = 1_780_000_000.0
BODY = b'{"type": "realtime.call.incoming"}'


def signed(webhook_id: str = "wh_1", at: float = NOW, body: bytes = BODY, key: bytes = KEY) -> dict[str, str]:
    made = hmac.new(key, f"{webhook_id}.{at:.0f}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(made).decode()}"
    return {"webhook-id": webhook_id, "webhook-timestamp": f"{at:.0f}", "webhook-signature": signature}


def test_the_clinic_and_openais_library_take_the_same_signature():
    headers = signed()
    OpenAI(api_key="any").webhooks.verify_signature(BODY.decode(), headers, secret=SECRET, tolerance=10**10)
    assert verify(signing_keys(SECRET), headers, BODY, NOW) == "wh_1"


@pytest.mark.parametrize(
    ("headers", "status", "why"),
    [
        ({}, 400, "not signed"),
        (signed(at=NOW - 301), 400, "301 s off"),
        (signed(at=NOW + 301), 400, "301 s off"),
        (signed() | {"webhook-timestamp": "now"}, 400, "Unix seconds"),
        (signed(key=b"another key, which is long"), 401, "no signature"),
        (signed() | {"webhook-id": "wh_2"}, 401, "no signature"),
        (signed() | {"webhook-timestamp": f"{NOW + 1:.0f}"}, 401, "no signature"),
        (signed(body=b"{}"), 401, "no signature"),
        (signed() | {"webhook-signature": signed()["webhook-signature"].replace("v1,", "v1a,")}, 401, "no signature"),
    ],
)
def test_what_does_not_prove_its_sender_is_refused(headers: dict[str, str], status: int, why: str):
    with pytest.raises(BadWebhook, match=why) as refused:
        verify([KEY], headers, BODY, NOW)
    assert refused.value.status == status


def test_one_of_several_signatures_and_secrets_suffices():
    headers = signed() | {"webhook-signature": f"v1,AAAA v2,x {signed()['webhook-signature']}"}
    secrets = f"{'whsec_' + base64.b64encode(bytes(24)).decode()}, {SECRET}"
    keys = settings_from({"XAI_API_KEY": "k", "CLINIC_WEBHOOK_SECRET": secrets}).webhook_keys
    assert verify(keys, headers, BODY, NOW) == "wh_1"


@pytest.mark.parametrize("secret", ["whsec_not base64", "whsec_AAAA", "s3cret"])
def test_an_unusable_secret_is_refused_at_the_start_without_being_shown(secret: str):
    with pytest.raises(ConfigError, match="copy the whole signing secret") as refused:
        settings_from({"XAI_API_KEY": "k", "CLINIC_WEBHOOK_SECRET": secret})
    assert secret not in str(refused.value)
    with pytest.raises(ConfigError, match="sip: or tel:"):
        settings_from({"XAI_API_KEY": "k", "CLINIC_HANDOVER_URI": "https://example.org"})
