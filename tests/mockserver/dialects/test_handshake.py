from __future__ import annotations

import orjson
import pytest

from mockserver.dialects.handshake import Denied, HandshakeRequest, Refusal, Secret
from mockserver.dialects.names import DIALECT_NAMES
from mockserver.dialects.registry import SERVICES
from mockserver.dialects.xai.traits import TRAITS_2026_07

JULY, SEPTEMBER = SERVICES["xai@2026-07"].handshake, SERVICES["xai@2026-09"].handshake


def test_every_dialect_has_a_row():
    assert set(SERVICES) == set(DIALECT_NAMES)


@pytest.mark.parametrize("header", ["Bearer k-1", "bearer k-1", "  Bearer   k-1 "])
def test_a_key_comes_as_a_bearer(header: str):
    assert JULY.read(header, None, ()) == HandshakeRequest("k-1")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic azox", "k-1"])
def test_anything_else_is_no_credential(header: str | None):
    assert JULY.read(header, None, (("api_key", "k-1"), ("key", "k-1"))) == HandshakeRequest(None)


def test_a_browser_s_token_comes_as_a_subprotocol_which_is_echoed():
    asked = JULY.read(None, "realtime, xai-client-secret.abc", ())
    assert asked == HandshakeRequest("abc", subprotocol="xai-client-secret.abc")


def test_the_header_goes_before_the_subprotocol_but_that_is_echoed_all_the_same():
    assert JULY.read("Bearer k", "xai-client-secret.abc", ()) == HandshakeRequest(
        "k", subprotocol="xai-client-secret.abc"
    )


@pytest.mark.parametrize("offer", ["realtime", "realtime, openai-insecure-api-key.sk-1"])
def test_other_services_subprotocols_are_not_honoured(offer: str):
    assert JULY.read(None, offer, ()) == HandshakeRequest(None)


@pytest.mark.parametrize(
    "offer", ["", "a,,b", "xai-client-secret.", "xai-client-secret.a, xai-client-secret.b", "x," * 40]
)
def test_an_unreadable_offer_is_a_bad_request(offer: str):
    refusal = JULY.read("Bearer k", offer, ())
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400


def test_the_query_names_model_and_conversation():
    query = (("model", "grok-voice-latest"), ("conversation_id", "c-1"), ("reasoning.effort", "none"))
    assert JULY.read("Bearer k", None, query) == HandshakeRequest("k", None, "grok-voice-latest", "c-1")


@pytest.mark.parametrize(
    "query", [(("model", "a"), ("model", "b")), (("reasoning.effort", "medium"),), (("reasoning.effort", ""),)]
)
def test_a_malformed_query_is_a_bad_request(query: tuple[tuple[str, str], ...]):
    refusal = JULY.read("Bearer k", None, query)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400


@pytest.mark.parametrize(
    ("denied", "july", "september"),
    [
        (Denied("missing"), 401, 401),
        (Denied("wrong"), 401, 400),
        (Denied("blocked"), 403, 403),
        (Denied("rate", 7), 429, 429),
        (Denied("crowded", 1), 429, 429),
    ],
)
def test_refusals_have_their_status_in_each_date(denied: Denied, july: int, september: int):
    assert (JULY.refuse(denied).status, SEPTEMBER.refuse(denied).status) == (july, september)
    assert JULY.refuse(denied).retry_after_s == denied.retry_after_s


def test_a_wrong_key_in_september_reads_as_observed():
    body = SEPTEMBER.body(SEPTEMBER.refuse(Denied("wrong")))
    assert list(body) == ["code", "error"]
    assert body["code"] == "Client specified an invalid argument"
    assert str(body["error"]).startswith("Incorrect API key provided")


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b"", 600),
        (b"{}", 600),
        (b'{"expires_after": {"seconds": 300}}', 300),
        (b'{"expires_after": {"anchor": "created_at", "seconds": 1}}', 1),
        (b'{"session": {"type": "realtime"}, "expires_after": {"seconds": 3600}}', 3600),
    ],
)
def test_a_secret_lives_as_long_as_asked(body: bytes, seconds: int):
    assert JULY.lifetime(body, TRAITS_2026_07.limits) == seconds


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b"[]", 422),
        (b'{"expires_after": 300}', 422),
        (b'{"expires_after": {"seconds": "300"}}', 422),
        (b'{"expires_after": {"seconds": true}}', 422),
        (b'{"expires_after": {"seconds": 1.5}}', 422),
        (b'{"expires_after": {"seconds": 0}}', 400),
        (b'{"expires_after": {"seconds": 3601}}', 400),
        (b'{"session": 5}', 422),
        (b'{"session": {"instructions": 5}}', 400),
    ],
)
def test_a_bad_request_for_a_secret_is_refused(body: bytes, status: int):
    refusal = JULY.lifetime(body, TRAITS_2026_07.limits)
    assert isinstance(refusal, Refusal)
    assert refusal.status == status
    assert all(isinstance(value, str) for value in JULY.body(refusal).values())


def test_a_secret_s_answer_is_flat():
    answer = orjson.dumps(JULY.secret(Secret("xai-realtime-client-secret-x", 1_790_000_000)))
    assert answer == b'{"value":"xai-realtime-client-secret-x","expires_at":1790000000}'
