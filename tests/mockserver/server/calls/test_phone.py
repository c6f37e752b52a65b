"""Phone calls from ring to end, over loopback in virtual time: what the agent, the caller and the control plane see."""

from __future__ import annotations

import asyncio
import base64
import io
import ssl
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientConnectorCertificateError, ClientSession
from aiohttp.client_reqrep import ConnectionKey

from mockserver.audio.wav import wav_bytes
from mockserver.calls.caller import HangUp, Interrupt, Listen, Pause, Press, Speak
from mockserver.calls.webhook import Webhook, check_reach, secret_of
from mockserver.faults.fault_set import FaultSet
from mockserver.faults.files import parse as parse_faults
from mockserver.responders.scenario import Scenario
from mockserver.server.accounts import Accounts
from mockserver.server.calls import phone
from mockserver.server.calls.phone import Ring
from mockserver.server.calls.registry import TooManyCalls
from mockserver.server.calls.webhook_sender import Attempt, WebhookSender
from mockserver.server.clock import Clock
from mockserver.server.state.memory import MemoryState
from mockserver.server.virtual_time import virtual_time
from mockserver.testing.mock_server import MockServer
from replay.outlets import logger
from tests.mockserver.server.calls.phone_agent import Agent, Event

BOOKING = Scenario.parse("""
turns:
  - when: {says: cleaning}
    reply:
      - say: "Of course. There is Tuesday at nine, Wednesday at ten, Thursday at eleven, and Friday at noon. Which one?"
  - when: {says: Tuesday}
    reply:
      - call: {name: book_appointment, arguments: {day: Tuesday}}
  - when: {tool: book_appointment}
    reply:
      - say: "You are booked. Press nine for a person."
  - reply: [{say: "Pardon?"}]
""")
BOOK = {"type": "function", "name": "book_appointment", "parameters": {"type": "object", "properties": {}}}
Test = Callable[[MockServer, Agent], Awaitable[None]]


def on_the_phone(test: Test, **options: Any) -> Callable[[], None]:
    """Runs a test with a mock and an agent that listens."""

    @virtual_time
    async def run() -> None:
        given = {"scenario": BOOKING, "dialect": "openai", **options}
        async with MockServer(**given) as mock, ClientSession() as http, Agent(mock, http).listening() as agent:
            await test(mock, agent)

    return run


async def books(agent: Agent, event: Event) -> None:
    """What a booking agent does: it runs the tool, and hands over to a person when the caller presses 9."""
    if event["type"] == "response.function_call_arguments.done":
        item = {"type": "function_call_output", "call_id": event["call_id"], "output": '{"ok": true}'}
        await agent.send(type="conversation.item.create", item=item)
        await agent.send(type="response.create")
    if event["type"] == "input_audio_buffer.dtmf_event_received" and event["event"] == "9":
        await agent.ask("refer", {"target_uri": "tel:+14155550111"})


SILENT_WAV = base64.b64encode(wav_bytes(np.zeros(0, np.int16), 8000)).decode()


def test_no_phone_rings_in_a_namespace_that_ends_while_the_callers_words_are_spoken(monkeypatch):
    async def test(mock: MockServer, agent: Agent) -> None:
        def last_words(*given: object) -> Ring:
            mock._service.over = True
            return Ring(webhook=agent.url, webhook_secret=secret_of(bytes(32)))

        monkeypatch.setattr("mockserver.server.control.ring_body.parse", last_words)
        async with ClientSession() as http, http.post(f"{mock.control_url}/calls", json={}) as response:
            assert response.status == 404
        mock._service.over = False
        assert not mock._service.calls.listed

    on_the_phone(test)()


def loud(samples: Any) -> bool:
    return bool(np.abs(samples.astype(int)).max(initial=0) > 1000)


