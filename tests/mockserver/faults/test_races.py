"""What clients meet when the service is late to obey: cancel and create in one breath, a deletion, an item twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from realtape import MockServer

HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello, how are you today?"}]}


def opened(mock: MockServer) -> ClientConnection:
    headers = {"Authorization": f"Bearer {mock.api_key}"}
    return connect(f"{mock.ws_url}?model=gpt-realtime-2.1", additional_headers=headers, max_size=None)


def told(socket: ClientConnection, type: str, **event: Any) -> None:
    socket.send(json.dumps({"type": type, **event}))


def until(socket: ClientConnection, type: str) -> Any:
    while (event := json.loads(socket.recv(10)))["type"] != type:
        pass
    return event


@pytest.mark.parametrize("fault", [{"at": "<response.cancel", "do": {"late": "300ms"}}])
def test_a_create_in_the_breath_of_a_cancel_finds_the_response_still_running(fault: Any):
    with MockServer(dialect="openai", pacing="live", faults=[fault]) as mock, opened(mock) as socket:
        told(socket, "conversation.item.create", item=HELLO)
        told(socket, "response.create", event_id="first")
        running = until(socket, "response.created")["response"]["id"]
        told(socket, "response.cancel", event_id="stop")
        told(socket, "response.create", event_id="second")
        error = until(socket, "error")["error"]
        assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")
        assert running in error["message"]
        done = until(socket, "response.done")["response"]
        assert (done["id"], done["status"]) == (running, "cancelled")


def test_a_refused_client_event_is_answered_under_its_id_and_has_no_effect():
    faults = [{"at": "<response.create", "nth": 2, "do": "refuse"}]
    with MockServer(dialect="openai", faults=faults) as mock, opened(mock) as socket:
        told(socket, "conversation.item.create", item=HELLO)
        told(socket, "response.create")
        first = until(socket, "response.done")["response"]["id"]
        told(socket, "response.create", event_id="mine")
        error = until(socket, "error")["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "conversation_already_has_active_response")
        assert error["event_id"] == "mine" and first in error["message"]
        told(socket, "response.create")
        assert until(socket, "response.done")["response"]["id"] != first


def test_an_error_at_a_client_event_may_name_a_parameter_and_the_last_response():
    do = {"error": {"type": "invalid_request_error", "code": "odd", "message": "Not {response}.", "param": "item"}}
    faults = [{"at": "<conversation.item.create", "nth": 2, "do": do}]
    with MockServer(dialect="openai", faults=faults) as mock, opened(mock) as socket:
        told(socket, "conversation.item.create", item=HELLO)
        told(socket, "response.create")
        last = until(socket, "response.done")["response"]["id"]
        told(socket, "conversation.item.create", item=HELLO, event_id="mine")
        error = until(socket, "error")["error"]
        assert (error["param"], error["event_id"], error["message"]) == ("item", "mine", f"Not {last}.")
        until(socket, "conversation.item.added")


def test_an_item_is_linked_to_one_that_the_server_is_late_to_delete():
    faults = [{"at": "<conversation.item.delete", "do": {"late": "200ms"}}]
    with MockServer(dialect="openai", faults=faults) as mock, opened(mock) as socket:
        told(socket, "conversation.item.create", item={**HELLO, "id": "gone"})
        until(socket, "conversation.item.done")
        told(socket, "conversation.item.delete", item_id="gone")
        told(socket, "conversation.item.create", item={**HELLO, "id": "next"})
        assert until(socket, "conversation.item.added")["previous_item_id"] == "gone"
        assert until(socket, "conversation.item.deleted")["item_id"] == "gone"


@pytest.mark.parametrize("fresh", [True, False])
def test_an_item_is_added_twice_under_one_event_id_or_two(fresh: bool):
    faults = [{"at": "conversation.item.added", "nth": 1, "do": {"duplicate": {"fresh": fresh}}}]
    with MockServer(dialect="openai", faults=faults) as mock, opened(mock) as socket:
        told(socket, "conversation.item.create", item=HELLO)
        one, two = until(socket, "conversation.item.added"), json.loads(socket.recv(5))
        assert one["item"] == two["item"] and len(one["event_id"]) == len(two["event_id"])
        assert (one["event_id"] != two["event_id"]) is fresh
