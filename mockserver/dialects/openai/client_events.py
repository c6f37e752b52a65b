"""What a client may send to OpenAI, as models: no coercion, no unknown members. How an event reads: parse.py."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter

Id = Annotated[str, Field(max_length=32, pattern="^[a-zA-Z0-9_-]+$")]
"""Ids of items and calls; the longest ids of real clients have 32 characters."""
EventId = Annotated[str, Field(max_length=512)]

Text = Annotated[str, Field(max_length=1_000_000)]
"""Text for the model. The bound is a guess: the services bound texts by their tokens."""
MOST_PARTS = 1000
"""Parts of one item, a guess."""


class Strict(BaseModel):
    """No coercion, no unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", defer_build=True)


class Loose(BaseModel):
    """Objects whose further members the mock does not look into."""

    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)


class Pcm(Strict):
    type: Literal["audio/pcm"]
    rate: int | None = Field(24000, ge=24000, le=24000)


class Pcmu(Strict):
    type: Literal["audio/pcmu"]


class Pcma(Strict):
    type: Literal["audio/pcma"]


Format = Annotated[Pcm | Pcmu | Pcma, Field(discriminator="type")]


class Transcription(Strict):
    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    languages: list[str] | None = None
    keywords: list[str] | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class NoiseReduction(Strict):
    type: Literal["near_field", "far_field"]


class ServerVad(Strict):
    type: Literal["server_vad"]
    threshold: float | None = Field(None, ge=0, le=1)
    prefix_padding_ms: int | None = Field(None, ge=0)
    silence_duration_ms: int | None = Field(None, ge=0)
    idle_timeout_ms: int | None = Field(None, ge=5000, le=30000)
    create_response: bool | None = None
    interrupt_response: bool | None = None


class SemanticVad(Strict):
    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None


TurnDetection = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class AudioInput(Strict):
    format: Format | None = None
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: TurnDetection | None = None


class CustomVoice(Strict):
    id: str


def _kind(value: Any) -> str:
    return "object" if isinstance(value, (dict, BaseModel)) else "name"


def _listed(value: Any) -> str:
    return "object" if isinstance(value, (dict, BaseModel)) else "list"


Voice = Annotated[
    Annotated[
        Literal["alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"], Tag("name")
    ]
    | Annotated[CustomVoice, Tag("object")],
    Discriminator(_kind),
]


class ResponseAudioOutput(Strict):
    format: Format | None = None
    voice: Voice | None = None


class AudioOutput(ResponseAudioOutput):
    speed: float | None = Field(None, ge=0.25, le=1.5)


class Audio(Strict):
    input: AudioInput | None = None
    output: AudioOutput | None = None


class ResponseAudio(Strict):
    output: ResponseAudioOutput | None = None


class TranscriptionAudio(Strict):
    input: AudioInput | None = None


class Function(Strict):
    type: Literal["function"]
    name: str = Field(min_length=1, max_length=128)
    description: Text | None = None
    parameters: dict[str, Any] | None = None


class ToolFilter(Strict):
    tool_names: list[str] | None = None
    read_only: bool | None = None


class ApprovalFilter(Strict):
    always: ToolFilter | None = None
    never: ToolFilter | None = None


class Mcp(Loose):
    type: Literal["mcp"]
    server_label: str
    allowed_tools: (
        Annotated[Annotated[list[str], Tag("list")] | Annotated[ToolFilter, Tag("object")], Discriminator(_listed)]
        | None
    ) = None
    require_approval: (
        Annotated[
            Annotated[Literal["always", "never"], Tag("name")] | Annotated[ApprovalFilter, Tag("object")],
            Discriminator(_kind),
        ]
        | None
    ) = None


Tool = Annotated[Function | Mcp, Field(discriminator="type")]


class ChosenFunction(Strict):
    type: Literal["function"]
    name: str


class ChosenMcp(Strict):
    type: Literal["mcp"]
    server_label: str
    name: str | None = None


ChosenTool = Annotated[ChosenFunction | ChosenMcp, Field(discriminator="type")]
ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("name")] | Annotated[ChosenTool, Tag("object")],
    Discriminator(_kind),
]


class TokenLimits(Strict):
    post_instructions: int | None = Field(None, ge=0)


class RetentionRatio(Strict):
    type: Literal["retention_ratio"]
    retention_ratio: float = Field(ge=0, le=1)
    token_limits: TokenLimits | None = None


Truncation = Annotated[
    Annotated[Literal["auto", "disabled"], Tag("name")] | Annotated[RetentionRatio, Tag("object")],
    Discriminator(_kind),
]


class Tracing(Strict):
    workflow_name: str | None = None
    group_id: str | None = None
    metadata: dict[str, Any] | None = None


def _number(value: Any) -> str:
    return "name" if isinstance(value, str) else "number"


MaxTokens = Annotated[
    Annotated[Literal["inf"], Tag("name")] | Annotated[int, Field(ge=1, le=4096), Tag("number")],
    Discriminator(_number),
]
Modalities = list[Literal["text", "audio"]]


class Prompt(Loose):
    id: str


class Reasoning(Strict):
    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class Answering(Strict):
    """What a session and a single response have in common."""

    output_modalities: Modalities | None = None
    instructions: Text | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    max_output_tokens: MaxTokens | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    prompt: Prompt | None = None


class RealtimeSession(Answering):
    type: Literal["realtime"]
    model: str | None = None
    audio: Audio | None = None
    tracing: (
        Annotated[Annotated[Literal["auto"], Tag("name")] | Annotated[Tracing, Tag("object")], Discriminator(_kind)]
        | None
    ) = None
    truncation: Truncation | None = None
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None