def test_a_call_that_books_is_interrupted_presses_a_key_and_is_handed_over():
    async def test(mock: MockServer, agent: Agent) -> None:
        agent.session, agent.on = {"tools": [BOOK]}, books
        call = mock.ring(
            script=["I would like a dental cleaning.", Interrupt(1.0), "On Tuesday, please.", Listen(), Press("9")],
            caller="+14155550123",
            headers={"X-Line": "reception", "Proxy-Authorization": "Digest of somebody"},
            webhook=agent.url,
        )
        assert call.status == "ringing"
        await call
        assert (call.status, call.transferred_to, call.hung_up_by) == ("referred", "tel:+14155550111", None)
        first, second = call.turns
        assert second.barge_in
        assert second.silent_s is not None
        assert second.silent_s - second.began_s < 0.5
        assert call.answers[0].startswith("Of course. There is Tuesday")
        assert not call.answers[0].endswith("Which one?")
        assert call.answers[1] == "You are booked. Press nine for a person."
        assert call.digits == "9"
        assert call.session is not None
        assert [turn.words for turn in call.session.heard] == [first.text, second.text]
        order = [each for each in agent.types if each in ORDER]
        assert order == ORDER
        await agent.finished()
        assert agent.closed == 1000
        assert agent.answers == [("accept", 200), ("refer", 200)]
        ((headers, hook),) = agent.hooks
        assert headers["user-agent"].startswith("OpenAI/1.0")
        assert hook["data"]["call_id"] == call.id
        sip = {each["name"]: each["value"] for each in hook["data"]["sip_headers"]}
        assert sip["From"].startswith("sip:+14155550123@")
        assert sip["X-Line"] == "reception"
        assert "Proxy-Authorization" not in sip
        assert loud(call.caller_audio[: 8000 * 4])
        assert loud(call.agent_audio)
        assert len(call.caller_audio) == len(call.agent_audio) == round(call.seconds * 8000)
        assert not [each for each in mock.findings if each.level == "error"]

    on_the_phone(test)()


