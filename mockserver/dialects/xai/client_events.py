"""What a client may send to xAI, as models. How an event reads as a command: parse.py.

Field names are the API's. Fields that OpenAI's clients send and xAI ignores are accepted (clients' own code, July to
September 2026).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter

from mockserver.protocol.commands import Part

Foreign = Annotated[Any, Field(default=None, description="accepted and not applied")]
"""A field of other services that xAI takes without applying it."""

Text = Annotated[str, Field(max_length=1_000_000)]
"""Text for the model. The bound is a guess: the services bound texts by their tokens."""
MOST_PARTS = 1000
"""Parts of one item, a guess."""


class Strict(BaseModel):
    """No coercion, no unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", defer_build=True)


class Loose(BaseModel):
    """No coercion, but unknown keys pass: an event's envelope."""

    model_config = ConfigDict(strict=True, extra="ignore", defer_build=True)


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
    description: Text | None = None
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

    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)
    type: Literal["web_search", "x_search", "file_search", "code_interpreter", "collections_search"]


class McpTool(BaseModel):
    """A server of tools; its options are passed back as they came."""

    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)
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

    instructions: Text | None = None
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
    text: Text

    def part(self) -> Part:
        return Part(self.type, self.text)


class AudioContent(Loose):
    type: Literal["input_audio", "audio", "output_audio"]
    audio: str | None = None
    transcript: Text | None = None

    def part(self) -> Part:
        return Part(self.type, self.transcript or "", is_audio=True)


Content = Annotated[TextContent | AudioContent, Field(discriminator="type")]


class Message(Loose):
    type: Literal["message"]
    id: str | None = Field(None, min_length=1, max_length=256)
    role: Literal["user", "assistant", "system"]
    content: list[Content] = Field(max_length=MOST_PARTS)


class FunctionCall(Loose):
    type: Literal["function_call"]
    id: str | None = Field(None, min_length=1, max_length=256)
    call_id: str | None = None
    name: str
    arguments: Text


class FunctionCallOutput(Loose):
    type: Literal["function_call_output"]
    id: str | None = Field(None, min_length=1, max_length=256)
    call_id: str
    output: Text


class ForceMessage(Loose):
    type: Literal["force_message"]
    id: str | None = None
    content: list[Content] = Field(max_length=MOST_PARTS)
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
    instructions: Text | None = None
    metadata: Annotated[Metadata, Field(max_length=16)] | None = None


class ResponseCreate(Event):
    type: Literal["response.create"]
    response: ResponseFields | None = None


class ResponseCancel(Event):
    type: Literal["response.cancel"]
    response_id: str | None = None


class SecretRequest(Loose):
    """The part of a request for a client secret that is checked as an update is."""

    session: SessionFields


ClientEvent = (
    SessionUpdate
    | BufferAppend
    | BufferCommit
    | BufferClear
    | ItemCreate
    | ItemDelete
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel
)
_LATE = ConfigDict(defer_build=True)
"""Validators are built when the first event is read, so that a server starts sooner."""
EVENTS: TypeAdapter[ClientEvent] = TypeAdapter(Annotated[ClientEvent, Field(discriminator="type")], config=_LATE)
