"""How a client frame to OpenAI reads as a command.

A session's update is checked as a whole: with one bad member nothing of it applies. How refusals are worded: errors.py.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import pybase64
from pydantic import ValidationError
from typing_extensions import assert_never

from mockserver.dialects.mcp_servers import tool_servers
from mockserver.dialects.openai import session_object
from mockserver.dialects.openai.client_events import (
    CALL_EVENTS,
    EVENTS,
    SESSION,
    Answering,
    ApprovalResponse,
    AssistantMessage,
    BufferAppend,
    BufferClear,
    BufferCommit,
    CallEvent,
    ClientEvent,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    ItemCreate,
    ItemDelete,
    ItemReference,
    ItemRetrieve,
    ItemTruncate,
    Mcp,
    OutputBufferClear,
    OutputContent,
    RealtimeSession,
    ResponseCancel,
    ResponseCreate,
    ResponseFields,
    SessionClose,
    SessionUpdate,
    SystemMessage,
    TranscriptionSession,
    TranslationAppend,
    UserMessage,
)
from mockserver.dialects.openai.errors import bad_value, loaded, rejected
from mockserver.dialects.openai.session_object import Json, Model
from mockserver.dialects.validation import SHORT
from mockserver.protocol import commands
from mockserver.protocol.commands import AddCall, AddMessage, AddResult, Approve, Command, Part, Rejected
from replay.cassette.json_text import MOST_CHARACTERS, MOST_VALUES, too_intricate, too_long

Content = InputText | InputAudio | InputImage | OutputContent
MCP_ADDRESSES = ("server_url", "connector_id", "tunnel_id")
"""Members that name an MCP server's address; one of them is required."""


@dataclass(frozen=True, slots=True)
class SessionState:
    """What decides how a frame reads.

    session: the session object as it is shown.
    spoke: whether the conversation has audio of the assistant.
    update_named: how the service names an update in the refusal of one for the other type of session.
    media: it is a call, whose sound travels on tracks.
    """

    session: Json
    model: Model
    spoke: bool
    update_named: str = "update"
    media: bool = False


def parse(data: str | bytes, state: SessionState) -> Command:
    """A client frame as a command. Never raises: what cannot be read is `Rejected`."""
    if isinstance(data, bytes):
        return Rejected("Expected a text WebSocket message; binary frames are not supported.", code="invalid_event")
    if too_long(data):  # the code is that of other limits; the wording of both is a guess
        expected = f"Expected at most {MOST_CHARACTERS} characters without audio or images."
        return Rejected(f"Invalid event: too long. {expected}", code="invalid_event")
    if too_intricate(data):
        return Rejected(f"Invalid event: too many values. Expected at most {MOST_VALUES}.", code="invalid_event")
    try:
        event: CallEvent
        if state.media:
            event = CALL_EVENTS.validate_json(data)
        else:
            event = _known(data) if len(data) <= SHORT else EVENTS.validate_json(data)
    except ValidationError as error:
        return rejected(error, loaded(data))
    except RecursionError:
        return Rejected("Invalid event: the message is nested too deeply.", code="invalid_json")
    return _command(event, state)


@lru_cache(maxsize=256)
def _known(data: str) -> ClientEvent:
    """An event that says little beside its type, such as `response.create`: clients send it again and again."""
    return EVENTS.validate_json(data)


def check_session(session: object, default_model: str) -> Rejected | None:
    """Why `session` would be refused in a request for a client secret; None when it is fine."""
    try:
        requested = SESSION.validate_python(session)
    except ValidationError as error:
        return rejected(error, session, ("session",))
    if (refused := _unanswerable(requested, "session")) is not None:
        return refused
    model = Model((requested.model if isinstance(requested, RealtimeSession) else None) or default_model)
    if (refused := _unreasoned(requested, model)) is not None:
        return refused
    asked = requested.model_dump(exclude_unset=True)
    if isinstance(requested, RealtimeSession):
        fresh = session_object.fresh(model, "", 0)
    else:
        fresh = session_object.fresh_transcription("", 0)
    return _transcription_problem(asked, session_object.merged(fresh, asked, model))


def _command(event: CallEvent, state: SessionState) -> Command:
    match event:
        case BufferAppend() if state.media:  # a guess
            problem = "Audio cannot be appended on a call: its sound is on the audio track."
            return Rejected(problem, code="invalid_event", param="type", event_id=event.event_id)
        case BufferAppend():
            return _append(event)
        case ResponseCreate():
            return _respond(event, state)
        case ItemCreate():
            return _add(event.item, event.previous_item_id or None, event.event_id)
        case SessionUpdate():
            return _configure(event, state)
        case BufferCommit():
            return commands.Commit(event.event_id)
        case BufferClear():
            return commands.Clear()
        case OutputBufferClear():
            return commands.ClearOutput()
        case ResponseCancel():
            return commands.Cancel(event.response_id, event.event_id)
        case ItemTruncate():
            return commands.TruncateItem(event.item_id, event.content_index, event.audio_end_ms, event.event_id)
        case ItemDelete():
            return commands.DeleteItem(event.item_id, event.event_id)
        case ItemRetrieve():
            return commands.RetrieveItem(event.item_id, event.event_id)
        case SessionClose() | TranslationAppend():  # what the service answers outside of translations is unknown
            problem = f"'{event.type}' belongs to translation sessions; this session does not take it."
            return Rejected(problem, code="invalid_event", param="type", event_id=event.event_id)
        case _:
            assert_never(event)