ORDER = [
    *("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "output_audio_buffer.started"),
    *("input_audio_buffer.speech_started", "output_audio_buffer.cleared", "conversation.item.truncated"),
    *("input_audio_buffer.speech_stopped", "response.function_call_arguments.done", "output_audio_buffer.started"),
    *("output_audio_buffer.stopped", "input_audio_buffer.dtmf_event_received"),
]


def test_the_caller_hangs_up_into_the_answer():
    async def test(mock: MockServer, agent: Agent) -> None:
        call = await mock.ring(script=["A cleaning, please.", Interrupt(0.5), HangUp()], webhook=agent.url)
        assert (call.status, call.hung_up_by) == ("over", "caller")
        await agent.finished()
        assert agent.closed == 1000

    on_the_phone(test)()


def test_the_agent_hangs_up():
    async def test(mock: MockServer, agent: Agent) -> None:
        async def hangs_up(agent: Agent, event: Event) -> None:
            if event["type"] == "output_audio_buffer.stopped":
                await agent.ask("hangup")
                await agent.ask("hangup")

        agent.on = hangs_up
        call = await mock.ring("A cleaning, please.", webhook=agent.url)
        assert (call.status, call.hung_up_by) == ("over", "client")
        await agent.finished()
        assert agent.answers == [("accept", 200), ("hangup", 200), ("hangup", 404)]

    on_the_phone(test)()


def test_a_call_is_rejected_with_a_status():
    async def test(mock: MockServer, agent: Agent) -> None:
        agent.takes = ("reject", {"status_code": 486})
        call = await mock.ring("Hello.", webhook=agent.url)
        assert (call.status, call.sip_status, call.session) == ("rejected", 486, None)

    on_the_phone(test)()


def test_nobody_accepts():
    async def test(mock: MockServer, agent: Agent) -> None:
        agent.takes = "ignore"
        loop = asyncio.get_running_loop()
        began, call = loop.time(), mock.ring("Hello.", webhook=agent.url, answer_within=12.0)
        await call
        assert call.status == "unanswered"
        assert loop.time() - began == pytest.approx(12.0)
        assert await agent.ask("accept", {"type": "realtime"}) == 404

    on_the_phone(test)()


def test_the_caller_gives_up_while_it_rings():
    async def test(mock: MockServer, agent: Agent) -> None:
        agent.takes = "ignore"
        call = mock.ring("Hello.", webhook=agent.url)
        await asyncio.sleep(1.0)
        async with agent.http.delete(f"{mock.control_url}/calls/{call.id}") as response:
            assert response.status == 200
        await call
        assert call.status == "unanswered"
        assert await agent.ask("accept", {"type": "realtime"}) == 404

    on_the_phone(test)()


def test_a_test_hangs_up_for_the_caller():
    async def test(mock: MockServer, agent: Agent) -> None:
        call = mock.ring(script=[Pause(60.0)], webhook=agent.url)
        assert await call.accepted()
        await asyncio.sleep(3.0)
        call.hang_up()
        assert (await call).hung_up_by == "caller"
        assert call.seconds == pytest.approx(3.0, abs=0.05)
        agent.takes = "ignore"
        call = mock.ring("Hello.", webhook=agent.url)
        await asyncio.sleep(1.0)
        call.hang_up()
        assert (await call.accepted(), call.status) == (False, "unanswered")

    on_the_phone(test)()


def test_a_call_is_accepted_once():
    async def test(mock: MockServer, agent: Agent) -> None:
        call = mock.ring("A cleaning, please.", webhook=agent.url)
        assert await call.accepted()
        assert await agent.ask("accept", {"type": "realtime"}) == 404
        await call
        assert call.status == "over"

    on_the_phone(test)()


def test_the_line_is_busy_while_the_account_has_its_sessions():
    async def test(mock: MockServer, agent: Agent) -> None:
        first = mock.ring("A cleaning, please.", webhook=agent.url)
        await asyncio.sleep(1.0)
        second = await mock.ring("A cleaning, please.", webhook=agent.url)
        assert (first.status, second.status) == ("open", "busy")
        await first
        assert len(agent.hooks) == 1
        assert (await mock.ring(script=[HangUp()], webhook=agent.url)).status == "over"

    on_the_phone(test, max_sessions=1)()


def test_a_transfer_that_is_refused_leaves_the_caller_on_the_line():
    async def test(mock: MockServer, agent: Agent) -> None:
        agent.on = books
        call = await mock.ring(script=[Press("9"), Pause(1.0)], webhook=agent.url, transfer_status=486)
        assert (call.status, call.hung_up_by, call.transferred_to) == ("over", "caller", "")
        assert agent.answers[1][0] == "refer"
        assert agent.answers[1][1] >= 400

    on_the_phone(test)()


# --- The webhook ---


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (302, "redirects are not followed"),
        (401, "secret"),
        (404, "path"),
        (410, "not sent again"),
        (500, "see its log"),
    ],
)
def test_a_receiver_that_refuses_is_told_with_what_to_do(status: int, said: str):
    failure = Attempt(0.0, status).failure
    assert failure.startswith(f"HTTP {status}: ")
    assert said in failure
    assert "'forge'" in Attempt(0.0, 401, forged=True).failure


def test_a_receiver_that_is_down_is_tried_again():
    async def test(mock: MockServer, agent: Agent) -> None:
        call = await mock.ring("Hello.", webhook="http://127.0.0.1:1/calls/incoming")
        assert call.status == "unanswered"
        assert [round(each.at, 2) for each in call.webhooks] == [0.0, 5.0]
        assert all(each.status is None for each in call.webhooks)
        assert call.webhooks[0].failure.startswith("127.0.0.1:1 cannot be reached: ")

    on_the_phone(test)()


def test_a_receiver_that_fails_gets_the_same_webhook_again():
    async def test(mock: MockServer, agent: Agent) -> None:
        agent.statuses = [500, 200]
        call = await mock.ring(script=[HangUp()], webhook=agent.url)
        assert call.status == "over"
        assert [each.status for each in call.webhooks] == [500, 200]
        (first, body), (second, again) = agent.hooks
        assert first["webhook-id"] == second["webhook-id"]
        assert body == again

    on_the_phone(test)()


