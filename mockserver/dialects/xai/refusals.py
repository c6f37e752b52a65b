"""How xAI refuses well-formed requests that it cannot meet: text and code of the `error` event.

Observed by others: the texts of `nothing_to_cancel` and `cancel_of_another`, and how that of `delete_unknown` begins.
Clients look for a part of the texts of `response_active` and `buffer_empty`, and for the codes. The rest is guessed;
where no code is known it is the error's type.
"""

from __future__ import annotations

from typing_extensions import assert_never

from mockserver.dialects.validation import shortened
from mockserver.protocol.facts import Refused


def refusal(fact: Refused) -> tuple[str, str | None] | None:
    """Text and code of the error; None for a request that gets no reply."""
    id = shortened(fact.about)
    match fact.problem:
        case "response_active":
            text = f"Conversation already has an active response in progress: {id}".rstrip(" :")
            return text, "conversation_already_has_active_response"
        case "nothing_to_cancel":
            return "Cancellation failed: no active response found", None
        case "cancel_of_another":
            return f"Response ID '{id}' does not match current response", None
        case "buffer_empty":
            text = "Error committing input audio buffer: buffer too small, no audio was appended."
            return text, "input_audio_buffer_commit_empty"
        case "item_exists":
            return f"An item with the id '{id}' is already in the conversation.", None
        case "delete_unknown":
            # Reports of livekit/agents quote the first words, after interruptions. Its authors had found no reply to a
            # deletion at all; a client that waits for either is better off with the error.
            return f"Item not found: {id}", None
        case "truncate_unknown":
            return f"Error truncating item: Item not found: {id}", None  # a guess; pipecat looks for "truncat"
        case "conversation_full":
            return "The conversation is full: no item can be added.", None
        case "previous_unknown" | "call_unknown" | "reference_unknown" | "truncate_unspoken" | "truncate_beyond":
            return None  # xAI does not check what an item refers to
        case "approval_unknown" | "retrieve_unknown":
            return None  # xAI has no such requests
        case _:
            assert_never(fact.problem)
