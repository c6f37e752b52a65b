"""Rules on what the client sends besides audio and results, and on what it leaves unsent."""

from __future__ import annotations

from collections.abc import Iterator

from replay.billing.prices import PRICES
from replay.cassette.json_values import object_at, object_in, objects, text_at, text_in
from replay.findings.call import CLOSED, CallState, CallStep
from replay.findings.finding import Found

UNANSWERED_S = 5.0
"""Seconds after a message of the user in which a client requests its response."""
NOTHING_S = 30.0
"""Seconds after which a client that has asked for nothing is reported."""
_LEFT_S = 3.0
"""Seconds. A client that leaves sooner may have changed its mind."""
TOLD_S = 2.0
"""Seconds in which a client that is interrupted says what was heard."""


def item_unanswered(call: CallState, step: CallStep) -> Iterator[Found]:
    """The user wrote something, and nobody asked the model to respond."""
    waiting = call.unanswered
    if waiting is None or (call.audio.last_at or -1.0) > waiting.at:
        return
    since = step.at - max(waiting.at, call.done_at)
    if call.active is not None or (call.timed and since < (1.0 if step.type == CLOSED else UNANSWERED_S)):
        return
    when = f"within {since:.1f} s" if call.timed else "until the call ended"
    yield Found(
        f"a message of the user was added, and no response.create followed {when}: the model stays silent",
        f"item {waiting.number}",
        waiting.at,
        waiting.number,
    )


def nothing_asked(call: CallState, step: CallStep) -> Iterator[Found]:
    """The client connected, and neither spoke, nor wrote, nor asked for a response."""
    if call.asked or call.audio.appends or call.responses or not call.timed or call.resumed or call.over_tracks:
        return
    if step.at >= (_LEFT_S if step.type == CLOSED else NOTHING_S):
        sent = "a session.update, and then nothing" if call.updates else "nothing"
        yield Found(f"in {step.at:.0f} s the client sent {sent}: no audio, no message, no response.create")


def item_id_repeated(call: CallState, step: CallStep) -> Iterator[Found]:
    """The id belongs to another item."""
    item_id = text_in(step.item, "id")
    if item_id and item_id in call.item_ids:
        yield Found(f"an item was added under the id {item_id[:64]!r}, which another item has", item_id)


def response_id_gone(call: CallState, step: CallStep) -> Iterator[Found]:
    """The client cancels a response that is over."""
    response_id = text_in(step.event, "response_id")
    if response_id and response_id in call.over and response_id != call.active:
        yield Found(f"response.cancel names {response_id[:64]!r}, which is {call.over[response_id]}", response_id)


def nested_tool(call: CallState, step: CallStep) -> Iterator[Found]:
    """The form of the chat API. The realtime API finds no name in it."""
    for tool in objects(object_in(step.event, "session").get("tools")):
        inner = object_at(tool, "function")
        if inner and "name" not in tool:
            name = text_at(inner, "name") or "a tool"
            yield Found(f'{name} is declared inside of "function", as for chat completions: it has no name here', name)


def unknown_model(call: CallState, step: CallStep) -> Iterator[Found]:
    """The service knows no such model, and takes another one without an error."""
    asked, got = call.handshake.query.get("model", ""), text_at(step.event, "session", "model")
    if not asked or not got or got.startswith(asked) or asked.startswith(got) or _priced(call.service, asked):
        return
    yield Found(f"the model {asked[:64]!r} was asked for, and the service took {got!r} without an error", asked)


def _priced(service: str | None, model: str) -> bool:
    tables = PRICES.get(service or "", ())
    return any(
        model in each for table in tables for each in (table.aliases, table.per_audio_minute, table.per_million_tokens)
    )


def interruption_untold(call: CallState, step: CallStep) -> Iterator[Found]:
    """The user speaks over audio that arrived ahead, and the client does not say how much of it was heard."""
    cut = call.interrupted
    if cut is None or not call.microphone:
        return
    if step.type == "response.created" or step.at - cut.at >= TOLD_S:
        yield Found(
            f"the user spoke over a response of which {cut.seconds:.1f} s were still to play, and no"
            " conversation.item.truncate followed: the model takes all of it for heard",
            f"interruption {cut.number}",
            cut.at,
            cut.number,
        )
