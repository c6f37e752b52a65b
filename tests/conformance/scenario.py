"""A recording as a scenario: what its service heard, said and called, so that the mock can do the same.

By rule: each response becomes an entry of `sequence`, its transcripts a `say`, its function calls a `call`, in the
order they came; the transcript of a spoken turn becomes `heard` of the response that answers it. If its item is shown
after the commit, `heard` tells whether the final transcript overtakes the interim one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from replay.cassette.conversation import Conversation

_HEARD = "conversation.item.input_audio_transcription.completed"


def scenario_from(recording: Conversation) -> dict[str, Any]:
    """The scenario file's content, as plain values.

    Audio sent after the last response leaves no trace. A response that was cut says what its deltas had said.
    """
    replies: dict[str, list[dict[str, Any]]] = {}
    answered: dict[str, str] = {}  # spoken item -> the response that answers it
    heard: dict[str, str] = {}
    waiting: list[str] = []
    staged: set[str] = set()  # spoken items whose transcripts tell whether they are final
    shown: dict[str, str] = {}  # spoken item -> its status when it was first shown, if that was after its commit
    for event in recording.received():
        match event["type"]:
            case "input_audio_buffer.committed":
                waiting.append(event["item_id"])
                shown.setdefault(event["item_id"], "")
            case "conversation.item.added" if shown.get(event["item"]["id"]) == "":
                shown[event["item"]["id"]] = event["item"].get("status", "")
            case "response.created":
                replies[event["response"]["id"]] = []
                answered |= dict.fromkeys(waiting, event["response"]["id"])
                waiting = []
            case kind if kind == _HEARD and event.get("status", "completed") == "completed":
                heard[event["item_id"]] = event["transcript"]
                staged |= {event["item_id"]} if "status" in event else set()
            case _:
                if (step := _step(event)) is not None:
                    _add(replies[event["response_id"]], step)
    entries: list[dict[str, Any]] = []
    for response, reply in replies.items():
        items = [item for item in heard if answered.get(item) == response]
        says: Any = " ".join(heard[item] for item in items)
        if says and len(items) == 1 and shown.get(items[0]) and items[0] in staged:
            says = {"says": says, "overtakes": shown[items[0]] == "completed"}
        entries.append({"heard": says, "reply": reply})
    return {
        "name": recording.name,
        "hearing": "script",  # the recording tells what the service heard
        "sequence": [{key: part for key, part in entry.items() if part or key == "reply"} for entry in entries],
    }


def _step(event: Mapping[str, Any]) -> dict[str, Any] | None:
    match event["type"]:
        case "response.output_audio_transcript.delta" | "response.output_text.delta":
            return {"say": event["delta"]}
        case "response.function_call_arguments.done":
            return {"call": {"name": event["name"], "arguments": _arguments(event["arguments"])}}
        case _:
            return None


def _add(reply: list[dict[str, Any]], step: dict[str, Any]) -> None:
    """Deltas that follow one another are one text."""
    if "say" in step and reply and "say" in reply[-1]:
        reply[-1]["say"] += step["say"]
    else:
        reply.append(step)


def _arguments(text: str) -> Any:
    """As an object where that loses nothing, else as the text it was."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return text
    compact = json.dumps(parsed, separators=(",", ":"), ensure_ascii=False)
    return parsed if isinstance(parsed, dict) and compact == text else text
