from __future__ import annotations

import hashlib

import pytest

from mockserver.responders.base import Call, Hosted, Say, Step
from replay.findings import Levels
from replay.findings.call import CarriedOut
from replay.findings.rules.tools import writes
from replay.findings.watch import Watcher
from tests.replay.findings.watched_calls import DIALECTS, LONG, WatchedCall, calling, watched_call

both = pytest.mark.parametrize("dialect", DIALECTS)


@both
def test_a_result_without_response_create_leaves_the_model_silent(dialect: str):
    with watched_call(dialect, calling()) as call:
        call.say("Monday?")
        call.answer(call.called())
        sent_at = call.now
        call.wait(2.0)
        (found,) = call.findings
    assert (found.rule, found.level, found.at) == ("tool-result-unanswered", "error", sent_at)
    assert "check_availability" in found.message and "2.0 s" in found.message
    assert "Send response.create" in found.fix


@both
def test_a_result_that_is_followed_by_response_create_is_fine(dialect: str):
    with watched_call(dialect, calling()) as call:
        call.say("Monday?")
        call.answer(call.called())
        call.send("response.create")
        call.until("response.done")
        call.wait(5.0)
    assert call.rules == []


def test_a_client_may_wait_until_what_was_said_before_the_call_has_been_played():
    preamble: list[Step] = [Say("Let me have a look at the calendar of that day, one moment please."), Call("look", {})]
    with watched_call("xai", preamble) as call:
        call.say("Monday?")
        call.answer(call.called())
        call.wait(2.5)
        call.send("response.create")
        call.wait(10.0)
    assert call.rules == []


def test_a_call_that_is_hung_up_on_its_result_is_fine():
    with watched_call("xai", calling("hang_up")) as call:
        call.say("Bye.")
        call.answer(call.called())
        call.wait(0.2)
    assert call.rules == []


def test_one_response_create_answers_several_results():
    with watched_call("xai", [Call("look", {"day": 1}), Call("look", {"day": 2})]) as call:
        call.say("Monday or Tuesday?")
        call.rest()
        first, second = (event["call_id"] for event in call.of("response.function_call_arguments.done"))
        call.answer(first)
        call.wait(3.0)
        call.answer(second)
        call.send("response.create")
        call.wait(5.0)
    assert call.rules == []


@both
def test_a_call_that_gets_no_result_is_told_at_the_end(dialect: str):
    with watched_call(dialect, calling()) as call:
        call.say("Monday?")
        call_id = call.called()
        call.wait(5.0)
    (found,) = call.findings
    assert found.rule == "tool-call-unanswered"
    assert call_id in found.message and "function_call_output" in found.fix


def test_a_call_that_is_cancelled_needs_no_result():
    with watched_call("xai", [Call("look", {}), Say("This goes on for a while, word after word.")]) as call:
        call.say("Monday?")
        call.until("response.function_call_arguments.done")
        call.send("response.cancel")
        call.wait(5.0)
    assert call.rules == []


@both
def test_a_second_result_for_the_same_call_is_one_too_many(dialect: str):
    with watched_call(dialect, calling()) as call:
        call.say("Monday?")
        call_id = call.called()
        call.answer(call_id)
        call.answer(call_id)
        call.send("response.create")
        call.rest()
    assert call.rules == ["tool-result-repeated"]


@both
def test_a_result_for_a_call_that_nobody_made_is_found(dialect: str):
    with watched_call(dialect, calling()) as call:
        call.say("Monday?")
        call_id = call.called()
        call.answer("item_0")
        call.of("error")
        call.answer(call_id)
        call.send("response.create")
        call.rest()
    (found,) = call.findings
    assert found.rule == "tool-result-unknown"
    assert "'item_0'" in found.message and call_id in found.message


def test_a_shortened_call_id_is_the_same_call():
    with watched_call("xai", calling()) as call:
        call.say("Monday?")
        call.answer(hashlib.sha256(call.called().encode()).hexdigest()[:32])
        call.send("response.create")
        call.rest()
    assert call.rules == []