class TranscriptionSession(Strict):
    type: Literal["transcription"]
    audio: TranscriptionAudio | None = None
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None


AnySession = Annotated[RealtimeSession | TranscriptionSession, Field(discriminator="type")]


class InputAudio(Strict):
    type: Literal["input_audio"]
    audio: str | None = None
    transcript: Text | None = None
    format: Any = None


class InputImage(Strict):
    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto", "low", "high"] | None = None


class InputText(Strict):
    type: Literal["input_text"]
    text: Text


class OutputContent(Strict):
    """A client cannot add an assistant's audio: either type requires a text (clients' live checks)."""

    type: Literal["output_text", "output_audio"]
    text: Text
    transcript: Text | None = None
    audio: str | None = None


class Entry(Strict):
    id: Id | None = None
    object: Literal["realtime.item"] | None = None
    status: Literal["completed", "incomplete", "in_progress"] | None = None


class UserMessage(Entry):
    type: Literal["message"]
    role: Literal["user"]
    content: list[Annotated[InputText | InputAudio | InputImage, Field(discriminator="type")]] = Field(
        max_length=MOST_PARTS
    )


class SystemMessage(Entry):
    type: Literal["message"]
    role: Literal["system"]
    content: list[InputText] = Field(max_length=MOST_PARTS)


class AssistantMessage(Entry):
    type: Literal["message"]
    role: Literal["assistant"]
    content: list[OutputContent] = Field(max_length=MOST_PARTS)
    phase: Literal["commentary", "final_answer"] | None = None


Message = Annotated[UserMessage | SystemMessage | AssistantMessage, Field(discriminator="role")]


class FunctionCall(Entry):
    type: Literal["function_call"]
    call_id: Id | None = None
    name: str
    arguments: Text


class FunctionCallOutput(Entry):
    type: Literal["function_call_output"]
    call_id: Id
    output: Text


class ApprovalResponse(Entry):
    type: Literal["mcp_approval_response"]
    approval_request_id: str
    approve: bool
    reason: Text | None = None


class ItemReference(Strict):
    type: Literal["item_reference"]
    id: str


def _type(value: Any) -> Any:
    return value.get("type") if isinstance(value, dict) else getattr(value, "type", None)


Item = Annotated[
    Annotated[Message, Tag("message")]
    | Annotated[FunctionCall, Tag("function_call")]
    | Annotated[FunctionCallOutput, Tag("function_call_output")]
    | Annotated[ApprovalResponse, Tag("mcp_approval_response")],
    Discriminator(_type),
]
ResponseInput = Annotated[
    Annotated[Message, Tag("message")]
    | Annotated[FunctionCall, Tag("function_call")]
    | Annotated[FunctionCallOutput, Tag("function_call_output")]
    | Annotated[ItemReference, Tag("item_reference")],
    Discriminator(_type),
]
Metadata = dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]]


class ResponseFields(Answering):
    audio: ResponseAudio | None = None
    conversation: Literal["auto", "none"] | None = None
    metadata: Annotated[Metadata, Field(max_length=16)] | None = None
    input: list[ResponseInput] | None = None


class Event(Strict):
    event_id: EventId | None = None


class SessionUpdate(Event):
    type: Literal["session.update"]
    session: AnySession


class SessionClose(Event):
    type: Literal["session.close"]


class BufferAppend(Event):
    type: Literal["input_audio_buffer.append"]
    audio: str


class TranslationAppend(Event):
    type: Literal["session.input_audio_buffer.append"]
    audio: str


class BufferCommit(Event):
    type: Literal["input_audio_buffer.commit"]


class BufferClear(Event):
    type: Literal["input_audio_buffer.clear"]


class OutputBufferClear(Event):
    type: Literal["output_audio_buffer.clear"]


class ItemCreate(Event):
    type: Literal["conversation.item.create"]
    previous_item_id: str | None = None
    item: Item


class ItemTruncate(Event):
    type: Literal["conversation.item.truncate"]
    item_id: str
    content_index: int = Field(ge=0)
    audio_end_ms: int = Field(ge=0)


class ItemDelete(Event):
    type: Literal["conversation.item.delete"]
    item_id: str


class ItemRetrieve(Event):
    type: Literal["conversation.item.retrieve"]
    item_id: str


class ResponseCreate(Event):
    type: Literal["response.create"]
    response: ResponseFields | None = None


class ResponseCancel(Event):
    type: Literal["response.cancel"]
    response_id: str | None = None


ClientEvent = (
    # In the order in which the service names them when it refuses another.
    SessionUpdate
    | SessionClose
    | BufferAppend
    | TranslationAppend
    | BufferCommit
    | BufferClear
    | ItemCreate
    | ItemTruncate
    | ItemDelete
    | ItemRetrieve
    | ResponseCreate
    | ResponseCancel
)
CallEvent = ClientEvent | OutputBufferClear
_LATE = ConfigDict(defer_build=True)
"""Validators are built when the first event is read, so that a server starts sooner."""
EVENTS: TypeAdapter[ClientEvent] = TypeAdapter(Annotated[ClientEvent, Field(discriminator="type")], config=_LATE)
CALL_EVENTS: TypeAdapter[CallEvent] = TypeAdapter(Annotated[CallEvent, Field(discriminator="type")], config=_LATE)
"""What a client may send on the data channel or the sideband of a call. The order in a refusal is a guess."""
SESSION: TypeAdapter[RealtimeSession | TranscriptionSession] = TypeAdapter(AnySession, config=_LATE)
