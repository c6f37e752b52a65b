"""What a client may send to xAI, and how that reads as a command. No answers are made here: see xai.py.

Field names are the API's. A misspelt or ill-typed field is refused with its dotted path and the nearest real name; the
fields that OpenAI's clients send and xAI ignores are accepted in silence (clients' own code, July to September 2026).
"""

from __future__ import annotations

import binascii
from typing import Annotated, Any, Literal

import orjson
import pybase64
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError

from mockserver.audio.formats import audio_format
from mockserver.audio.vad.detector import XAI_TURNS, TurnSettings
from mockserver.dialects.mcp_servers import tool_servers
from mockserver.dialects.validation import rejected
from mockserver.protocol import commands
from mockserver.protocol.commands import Command, Part, Rejected, Settings

Foreign = Annotated[Any, Field(default=None, description="accepted and not applied")]
"""A field of other services that xAI takes without applying it."""


class Strict(BaseModel):
    """No coercion, no unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Loose(BaseModel):
    """No coercion, but unknown keys pass: an event's envelope."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Format(Strict):
    """Any type is accepted, as live: one that is not supported makes static, not an error."""

    type: str
    rate: int | None = None


class Transcription(Strict):
    model: str | None = None
    language_hint: str | None = Field(None, max_length=35, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")  # BCP-47
    keyterms: list[Annotated[str, Field(max_length=50)]] | None = Field(None, max_length=100)
    language: Foreign
    prompt: Foreign
    delay: Foreign


class AudioInput(Strict):
    format: Format | None = None
    transport: Literal["json", "binary"] | None = None
    transcription: Transcription | None = None
    noise_reduction: Foreign
    turn_detection: Foreign


class AudioOutput(Strict):
    format: Format | None = None
    transport: Literal["json", "binary"] | None = None
    speed: float | None = Field(None, ge=0.7, le=1.5)
    voice: Foreign


class Audio(Strict):
    input: AudioInput | None = None
    output: AudioOutput | None = None


class TurnDetection(Strict):
    type: Literal["server_vad"] | None
    threshold: float | None = Field(None, ge=0.1, le=0.9)
    silence_duration_ms: float | None = Field(None, ge=0, le=10_000)
    prefix_padding_ms: float | None = Field(None, ge=0, le=10_000)
    idle_timeout_ms: float | None = Field(None, gt=0, le=86_400_000)
    create_response: bool | None = None
    interrupt_response: bool | None = None


class Reasoning(Strict):
    effort: Literal["high", "none"]


class Resumption(Strict):
    enabled: bool = False


class Function(Strict):
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: Foreign


class NestedFunction(Strict):
    """The form that the vendor documents, and that comes back."""

    type: Literal["function"]
    function: Function


class FlatFunction(Function):
    """The form that the guide shows and every client sends."""

    type: Literal["function"]


class HostedTool(BaseModel):
    """A tool that the service runs; its options are passed back as they came."""

    model_config = ConfigDict(strict=True, extra="allow")
    type: Literal["web_search", "x_search", "file_search", "code_interpreter", "collections_search"]


class McpTool(BaseModel):
    """A server of tools; its options are passed back as they came."""

    model_config = ConfigDict(strict=True, extra="allow")
    type: Literal["mcp"]
    server_url: str = Field(min_length=1)
    server_label: str = Field(min_length=1, pattern=r"^[^.]*$")


def _tool_kind(tool: Any) -> str:
    kind = tool.get("type", "function") if isinstance(tool, dict) else "function"
    if kind != "function":
        return "mcp" if kind == "mcp" else "hosted"
    return "nested" if isinstance(tool, dict) and "function" in tool else "flat"


Tool = Annotated[
    Annotated[FlatFunction, Tag("flat")]
    | Annotated[NestedFunction, Tag("nested")]
    | Annotated[HostedTool, Tag("hosted")]
    | Annotated[McpTool, Tag("mcp")],
    Discriminator(_tool_kind),
]


class SessionFields(Strict):
    """`session` of a `session.update`, and of a request for a client secret. Null leaves a field as it is."""

    instructions: str | None = None
    model: str | None = None
    voice: str | None = None
    reasoning: Reasoning | None = None
    turn_detection: TurnDetection | None = None
    tools: list[Tool] | None = Field(None, max_length=128)
    audio: Audio | None = None
    resumption: Resumption | None = None
    replace: dict[str, str] | None = None
    # Sent by OpenAI's clients and their descendants; xAI takes them and does nothing.
    type: Foreign
    id: Foreign
    object: Foreign
    modalities: list[str] | None = None
    output_modalities: Foreign
    tool_choice: Foreign
    parallel_tool_calls: Foreign
    max_output_tokens: Foreign
    max_response_output_tokens: Foreign
    temperature: Foreign
    input_audio_format: Foreign
    output_audio_format: Foreign
    input_audio_transcription: Foreign
    input_audio_noise_reduction: Foreign
    speed: Foreign
    tracing: Foreign
    truncation: Foreign
    include: Foreign
    prompt: Foreign


class Event(Loose):
    """A client event; `event_id` is optional on each and is not echoed."""


class SessionUpdate(Event):
    type: Literal["session.update"]
    session: SessionFields


class BufferAppend(Event):
    type: Literal["input_audio_buffer.append"]
    audio: str


class BufferCommit(Event):
    # The second name is that of the vendor's guide of December 2025.
    type: Literal["input_audio_buffer.commit", "conversation.item.commit"]


class BufferClear(Event):
    type: Literal["input_audio_buffer.clear"]


class TextContent(Loose):
    type: Literal["input_text", "text", "output_text"]
    text: str

    def part(self) -> Part:
        return Part(self.type, self.text)


class AudioContent(Loose):
    type: Literal["input_audio", "audio", "output_audio"]
    audio: str | None = None
    transcript: str | None = None

    def part(self) -> Part:
        return Part(self.type, self.transcript or "", is_audio=True)


Content = Annotated[TextContent | AudioContent, Field(discriminator="type")]


class Message(Loose):
    type: Literal["message"]
    id: str | None = Field(None, min_length=1, max_length=256)
    role: Literal["user", "assistant", "system"]
    content: list[Content]


class FunctionCall(Loose):
    type: Literal["function_call"]
    id: str | None = Field(None, min_length=1, max_length=256)
    call_id: str | None = None
    name: str
    arguments: str


class FunctionCallOutput(Loose):
    type: Literal["function_call_output"]
    id: str | None = Field(None, min_length=1, max_length=256)
    call_id: str
    output: str


class ForceMessage(Loose):
    type: Literal["force_message"]
    id: str | None = None
    content: list[Content]
    interruptible: bool = True


class ItemCreate(Event):
    type: Literal["conversation.item.create"]
    previous_item_id: str | None = None
    item: Annotated[Message | FunctionCall | FunctionCallOutput | ForceMessage, Field(discriminator="type")]


class ItemDelete(Event):
    type: Literal["conversation.item.delete"]
    item_id: str


class ItemTruncate(Event):
    type: Literal["conversation.item.truncate"]
    item_id: str
    content_index: int = Field(ge=0, le=1 << 31)
    audio_end_ms: int = Field(ge=0, le=1 << 53)


Metadata = dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]]


