"""How OpenAI refuses well-formed requests that it cannot meet: code, parameter and text of the `error` event.

The texts were observed, or are known from clients. Guesses: all of an unknown approval, and the code and parameter of
an unknown reference.

What fails while the service works on the conversation does not name the client's event (clients' logs of truncations
and tool results; a guess for other items and for commits). A refused response does.
"""

from __future__ import annotations

from typing_extensions import assert_never

from mockserver.dialects.validation import shortened
from mockserver.protocol.commands import Rejected
from mockserver.protocol.facts import Refused


def refusal(fact: Refused) -> Rejected:
    """The error of a refused request."""
    code, param, message = _words(fact)
    named = fact.problem in ("response_active", "nothing_to_cancel") or param is not None
    return Rejected(message, code=code, param=param, event_id=fact.event_id if named else None)


def _words(fact: Refused) -> tuple[str, str | None, str]:
    id = shortened(fact.about)
    match fact.problem:
        case "response_active":
            message = (
                f"Conversation already has an active response in progress: {id}. Wait until the response is finished"
                " before creating a new one."
            )
            return "conversation_already_has_active_response", None, message
        case "nothing_to_cancel" | "cancel_of_another":
            return "response_cancel_not_active", None, "Cancellation failed: no active response found"
        case "buffer_empty":
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer"
                f" only has {fact.has_ms:.2f}ms of audio."
            )
            return "input_audio_buffer_commit_empty", None, message
        case "conversation_full":
            return "invalid_value", "item", "The conversation is full: no item can be added."
        case "item_exists":
            message = f"Error adding item: an item with id '{id}' already exists."
            return "item_create_duplicate_item_id", None, message
        case "previous_unknown":
            message = f"Error adding item: the previous item with id '{id}' does not exist."
            return "item_create_invalid_previous_item_id", None, message
        case "call_unknown":
            return "invalid_tool_call_id", None, f"Tool call ID '{id}' not found in conversation."
        case "approval_unknown":
            message = f"Approval request with id '{id}' not found in conversation, or already answered."
            return "invalid_value", "item.approval_request_id", message
        case "reference_unknown":
            return "invalid_value", "response.input", f"Item with item_id not found: {id}"
        case "delete_unknown":
            message = f"Error deleting item: the item with id '{id}' does not exist."
            return "item_delete_invalid_item_id", None, message
        case "retrieve_unknown":
            message = f"Error retrieving item: the item with id '{id}' does not exist."
            return "item_retrieve_invalid_item_id", None, message
        case "truncate_unknown":
            return "item_truncate_invalid_item_id", None, f"Item with item_id not found: {id}"
        case "truncate_unspoken":
            return "unsupported_content_type", None, "Only model output audio messages can be truncated"
        case "truncate_beyond":
            message = f"Audio content of {fact.has_ms:.0f}ms is already shorter than {fact.requested_ms}ms"
            return "invalid_value", None, message
        case _:
            assert_never(fact.problem)
