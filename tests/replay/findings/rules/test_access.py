from __future__ import annotations

from collections.abc import Iterable

import pytest

from replay.cassette.frames import Text
from replay.findings import Finding, Levels
from replay.findings.call import Handshake
from replay.findings.handshake import browser_call, handshake
from replay.findings.watch import Watch, Watcher
from tests.live_messages import received, sent

KEY = ("Authorization", "Bearer xai-secret")
XAI = [("model", "grok-voice-think-fast-2.0")]


def knock(
    watcher: Watcher,
    query: Iterable[tuple[str, str]] = XAI,
    headers: Iterable[tuple[str, str]] = (KEY,),
    now: float = 0.0,
) -> Watch:
    return watcher.open("s", "xai", handshake(query, headers), now=now)


def found(watcher: Watcher) -> list[str]:
    return [finding.rule for finding in watcher.findings]


def alone(query: Iterable[tuple[str, str]] = XAI, headers: Iterable[tuple[str, str]] = (KEY,)) -> list[Finding]:
    watcher = Watcher(Levels())
    knock(watcher, query, headers)
    return list(watcher.findings)


def test_a_pinned_model_and_a_key_in_the_header_are_fine():
    assert alone() == []


def test_an_alias_is_remarked():
    (remark,) = alone([("model", "grok-voice-latest")])
    assert (remark.rule, remark.level, remark.frame) == ("latest-model", "warn", None)


@pytest.mark.parametrize("name", ["api_key", "key", "token", "access_token", "Authorization", "apikey", "x-api-key"])
def test_a_key_in_the_query_is_found_and_not_repeated(name: str):
    (error,) = alone([*XAI, (name, "xai-secret")], ())
    assert error.rule == "key-in-query"
    assert name in error.message and "xai-secret" not in str(error)


@pytest.mark.parametrize(
    "name", ["model", "conversation_id", "call_id", "agent_id", "intent", "reasoning.effort", "keyterms"]
)
def test_the_queries_of_the_services_hold_no_key(name: str):
    assert alone([(name, "x")]) == []


@pytest.mark.parametrize("offer", ["xai-client-secret.xai-abc", "realtime, openai-insecure-api-key.sk-abc"])
def test_an_api_key_in_a_browser_is_found(offer: str):
    (error,) = alone(XAI, [("Origin", "https://shop.example"), ("Sec-WebSocket-Protocol", offer)])
    assert error.rule == "key-in-browser"
    assert "https://shop.example" in error.message and "client_secrets" in error.fix and "abc" not in str(error)


@pytest.mark.parametrize(
    "offer",
    [
        "xai-client-secret.xai-realtime-client-secret-abc",
        "realtime, openai-insecure-api-key.ek_abc",
        "xai-client-secret.<scrubbed:client-secret>",
    ],
)
def test_a_client_secret_in_a_browser_is_fine(offer: str):
    assert alone(XAI, [("Origin", "https://shop.example"), ("Sec-WebSocket-Protocol", offer)]) == []


def test_clients_that_only_say_an_origin_are_no_browsers():
    assert alone(XAI, [KEY, ("Origin", "http://127.0.0.1:8765")]) == []


def test_a_page_that_asks_for_a_secret_with_its_key_is_found():
    watcher = Watcher(Levels())
    watcher.browser_call(browser_call([KEY]), 3.0)
    assert found(watcher) == []
    watcher.browser_call(browser_call([KEY, ("Origin", "https://shop.example")]), 3.0)
    assert found(watcher) == ["key-in-browser"]


def test_the_header_of_the_beta_is_remarked():
    (remark,) = alone(XAI, [KEY, ("OpenAI-Beta", "realtime=v1")])
    assert remark.rule == "beta-header" and "realtime=v1" in remark.message


@pytest.mark.parametrize(
    ("retry_after", "waited", "rules"),
    [(2, 1.0, ["no-backoff"]), (2, 2.5, []), (None, 0.1, ["no-backoff"]), (None, 0.6, [])],
)
def test_a_client_that_was_refused_waits_before_it_comes_again(
    retry_after: float | None, waited: float, rules: list[str]
):
    watcher = Watcher(Levels())
    watcher.refused("xai", handshake(XAI, [KEY]), 10.0, 429, retry_after)
    knock(watcher, now=10.0 + waited)
    watcher.ended()
    assert found(watcher) == rules


def test_a_client_that_never_comes_again_is_remarked():
    watcher = Watcher(Levels())
    watcher.refused("xai", handshake(XAI, [KEY]), 10.0, 429, 2)
    watcher.refused("xai", handshake(XAI, [("Authorization", "Bearer other")]), 12.0, 429, None)
    watcher.ended()
    assert found(watcher) == ["no-retry", "no-retry"]
    assert [(each.at, each.as_json()["session"]) for each in watcher.findings] == [(10.0, None), (12.0, None)]