def test_a_receiver_that_is_gone_is_left_alone():
    async def test(mock: MockServer, agent: Agent) -> None:
        agent.statuses = [410]
        call = await mock.ring("Hello.", webhook=agent.url)
        assert (call.status, [each.status for each in call.webhooks]) == ("unanswered", [410])

    on_the_phone(test)()


def test_a_redirect_is_not_followed():
    async def test(mock: MockServer, agent: Agent) -> None:
        agent.statuses = [307]
        call = await mock.ring("Hello.", webhook=agent.url, answer_within=1.0)
        assert [each.status for each in call.webhooks] == [307]
        assert len(agent.hooks) == 1

    on_the_phone(test)()


def test_a_wrong_secret_is_noticed_by_the_receiver():
    async def test(mock: MockServer, agent: Agent) -> None:
        agent.secret = secret_of(bytes(32))
        call = await mock.ring("Hello.", webhook=agent.url)
        assert (call.status, agent.bad) == ("unanswered", 2)
        other = await mock.ring(script=[HangUp()], webhook=agent.url, webhook_secret=agent.secret)
        assert other.status == "over"

    on_the_phone(test)()


# --- Faults ---

FAULTS = {
    "{at: webhook, do: {slow: 3s}, times: 1}": ("over", [3.0], 1, 0),
    "{at: webhook, do: drop, times: 1}": ("over", [0.0, 5.0], 1, 0),
    "{at: webhook, do: duplicate, times: 1}": ("over", [0.0], 2, 0),
    "{at: webhook, do: forge, times: 1}": ("over", [0.0, 5.0], 2, 1),
    "{at: POST /v1/realtime/calls/*/accept, do: {status: 500}}": ("unanswered", [0.0], 1, 0),
    "{at: response.output_audio_transcript.delta, nth: 3, do: hang_up}": ("over", [0.0], 1, 0),
    '{at: response.output_audio_transcript.delta, nth: 3, do: {press: "0"}, times: 1}': ("over", [0.0], 1, 0),
    "{at: response.output_audio_transcript.delta, nth: 3, do: lose_sidebands, times: 1}": ("over", [0.0], 1, 0),
}
"""How the call ends, when webhooks are sent, how many come, and how many of these are wrongly signed."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_phone_call(fault: str):
    async def test(mock: MockServer, agent: Agent) -> None:
        call = await mock.ring("A cleaning, please.", webhook=agent.url)
        sent = [round(each.at, 2) for each in call.webhooks]
        assert (call.status, sent, len(agent.hooks), agent.bad) == FAULTS[fault]
        assert mock.faults[0].fired == 1
        assert "unverified-webhook" not in [finding.rule for finding in mock.findings]
        await agent.finished()
        assert agent.types.count("input_audio_buffer.dtmf_event_received") == ("press" in fault)
        if "lose_sidebands" in fault:
            assert agent.closed == 1006
            assert "output_audio_buffer.stopped" not in agent.types
            assert call.answers[0].endswith("Which one?")
        elif "transcript" in fault:
            assert agent.closed == 1000
            assert call.hung_up_by == "caller"
            assert call.answers == [] or "press" in fault

    on_the_phone(test, faults=list(parse_faults(fault).faults))()


# --- The control plane ---


def test_a_call_is_made_over_http():
    async def test(mock: MockServer, agent: Agent) -> None:
        body = {"text": ["A cleaning, please."], "digits": "1", "webhook": agent.url, "answer_within": "20s"}
        async with agent.http.post(f"{mock.control_url}/calls", json=body) as response:
            made = await response.json()
        assert (response.status, made["state"], made["phone"]["status"]) == (200, "ringing", "ringing")
        await asyncio.sleep(40)
        async with agent.http.get(f"{mock.control_url}/calls/{made['id']}") as response:
            over = await response.json()
        assert (over["state"], over["phone"]["hung_up_by"], over["phone"]["digits"]) == ("over", "caller", "1")
        assert [turn["text"] for turn in over["phone"]["turns"]] == ["A cleaning, please."]
        async with agent.http.get(f"{mock.control_url}/calls/{made['id']}/audio") as response:
            sound = wave.open(io.BytesIO(await response.read()))
        assert (sound.getnchannels(), sound.getframerate()) == (2, 8000)
        assert sound.getnframes() / 8000 == pytest.approx(over["phone"]["seconds"])

    on_the_phone(test)()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"webhook": "http://192.0.2.1/hook"}, "another machine"),
        ({"webhook": "ftp://127.0.0.1/hook"}, "no address of a webhook"),
        ({"webhook": "http://127.0.0.1:9/", "text": "a", "audio": "b"}, "leave out one"),
        ({"webhook": "http://127.0.0.1:9/", "script": [{"dtmf": "1"}]}, "did you mean 'press'?"),
        ({"webhook": "http://127.0.0.1:9/", "answer_within": 5}, "5 of what?"),
        ({"webhook": "http://127.0.0.1:9/", "webhook_secret": "whsec_nonsense"}, "this one has 6 bytes"),
        ({"webhook": "http://127.0.0.1:9/", "from": "hello world"}, "'hello world' is no number"),
        ({"webhook": "http://127.0.0.1:9/", "to": "sip:two words"}, "is no number"),
        ({"webhook": "http://127.0.0.1:9/", "headers": {"X-Line": "a\r\nFrom: b"}}, "no header of SIP"),
        ({"webhook": "http://127.0.0.1:9/", "text": ["Hello.", " "]}, "no words to say"),
        ({"webhook": "http://127.0.0.1:9/", "audio": SILENT_WAV}, "it holds no sound"),
        ({}, "announced nowhere"),
        ([], "a list"),
    ],
)
def test_a_call_that_cannot_be_made_says_why(body: Any, said: str):
    async def test(mock: MockServer, agent: Agent) -> None:
        async with agent.http.post(f"{mock.control_url}/calls", json=body) as response:
            assert (response.status, said in (await response.json())["error"]) == (400, True)
        async with agent.http.get(f"{mock.control_url}/calls") as response:
            assert await response.json() == []

    on_the_phone(test)()


def test_only_the_operator_names_another_machine():
    check_reach("http://localhost:8000/x", None)
    check_reach("https://agent.example/other", "https://agent.example/hook")
    for url in ("https://agent.example:444/x", "http://agent.example/x", "https://agent.example.evil/x"):
        with pytest.raises(ValueError, match="another machine"):
            check_reach(url, "https://agent.example/hook")


def test_no_secret_is_logged(caplog: pytest.LogCaptureFixture):
    async def test(mock: MockServer, agent: Agent) -> None:
        logger("realtape.test").warning("the secret is %s", mock.webhook_secret)
        agent.statuses = [500]
        call = await mock.ring("Hello.", webhook=agent.url)
        assert mock.webhook_secret not in repr(call) + repr(mock._service.options)

    on_the_phone(test)()
    assert "was not delivered: HTTP 500" in caplog.text
    assert "whsec_" not in caplog.text


# --- xAI ---


def test_a_number_of_ones_own_trunk_has_a_webhook_and_a_secret():
    async def test(mock: MockServer, agent: Agent) -> None:
        url, key = f"{mock.origin}/v2/phone-numbers", {"Authorization": f"Bearer {mock.api_key}"}
        asked: dict[str, Any] = {
            "origin": "byo_trunk",
            "name": "Support",
            "phone_number": "+18005550142",
            "webhook": {"name": "hook", "url": agent.url},
            "sip_auth": {"auth_username": "pbx", "auth_password": "only-once"},
        }
        async with agent.http.post(url, json=asked) as response:
            assert response.status in (400, 401)
        async with agent.http.post(url, json={**asked, "origin": "bought"}, headers=key) as response:
            assert response.status == 400
        async with agent.http.post(url, json=asked, headers=key) as response:
            made = await response.json()
            assert response.status == 200
        async with agent.http.post(url, json=asked, headers=key) as response:
            assert response.status == 409
        agent.secret = made["dispatch_signing_secret"]
        async with agent.http.get(url, headers=key) as response:
            (listed,) = (await response.json())["phone_numbers"]
        assert listed == {name: value for name, value in made.items() if name != "dispatch_signing_secret"}
        assert "only-once" not in str(listed)
        agent.takes = "ignore"
        call = mock.ring("Hello there.")
        await asyncio.sleep(0.5)
        assert len(call.id) == 36
        assert agent.hooks[0][1]["data"]["metadata"] == {}
        assert {"name": "To", "value": "+18005550142"} in agent.hooks[0][1]["data"]["sip_headers"]
        await agent.attend()
        await call
        assert (call.status, agent.bad) == ("over", 0)

    on_the_phone(test, dialect="xai", scenario=None)()


def test_what_callers_are_going_to_say_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(phone, "MOST_SCRIPT_BYTES", 40_000)
    sound = Speak(np.zeros(16_000, np.int16), "silence")

    async def test(mock: MockServer, agent: Agent) -> None:
        agent.takes = "ignore"
        first = mock.ring(script=[sound], webhook=agent.url, answer_within=1.0)
        with pytest.raises(TooManyCalls, match="40000 bytes"):
            mock.ring(script=[sound], webhook=agent.url)
        await first
        assert mock._service.calls.listed[0].known == ()
        assert (await mock.ring(script=[sound], webhook=agent.url, answer_within=1.0)).status == "unanswered"
        with pytest.raises(ValueError, match="more than 16384"):
            mock.ring(headers={"X": "x" * 20_000}, webhook=agent.url)

    on_the_phone(test)()


# --- What is kept, in a thread, and as files ---


def test_the_sound_of_all_calls_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(phone, "MOST_SOUND_BYTES", 16_000)  # one second of a call

    async def test(mock: MockServer, agent: Agent) -> None:
        first = await mock.ring(script=[Pause(0.6)], greeting=0, webhook=agent.url)
        assert len(first.caller_audio) == 4_800
        second = await mock.ring(script=[Pause(0.6)], greeting=0, webhook=agent.url)
        assert (len(first.caller_audio), len(second.caller_audio)) == (0, 4_800)
        third = await mock.ring(script=[Pause(1.5)], greeting=0, webhook=agent.url)
        assert third.seconds == pytest.approx(1.5)
        assert len(third.caller_audio) == len(third.agent_audio) == 8_000

    on_the_phone(test)()


def test_a_plain_with_has_calls_too(tmp_path: Path):
    with MockServer(dialect="openai") as mock:
        call = mock.ring("Hello.", webhook="http://127.0.0.1:1/", answer_within=0.05)
        assert call.wait(5.0).status == "unanswered"
        assert call.save(tmp_path / "call.wav").read_bytes()[:4] == b"RIFF"


def test_a_call_has_one_form():
    with MockServer(dialect="openai") as mock, pytest.raises(ValueError, match="give one of them"):
        mock.ring("Hello.", script=["Hello."])


async def test_a_certificate_that_is_refused_is_not_taken_for_a_receiver_without_tls(monkeypatch: pytest.MonkeyPatch):
    key = ConnectionKey("agent.example", 443, True, True, None, None, None)
    refusal = ClientConnectorCertificateError(key, ssl.SSLCertVerificationError("self-signed certificate"))

    def post(*arguments: object, **named: object) -> None:
        raise refusal

    monkeypatch.setattr(ClientSession, "post", post)
    sender = WebhookSender(Clock(), FaultSet(), MemoryState(Accounts(seed="0")))
    async with ClientSession() as http:
        tried = await sender._post(
            http, Webhook("wh_1", b"{}", secret_of(bytes(32))), "https://agent.example/hook", None
        )
    assert "agent.example:443 is refused" in tried.failure and "self-signed" in tried.failure
