"""What a bridge answers to its webhook, and how both companies sign what they ask."""

from __future__ import annotations

import pytest

from mockserver.dial.answer import NoStream, absolute_url, dialled_url, read_answer
from mockserver.dial.signatures import plivo_signature, twilio_signature


def test_twiml_names_the_stream_and_its_parameters():
    answer = read_answer(
        """\ufeff<?xml version="1.0" encoding="UTF-8"?><Response><Say voice="x">Please wait.</Say><Pause length="1"/>
        <Connect><Stream url="wss://bridge.example/media"><Parameter name="clinic" value="north"/></Stream></Connect>
        </Response>""",
        "twilio",
    )
    assert (answer.url, answer.parameters) == ("wss://bridge.example/media", {"clinic": "north"})
    assert answer.skipped == ('<Say> says: "Please wait."', "<Pause> pauses 1 s") and not answer.one_way


def test_plivo_s_xml_names_the_stream_its_format_and_its_headers():
    answer = read_answer(
        """<Response><Stream bidirectional="true" keepCallAlive="true" contentType="audio/x-mulaw;rate=8000"
        extraHeaders="user=7,tier=gold"> wss://bridge.example/ws?body=eyJh </Stream></Response>""",
        "plivo",
    )
    assert answer.url == "wss://bridge.example/ws?body=eyJh" and not answer.one_way
    assert (answer.content_type, answer.extra_headers) == ("audio/x-mulaw;rate=8000", "user=7,tier=gold")


@pytest.mark.parametrize(
    ("provider", "text"),
    [
        ("twilio", '<Response><Start><Stream url="wss://b.example"/></Start></Response>'),
        ("plivo", "<Response><Stream>wss://b.example</Stream></Response>"),
    ],
)
def test_a_stream_may_be_one_way(provider: str, text: str):
    assert read_answer(text, provider).one_way


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"detail": "Not Found"}', "no XML"),
        ("<html/>", "root is <html>"),
        ("<Response><Say>Bye</Say></Response>", "has no stream"),
        ("<Response><Connect><Room>x</Room></Connect></Response>", "has no <Stream>"),
        ("<Response><Connect><Stream/></Connect></Response>", "has no url"),
        ('<Response><Connect><Stream url="wss://b.example/m?x=1"/></Connect></Response>', "has a query"),
        ("<Response><Dial>+12025550143</Dial></Response>", "has <Dial> before any stream"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><Response/>', "DOCTYPE"),
        (f"<Response>{' ' * 100_000}</Response>", "more than 100000"),
    ],
)
def test_an_answer_without_a_stream_says_what_to_do(text: str, why: str):
    with pytest.raises(NoStream, match=why):
        read_answer(text, "twilio")


def test_an_answer_of_the_other_company_is_told():
    with pytest.raises(NoStream, match="--as twilio"):
        read_answer('<Response><Connect><Stream url="wss://b.example"/></Connect></Response>', "plivo")


@pytest.mark.parametrize(
    ("url", "webhook", "absolute"),
    [
        ("/media", "https://b.example/in?x=1", "wss://b.example/media"),
        ("media", "http://b.example/calls/in", "ws://b.example/calls/media"),
        ("wss://c.example/media", "https://b.example/in", "wss://c.example/media"),
    ],
)
def test_a_stream_s_address_may_be_relative_to_the_webhook(url: str, webhook: str, absolute: str):
    assert absolute_url(url, webhook) == absolute


@pytest.mark.parametrize(
    ("url", "public", "dialled"),
    [
        ("wss://127.0.0.1/media", None, "ws://127.0.0.1:5050/media"),  # the host name without its port
        ("wss://127.0.0.1:5050/media?a=1", None, "ws://127.0.0.1:5050/media?a=1"),
        ("ws://127.0.0.1:6060/media", None, "ws://127.0.0.1:6060/media"),
        ("wss://tunnel.example/media", "https://tunnel.example", "ws://127.0.0.1:5050/media"),
        ("wss://elsewhere.example/media", "https://tunnel.example", "wss://elsewhere.example/media"),
    ],
)
def test_a_public_address_is_dialled_where_the_bridge_runs(url: str, public: str | None, dialled: str):
    assert dialled_url(url, "http://127.0.0.1:5050/incoming-call", public) == dialled


def test_signatures_are_those_that_the_companies_own_packages_accept():
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
        "Caller": "+14158675309",
    }
    signed = twilio_signature("https://mycompany.com/myapp.php?foo=1&bar=2", form, "12345")
    assert signed == "RSOYDt4T1cUTdK1PDd93/VVr8B8="  # the example of twilio's packages
    url, posted = "https://a.example/answer?x=2&a=1", {"From": "1", "CallUUID": "abc"}
    signed = plivo_signature("POST", url, posted, "nonce", "token")
    assert signed == "IcGgKeIZqkWEkdjxJhujMkHPmPoeLyBjHXrN+h9/Cq8="  # accepted by plivo's package, 4.59