def test_a_client_that_tried_again_and_was_turned_away_again_did_what_it_could():
    watcher = Watcher(Levels())
    for at in (10.0, 12.0):
        watcher.refused("xai", handshake(XAI, [KEY]), at, 429, 2)
    watcher.ended()
    assert found(watcher) == []


@pytest.mark.parametrize("status", [401, 403, 500])
def test_other_refusals_are_not_a_matter_of_waiting(status: int):
    watcher = Watcher(Levels())
    watcher.refused("xai", handshake(XAI, [KEY]), 10.0, status, None)
    knock(watcher, now=10.01)
    watcher.ended()
    assert found(watcher) == []


def test_another_client_need_not_wait():
    watcher = Watcher(Levels())
    watcher.refused("xai", handshake(XAI, [KEY]), 10.0, 429, 2)
    knock(watcher, headers=[("Authorization", "Bearer other")], now=10.1)
    assert found(watcher) == []


def test_openai_says_that_it_has_enough_on_an_open_socket():
    watcher = Watcher(Levels())
    watch = watcher.open("s", "openai", Handshake(who="k"))
    received(
        watch, 0.0, Text(b'{"type":"error","error":{"code":"rate_limit_exceeded","message":"Rate limit reached"}}')
    )
    watch.closed(0.1)
    watcher.open("t", "openai", Handshake(who="k"), now=0.2)
    assert found(watcher) == ["no-backoff"]


def turn(watcher: Watcher, now: float, responses: int = 1, lost: bool = False, **query: str) -> None:
    """A connection of three seconds."""
    watch = knock(watcher, [*XAI, *query.items()], now=now)
    received(watch, 0.0, Text(b'{"type":"conversation.created","conversation":{"id":"c"}}'))
    for _ in range(responses):
        received(watch, 1.0, Text(b'{"type":"response.created","response":{"id":"r"}}'))
        received(watch, 2.0, Text(b'{"type":"response.done","response":{"id":"r"}}'))
    if not lost:
        watch.hung_up()
    watch.closed(3.0)


def test_a_connection_for_each_turn_is_found_at_the_third():
    watcher = Watcher(Levels())
    turn(watcher, 0.0)
    turn(watcher, 5.0, conversation_id="c")
    assert found(watcher) == []
    turn(watcher, 10.0, conversation_id="c")
    (error,) = watcher.findings
    assert error.rule == "reconnecting" and "stale snapshot" in error.message


def test_a_line_that_is_lost_again_and_again_is_not_the_client_s_doing():
    watcher = Watcher(Levels())
    turn(watcher, 0.0, lost=True)
    for number in range(1, 5):
        turn(watcher, number * 5.0, lost=True, conversation_id="c")
    assert found(watcher) == []


def test_a_client_that_gives_up_on_an_answer_which_does_not_come_is_no_mistake():
    watcher = Watcher(Levels())
    for number in range(5):
        watch = knock(watcher, [*XAI, *([("conversation_id", "c")] if number else [])], now=number * 5.0)
        received(watch, 0.0, Text(b'{"type":"conversation.created","conversation":{"id":"c"}}'))
        sent(watch, 0.1, '{"type":"response.create"}')
        watch.hung_up()
        watch.closed(4.0)
    assert found(watcher) == []


def test_a_turn_with_a_tool_is_one_turn():
    watcher = Watcher(Levels())
    for number in range(3):
        watch = knock(watcher, [*XAI, *([("conversation_id", "c")] if number else [])], now=number * 9.0)
        received(watch, 0.0, Text(b'{"type":"conversation.created","conversation":{"id":"c"}}'))
        for asked in ("message", "function_call_output"):
            sent(watch, 1.0, f'{{"type":"conversation.item.create","item":{{"type":"{asked}","call_id":"f"}}}}')
            sent(watch, 1.0, '{"type":"response.create"}')
            received(watch, 1.1, Text(b'{"type":"response.created","response":{"id":"r"}}'))
            received(
                watch,
                1.2,
                Text(b'{"type":"response.function_call_arguments.done","call_id":"f","name":"look","arguments":"{}"}'),
            )
            received(watch, 1.3, Text(b'{"type":"response.done","response":{"id":"r"}}'))
        watch.hung_up()
        watch.closed(3.0)
    assert "reconnecting" in found(watcher)


@pytest.mark.parametrize(("responses", "gap"), [(3, 5.0), (1, 600.0)])
def test_a_call_that_is_lost_now_and_then_is_fine(responses: int, gap: float):
    watcher = Watcher(Levels())
    turn(watcher, 0.0, responses)
    for number in range(1, 4):
        turn(watcher, number * gap, responses, conversation_id="c")
    assert found(watcher) == []


def test_calls_of_their_own_are_fine():
    watcher = Watcher(Levels())
    for number in range(4):
        turn(watcher, number * 5.0)
    assert found(watcher) == []