def _append(event: BufferAppend) -> Command:
    try:
        audio = pybase64.b64decode(event.audio, validate=True)
    except (binascii.Error, ValueError):
        return _bad_audio("an invalid value", event.event_id)
    return commands.Append(audio) if audio else _bad_audio("empty bytes", event.event_id)


def _bad_audio(got: str, event_id: str | None) -> Rejected:
    problem = f"Invalid 'audio'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz) but got {got}."
    return Rejected(problem, code="invalid_value", param="audio", event_id=event_id)


def _configure(event: SessionUpdate, state: SessionState) -> Command:
    requested = event.session.model_dump(exclude_unset=True)
    if (problem := _session_problem(event.session, requested, state)) is not None:
        return replace(problem, event_id=event.event_id if problem.param is not None else None)
    if (unreasoned := _unreasoned(event.session, state.model)) is not None:
        return unreasoned
    session = session_object.merged(state.session, requested, state.model)
    if (unfit := _transcription_problem(requested, session)) is not None:
        return replace(unfit, event_id=event.event_id)
    changes = session_object.changes_of(session)
    if (reasoning := requested.get("reasoning")) is not None:  # taken, and not shown (recordings)
        changes["effort"] = reasoning.get("effort") or ""
    return commands.Configure(changes, session)


def _session_problem(
    session: RealtimeSession | TranscriptionSession, requested: Json, state: SessionState
) -> Rejected | None:
    if session.type != state.session["type"]:
        passed = f"Passing a {session.type} session {state.update_named} to a {state.session['type']} session"
        return Rejected(f"{passed} is not allowed.", code="invalid_parameter")  # the code is a guess
    if (refused := _unanswerable(session, "session")) is not None:
        return refused
    tracing = state.session.get("tracing")
    if tracing is not None and "tracing" in requested and requested["tracing"] != tracing:  # documented; a guess
        return Rejected("Cannot update tracing once it is enabled.", code="invalid_value", param="session.tracing")
    voice = ((requested.get("audio") or {}).get("output") or {}).get("voice")
    if state.spoke and voice is not None and voice != state.session["audio"]["output"]["voice"]:
        problem = "Cannot update a conversation's voice if assistant audio is present."
        return Rejected(problem, code="cannot_update_voice")
    return None


def _unreasoned(requested: Answering | TranscriptionSession, model: Model) -> Rejected | None:
    """Why a model refuses `reasoning`: it is known not to reason. The service names neither the parameter nor the event
    (a client's live check); the text is a guess."""
    if getattr(requested, "reasoning", None) is None or model.row is None or model.reasons:
        return None
    return Rejected(f"The model '{model.name}' does not support reasoning.", code="invalid_value")


def _transcription_problem(requested: Json, session: Json) -> Rejected | None:
    """What a transcription model does not take. A session that only transcribes has no turn detection with some models
    (many clients' reports); the streaming model takes no prompt (a client's live check, the text is a guess)."""
    asked = (requested.get("audio") or {}).get("input") or {}
    heard = session["audio"]["input"]
    name = (heard["transcription"] or {}).get("model")
    if (known := session_object.transcription_row(name)) is None:
        return None
    detects = session["type"] == "realtime" or known.detects_turns
    if not detects and asked.get("turn_detection") is not None:
        problem = "Turn detection is not supported for this transcription model."
        return Rejected(problem, code="invalid_value", param="session.audio.input.turn_detection")
    if "transcription" in asked and name == "gpt-realtime-whisper" and heard["transcription"]["prompt"] is not None:
        return bad_value("session.audio.input.transcription.prompt", f"'{name}' does not take a prompt.")
    return None


def _unanswerable(requested: Any, path: str) -> Rejected | None:
    """What neither a session nor a response can do, although each field is well formed."""
    for index, tool in enumerate(getattr(requested, "tools", None) or ()):
        if isinstance(tool, Mcp) and not any((tool.model_extra or {}).get(name) for name in MCP_ADDRESSES):
            param = f"{path}.tools[{index}].server_url"  # documented; which of the three it names is a guess
            return Rejected(f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)
    modalities = getattr(requested, "output_modalities", None)
    if modalities is None or len(modalities) == 1:
        return None
    # Text or audio, not both: the service's text for the beta's pairs, with today's names.
    message = f"Invalid modalities: {modalities}. Supported combinations are: ['text'] and ['audio']."
    return Rejected(message, code="invalid_value", param=f"{path}.output_modalities")


