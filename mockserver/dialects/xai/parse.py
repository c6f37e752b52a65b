"""How a client frame to xAI reads as a command. A wrong field is refused with its dotted path and the nearest name."""

from __future__ import annotations

import binascii
from functools import lru_cache
from typing import get_args

import orjson
import pybase64
from pydantic import ValidationError
from typing_extensions import assert_never

from mockserver.audio.codecs import audio_format
from mockserver.audio.vad.detector import XAI_TURNS, TurnSettings
from mockserver.dialects.mcp_servers import tool_servers
from mockserver.dialects.plain_append import plain_append
from mockserver.dialects.validation import SHORT, TOO_INTRICATE, TOO_LONG, rejected
from mockserver.dialects.xai.client_events import (
    EVENTS,
    Audio,
    BufferAppend,
    BufferClear,
    BufferCommit,
    ClientEvent,
    ForceMessage,
    FunctionCall,
    FunctionCallOutput,
    ItemCreate,
    ItemDelete,
    ItemTruncate,
    Message,
    ResponseCancel,
    ResponseCreate,
    ResponseFields,
    SecretRequest,
    SessionFields,
    SessionUpdate,
    TurnDetection,
)
from mockserver.protocol import commands
from mockserver.protocol.commands import Command, Rejected, Settings
from replay.cassette.json_text import too_intricate, too_long

_IN_EVENTS = ((), ("item",), ("item", "content", "*"), ("session", "tools", "*"))
_IN_SECRET = (("session", "tools", "*"),)


def parse(data: str | bytes, settings: Settings) -> Command:
    """A client frame as a command. Never raises: what cannot be read is `Rejected`."""
    if isinstance(data, bytes):
        if settings.binary_input:
            return commands.Append(data)
        return Rejected(
            "Binary message while audio.input.transport is 'json'; send base64 in input_audio_buffer.append,"
            " or set session.audio.input.transport to 'binary'"
        )
    if (sound := plain_append(data)) is not None:
        return commands.Append(sound)
    if too_long(data):
        return Rejected(TOO_LONG)
    if too_intricate(data):
        return Rejected(TOO_INTRICATE)
    try:
        event = _known(data) if len(data) <= SHORT else EVENTS.validate_json(data)
    except ValidationError as error:
        return rejected(error, get_args(ClientEvent), _IN_EVENTS)
    except RecursionError:
        return Rejected("The message is nested too deeply")
    return _command(event, data)


@lru_cache(maxsize=256)
def _known(data: str) -> ClientEvent:
    """An event that says little beside its type, such as `response.create`: clients send it again and again."""
    return EVENTS.validate_json(data)


def check_session(session: object) -> Rejected | None:
    """Why `session` would be refused in a `session.update`; None when it is fine."""
    try:
        SecretRequest.model_validate({"session": session})
    except ValidationError as error:
        return rejected(error, (SecretRequest,), _IN_SECRET)
    return None


def _command(event: ClientEvent, data: str) -> Command:
    match event:
        case BufferAppend():
            return _append(event)
        case ResponseCreate():
            requested = event.response or ResponseFields()
            return commands.Respond(requested.instructions, requested.metadata)
        case ItemCreate():
            return _add(event)
        case SessionUpdate():
            return _configure(event.session, data)
        case BufferCommit():
            return commands.Commit()
        case BufferClear():
            return commands.Clear()
        case ResponseCancel():
            return commands.Cancel(event.response_id)
        case ItemTruncate():
            return commands.TruncateItem(event.item_id, event.content_index, event.audio_end_ms)
        case ItemDelete():
            return commands.DeleteItem(event.item_id)
        case _:
            assert_never(event)


def _configure(session: SessionFields, data: str) -> Command:
    try:
        requested = orjson.loads(data)["session"]
    except orjson.JSONDecodeError as error:  # pydantic lets NaN and numbers beyond a double pass
        return Rejected(f"The message is not valid JSON: {error}")
    return commands.Configure(changes_of(session), requested)


def _append(event: BufferAppend) -> Command:
    try:
        return commands.Append(pybase64.b64decode(event.audio, validate=True))
    except (binascii.Error, ValueError):
        return Rejected("Invalid value for 'audio': not valid base64 (standard alphabet, padded)", param="audio")


def _add(event: ItemCreate) -> Command:
    item, after = event.item, event.previous_item_id
    match item:
        case Message():
            return commands.AddMessage(item.role, tuple(part.part() for part in item.content), item.id, after)
        case FunctionCallOutput():
            return commands.AddResult(item.call_id, item.output, item.id, after)
        case FunctionCall():
            return commands.AddCall(item.name, item.arguments, item.call_id, item.id, after)
        case ForceMessage():
            text = "".join(part.part().text for part in item.content)
            return commands.Announce(text, item.interruptible, item.id)
        case _:
            assert_never(item)


def changes_of(session: SessionFields) -> dict[str, object]:
    """What an update changes, by field of `Settings`. Only what was sent is in it."""
    sent = session.model_fields_set
    changes: dict[str, object] = {}
    if session.instructions is not None:
        changes["instructions"] = session.instructions
    if session.voice is not None:
        changes["voice"] = session.voice.lower()
    if "turn_detection" in sent:
        changes["turn_detection"] = _turn_detection(session.turn_detection)
    if "replace" in sent:
        changes["replace"] = session.replace or {}
    if session.resumption is not None:
        changes["resumable"] = session.resumption.enabled
    if session.tools is not None:
        tools = [tool.model_dump() for tool in session.tools]
        changes |= {"servers": tool_servers(tools), "declared": tools}
    if session.audio is not None:
        changes |= _audio_changes(session.audio)
    return changes


def _turn_detection(requested: TurnDetection | None) -> commands.TurnDetection | None:
    if requested is None or requested.type is None:
        return None

    def given(value: float | None, default: float) -> float:
        return default if value is None else value

    turns = TurnSettings(
        given(requested.threshold, XAI_TURNS.threshold),
        int(given(requested.silence_duration_ms, XAI_TURNS.silence_duration_ms)),
        int(given(requested.prefix_padding_ms, XAI_TURNS.prefix_padding_ms)),
    )
    idle_ms = None if requested.idle_timeout_ms is None else int(requested.idle_timeout_ms)
    # create_response false is accepted and not applied (clients' live checks).
    return commands.TurnDetection(
        turns, interrupt_response=requested.interrupt_response is not False, idle_timeout_ms=idle_ms
    )


def _audio_changes(audio: Audio) -> dict[str, object]:
    changes: dict[str, object] = {}
    for name, side in (("input", audio.input), ("output", audio.output)):
        if side is None:
            continue
        if side.format is not None:
            changes[f"{name}_format"] = audio_format(side.format.type, side.format.rate)
        if side.transport is not None:
            changes[f"binary_{name}"] = side.transport == "binary"
    if audio.input is not None and "transcription" in audio.input.model_fields_set:
        requested = audio.input.transcription
        changes["transcribe"] = requested is not None
        changes["language"] = requested and requested.language_hint
        changes["keyterms"] = tuple((requested and requested.keyterms) or ())
    if audio.output is not None and audio.output.speed is not None:
        changes["speed"] = audio.output.speed
    return changes