@both
def test_a_history_of_calls_and_results_is_fine(dialect: str):
    with watched_call(dialect) as call:
        call.create("function_call", call_id="call_1", name="look", arguments="{}")
        call.answer("call_1")
        call.say("And now?")
        call.rest()
    assert call.rules == []


@both
def test_booking_twice_is_found(dialect: str):
    with watched_call(dialect, calling("book_appointment"), calling("book_appointment")) as call:
        call.say("Book it.")
        for number in (1, 2):
            call.answer(call.called(), f'{{"booking": {number}}}')
            call.send("response.create")
        call.rest()
    (found,) = call.findings
    assert found.rule == "repeated-write"
    assert 'book_appointment({"date"' in found.message.replace('{"date": ', '{"date"')


def booked(watcher: Watcher, dialect: str, opened_s: float, output: str, *, left: bool, **query: str) -> str:
    """A connection in which the client books; `left`: it then hangs up. Gives the conversation's id."""
    one = WatchedCall(
        dialect, calling("book_appointment"), watcher=watcher, opened_s=opened_s, query=tuple(query.items())
    )
    one.say("Book it.")
    one.answer(one.called(), output)
    one.send("response.create")
    one.rest()
    assert one.watch is not None
    conversation = one.watch.attempt.conversation = one.watch.call.conversation or "conv_1"
    if left:
        one.watch.hung_up()
    one.end()
    return conversation


@both
def test_booking_again_over_a_new_connection_soon_after_a_loss_is_found(dialect: str):
    watcher = Watcher(Levels({"undeclared-call": "off"}))
    booked(watcher, dialect, 0.0, '{"booking": 1}', left=False)
    booked(watcher, dialect, 20.0, '{"booking": 2}', left=True)
    (found,) = watcher.findings
    assert (found.rule, found.level) == ("repeated-write", "error")
    assert "over a new connection" in found.message


@both
def test_booking_again_in_the_same_conversation_is_found(dialect: str):
    watcher = Watcher(Levels({"all": "off", "repeated-write": "error"}))
    conversation = booked(watcher, dialect, 0.0, '{"booking": 1}', left=True)
    booked(watcher, dialect, 600.0, '{"booking": 2}', left=True, conversation_id=conversation)
    assert [finding.rule for finding in watcher.findings] == ["repeated-write"]


def test_what_was_taken_back_over_a_connection_that_was_lost_may_be_booked_again():
    watcher = Watcher(Levels({"undeclared-call": "off"}))
    booked(watcher, "xai", 0.0, '{"booking": 1}', left=False)
    watcher.attempts[0].carried_out.append(CarriedOut("cancel_appointment", "{}", '{"cancelled": 1}', 3.0))
    booked(watcher, "xai", 20.0, '{"booking": 2}', left=True)
    assert list(watcher.findings) == []


@pytest.mark.parametrize(("left", "opened_s", "output"), [(True, 20.0, "2"), (False, 60.0, "2"), (False, 20.0, "1")])
def test_another_call_a_later_one_and_the_first_result_again_are_no_second_booking(
    left: bool, opened_s: float, output: str
):
    watcher = Watcher(Levels({"undeclared-call": "off"}))
    booked(watcher, "xai", 0.0, '{"booking": 1}', left=left)
    booked(watcher, "xai", opened_s, f'{{"booking": {output}}}', left=True)
    assert list(watcher.findings) == []


@both
def test_the_result_of_a_cancelled_call_is_found(dialect: str):
    with watched_call(dialect, [*calling("look"), *LONG]) as call:
        call.say("Monday?")
        call.until("response.output_audio.delta")
        call_id = call.of("response.output_item.added")[0]["item"]["call_id"]
        call.send("response.cancel")
        call.wait(1.0)
        call.answer(call_id)
        call.of("error")
        call.say("And now?")
        call.rest()
    (found,) = [each for each in call.findings if each.rule != "tool-result-unknown"]
    assert found.rule == "cancelled-call-answered"
    assert "1.0 s ago" in found.message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('{"booking": 1}', '{"booking": 1}'),
        ('{"ok": false, "reason": "busy"}', '{"booking": 1}'),
        ('{"booking": 1}', '{"error": "booked already"}'),
        ('{"booking": 1}', '{"status": "already booked", "booking": 1}'),
    ],
)
def test_booking_that_was_done_once_is_fine(first: str, second: str):
    with watched_call("xai", calling("book_appointment"), calling("book_appointment")) as call:
        call.say("Book it.")
        for output in (first, second):
            call.answer(call.called(), output)
            call.send("response.create")
        call.rest()
    assert call.rules == []