@cache
def _unasked() -> ResponseFields:
    """What a request for a response without fields asks for. Made late: its validator takes a while to build."""
    return ResponseFields()


def _respond(event: ResponseCreate, state: SessionState) -> Command:
    requested = event.response or _unasked()
    if (problem := _unanswerable(requested, "response")) is not None:
        return Rejected(problem.message, code=problem.code, param=problem.param, event_id=event.event_id)
    if (unreasoned := _unreasoned(requested, state.model)) is not None:
        return unreasoned
    if state.session["type"] == "transcription":  # the text is a guess
        problem_text = "A transcription session does not create responses."
        return Rejected(problem_text, code="invalid_parameter", event_id=event.event_id)
    entries: list[AddMessage | AddCall | AddResult | str] = []
    for index, entry in enumerate(requested.input or ()):
        found = (
            entry.id
            if isinstance(entry, ItemReference)
            else _add(entry, None, event.event_id, f"response.input[{index}]")
        )
        if isinstance(found, Rejected):
            return found
        if not isinstance(found, Approve):
            entries.append(found)
    return commands.Respond(
        requested.instructions,
        requested.metadata,
        event.event_id,
        changes=_changes(requested),
        aside=requested.conversation == "none",
        input=None if requested.input is None else tuple(entries),
    )


def _changes(requested: ResponseFields) -> Json:
    """What one response changes of the session's settings."""
    changes: Json = {}
    if requested.instructions is not None:
        changes["instructions"] = requested.instructions
    if requested.output_modalities is not None:
        changes["speaks"] = requested.output_modalities == ["audio"]
    if requested.max_output_tokens is not None:
        changes["max_output_tokens"] = session_object.limit(requested.max_output_tokens)
    if requested.tool_choice is not None:
        changes["tool_choice"] = session_object.tool_choice(requested.model_dump()["tool_choice"])
    if requested.tools is not None:
        tools = [tool.model_dump(exclude_unset=True) for tool in requested.tools]
        changes |= {"tools": tools, "servers": tool_servers(tools, approvals=True), "declared": tools}
    if requested.reasoning is not None:
        changes["effort"] = requested.reasoning.effort or ""
    output = requested.audio.output if requested.audio is not None else None
    if output is not None and output.voice is not None:
        changes["voice"] = output.voice if isinstance(output.voice, str) else output.voice.id
    if output is not None and output.format is not None:
        changes["output_format"] = session_object.wire_format(output.format.model_dump())
    return changes


def _add(
    item: Item, after: str | None, event_id: str | None, place: str = "item"
) -> AddMessage | AddCall | AddResult | Approve | Rejected:
    match item:
        case FunctionCall():
            return AddCall(item.name, item.arguments, item.call_id, item.id, after, event_id)
        case FunctionCallOutput():
            return AddResult(item.call_id, item.output, item.id, after, event_id)
        case ApprovalResponse():
            return Approve(item.approval_request_id, item.approve, item.reason or "", item.id, after, event_id)
        case UserMessage() | SystemMessage() | AssistantMessage():
            for index, content in enumerate(item.content):
                if (problem := _content_problem(content, f"{place}.content[{index}]")) is not None:
                    return Rejected(problem.message, code=problem.code, param=problem.param, event_id=event_id)
            return AddMessage(item.role, tuple(map(_part, item.content)), item.id, after, event_id)
        case _:
            assert_never(item)


def _content_problem(content: Content, place: str) -> Rejected | None:
    match content:
        case InputAudio(audio=str(audio)):
            got = "an invalid value" if (decoded := _decoded(audio)) is None else "" if decoded else "empty bytes"
            expected = f"Expected base64-encoded audio bytes (mono PCM16 at 24kHz) but got {got}."
            return bad_value(f"{place}.audio", expected) if got else None
        case InputImage(image_url=url):
            head, _, data = url.partition(";base64,")
            if head in ("data:image/png", "data:image/jpeg") and _decoded(data):
                return None
            # The formats are documented, the text is a guess.
            expected = "Expected a data URL of a base64-encoded image/png or image/jpeg, but got an invalid value."
            return bad_value(f"{place}.image_url", expected)
        case _:
            return None


def _decoded(text: str) -> bytes | None:
    try:
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _part(content: Content) -> Part:
    match content:
        case InputText():
            return Part("input_text", content.text)
        case OutputContent():
            return Part("output_text", content.text)
        case InputAudio():
            audio = pybase64.b64decode(content.audio) if content.audio else b""
            return Part("input_audio", content.transcript or "", audio, is_audio=True)
        case InputImage():
            return Part("input_image", image=content.image_url, detail=content.detail or "auto")
        case _:
            assert_never(content)