class ResponseFields(Loose):
    instructions: str | None = None
    metadata: Annotated[Metadata, Field(max_length=16)] | None = None


class ResponseCreate(Event):
    type: Literal["response.create"]
    response: ResponseFields | None = None


class ResponseCancel(Event):
    type: Literal["response.cancel"]
    response_id: str | None = None


_EVENT_MODELS = (
    SessionUpdate,
    BufferAppend,
    BufferCommit,
    BufferClear,
    ItemCreate,
    ItemDelete,
    ItemTruncate,
    ResponseCreate,
    ResponseCancel,
)
_ClientEvent = Annotated[
    SessionUpdate
    | BufferAppend
    | BufferCommit
    | BufferClear
    | ItemCreate
    | ItemDelete
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel,
    Field(discriminator="type"),
]
_EVENTS: TypeAdapter[Any] = TypeAdapter(_ClientEvent)
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
    try:
        event = _EVENTS.validate_json(data)
    except ValidationError as error:
        return rejected(error, _EVENT_MODELS, _IN_EVENTS)
    except RecursionError:
        return Rejected("The message is nested too deeply")
    return _command(event, data)


class _SecretRequest(Loose):
    session: SessionFields


def check_session(session: object) -> Rejected | None:
    """Why `session` would be refused in a `session.update`; None when it is fine."""
    try:
        _SecretRequest.model_validate({"session": session})
    except ValidationError as error:
        return rejected(error, (_SecretRequest,), _IN_SECRET)
    return None


def _command(event: Any, data: str) -> Command:
    match event:
        case BufferAppend():
            return _append(event)
        case ResponseCreate():
            asked = event.response or ResponseFields()
            return commands.Respond(asked.instructions, asked.metadata)
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
    raise AssertionError(f"no command for {type(event).__name__}")


def _configure(session: SessionFields, data: str) -> Command:
    try:
        asked = orjson.loads(data)["session"]
    except orjson.JSONDecodeError as error:  # pydantic lets NaN and numbers beyond a double pass
        return Rejected(f"The message is not valid JSON: {error}")
    return commands.Configure(changes_of(session), asked)


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
        changes["servers"] = tool_servers(tool.model_dump() for tool in session.tools)
    if session.audio is not None:
        changes |= _audio_changes(session.audio)
    return changes


def _turn_detection(asked: TurnDetection | None) -> commands.TurnDetection | None:
    if asked is None or asked.type is None:
        return None

    def given(value: float | None, default: float) -> float:
        return default if value is None else value

    turns = TurnSettings(
        given(asked.threshold, XAI_TURNS.threshold),
        int(given(asked.silence_duration_ms, XAI_TURNS.silence_duration_ms)),
        int(given(asked.prefix_padding_ms, XAI_TURNS.prefix_padding_ms)),
    )
    idle_ms = None if asked.idle_timeout_ms is None else int(asked.idle_timeout_ms)
    # create_response false is accepted and not applied (clients' live checks).
    return commands.TurnDetection(
        turns, interrupt_response=asked.interrupt_response is not False, idle_timeout_ms=idle_ms
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
        asked = audio.input.transcription
        changes["transcribe"] = asked is not None
        changes["language"] = asked and asked.language_hint
        changes["keyterms"] = tuple((asked and asked.keyterms) or ())
    if audio.output is not None and audio.output.speed is not None:
        changes["speed"] = audio.output.speed
    return changes