@pytest.mark.parametrize(
    ("between", "output", "rules"),
    [
        ("cancel_appointment", '{"cancelled": 1}', []),
        ("cancel_appointment", '{"ok": false}', ["repeated-write"]),
        ("check_availability", '{"slots": []}', ["repeated-write"]),
    ],
)
@both
def test_what_was_taken_back_may_be_booked_again(dialect: str, between: str, output: str, rules: list[str]):
    names = ("book_appointment", between, "book_appointment")
    with watched_call(dialect, *map(calling, names)) as call:
        call.say("Book it, cancel it, book it again.")
        for result in ('{"booking": 1}', output, '{"booking": 2}'):
            call.answer(call.called(), result)
            call.send("response.create")
        call.rest()
    assert call.rules == rules


def test_asking_twice_is_no_harm():
    with watched_call("xai", calling("check_availability"), calling("check_availability")) as call:
        call.say("Monday?")
        for output in ("9:00", "10:00"):
            call.answer(call.called(), output)
            call.send("response.create")
        call.rest()
    assert call.rules == []


@pytest.mark.parametrize(
    ("name", "listed", "rules"),
    [("reconcile", ("recon*", "pay"), ["repeated-write"]), ("book_appointment", ("pay",), []), ("book", (), [])],
)
def test_which_tools_write_can_be_listed(name: str, listed: tuple[str, ...], rules: list[str]):
    with watched_call("xai", calling(name), calling(name), write_tools=listed) as call:
        call.say("Do it.")
        for output in ("1", "2"):
            call.answer(call.called(), output)
            call.send("response.create")
        call.rest()
    assert call.rules == rules


@pytest.mark.parametrize(
    ("name", "does"),
    [
        ("book_appointment", True),
        ("createOrder", True),
        ("sendEmail", True),
        ("cancel", True),
        ("check_availability", False),
        ("get_order", False),
        ("find_cancelled", False),
        ("weather", False),
        ("settings", False),
    ],
)
def test_which_tools_write_is_told_by_their_verb(name: str, does: bool):
    assert writes(name) is does


def test_a_result_that_comes_after_its_response_was_cancelled_is_fine():
    with watched_call("xai", [Call("look", {}), Say("This goes on for a while, word after word.")]) as call:
        call.say("Monday?")
        call_id = str(call.until("response.function_call_arguments.done")["call_id"])
        call.send("response.cancel")
        call.answer(call_id)
        call.wait(5.0)
    assert call.rules == []


SEARCHED: list[Step] = [Hosted("x_search", name="x_keyword_search", events="function_call"), Say("It is foggy.")]


def test_a_search_that_the_service_runs_needs_no_answer_and_an_answer_is_found():
    with watched_call("xai", SEARCHED, SEARCHED, update={"tools": [{"type": "x_search"}]}) as call:
        call.say("Is it foggy?")
        call.called()
        call.wait(60.0)
        assert call.rules == []
        call.say("And now?")
        call.answer(call.called(), "unknown tool")
        call.wait(60.0)
    (found,) = call.findings
    assert (found.rule, found.level) == ("hosted-call-answered", "warn")
    assert "x_keyword_search" in found.message


def test_a_function_of_the_client_s_own_may_have_such_a_name():
    search = {"type": "function", "name": "web_search", "parameters": {}}
    with watched_call("xai", [Call("web_search", {})], update={"tools": [search]}) as call:
        call.say("Is it foggy?")
        call.answer(call.called())
        call.send("response.create")
        call.rest()
        call.wait(60.0)
    assert call.rules == []
