"""The request and the answer of `POST /appointments/voice`: their models, limits and encodings.

The routes, which make the call, are in routes.py.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from starlette.datastructures import UploadFile
from starlette.requests import Request

from clinic_agent.app.problems import Problem, first_mistake
from clinic_agent.call.pcm import MAX_SPEECH_S, SAMPLE_RATE_HZ, read_wav, samples, wav_file, wav_samples
from clinic_agent.call.report import CallReport
from clinic_agent.call.turn import Event
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.clinic.tools import clinic_tools

MAX_TURNS = 10
MAX_TEXT_CHARS = 2000
_FORM_TYPES = ("multipart/form-data", "application/x-www-form-urlencoded")
_WAV_TYPES = ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave")

TOOL_NAMES = tuple(clinic_tools(Clinic(date.min)).by_name)

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT_CHARS)]
FileName = Annotated[str, Field(min_length=1, max_length=500)]
Voice = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]


class TurnRequest(BaseModel):
    """One turn of the caller: typed text, or a WAV file in the folder CLINIC_AUDIO."""

    model_config = ConfigDict(extra="forbid")

    text: Words | None = None
    audio_path: FileName | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> TurnRequest:
        if (self.text is None) == (self.audio_path is None):
            raise ValueError("give either text or audio_path")
        return self


class VoiceRequest(BaseModel):
    """The caller's turns: `text`, `audio_path`, or several `turns`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"text": "I would like a dental cleaning on July sixth."},
                {"audio_path": "booking-1.wav"},
                {
                    "turns": [
                        {"text": "I would like a dental cleaning on July sixth."},
                        {"text": "The nine thirty slot, please. My name is Maria Lopez."},
                    ],
                },
                {
                    "text": "Nine thirty. My name is Maria Lopez.",
                    "conversation_id": "78d417a1-7e9c-48c1-baa3",
                },
                {"text": "I would like a dental cleaning on July sixth.", "simulate_tool_failure": True},
                {"text": "I would like a dental cleaning on July sixth.", "voice": "eve", "telephony": True},
            ]
        },
    )

    text: Words | None = None
    audio_path: Annotated[FileName | None, Field(description="a WAV file inside the folder CLINIC_AUDIO")] = None
    turns: Annotated[list[TurnRequest] | None, Field(min_length=1, max_length=MAX_TURNS)] = None
    voice: Annotated[Voice | None, Field(description="the voice of the answers; null: CLINIC_VOICE, else ara")] = None
    telephony: Annotated[
        bool, Field(description="the call came over a telephone number of the service, which costs more a minute")
    ] = False
    conversation_id: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9_.:-]{1,128}$", description="from an earlier answer: continue that conversation"),
    ] = None
    simulate_tool_failure: Annotated[
        bool | str, Field(description="true: the tools of the calendar fail; the name of a tool: that tool fails")
    ] = False

    @model_validator(mode="after")
    def _one_of_them(self) -> VoiceRequest:
        if [self.text, self.audio_path, self.turns].count(None) != 2:
            raise ValueError("give one of text, audio_path and turns")
        return self

    def caller_turns(self) -> list[TurnRequest]:
        """The caller's turns, in order."""
        return self.turns or [TurnRequest(text=self.text, audio_path=self.audio_path)]


class ToolCall(BaseModel):
    """A tool call and its result; `arguments` is text if the model sent no JSON object."""

    name: str
    arguments: dict[str, Any] | str
    result: dict[str, Any]
    ms: float


class TurnAnswer(BaseModel):
    """A turn. `heard`: the caller's words; `said`: the assistant's. Latencies in s count from the end of the caller's
    words, tool calls included: `first_audio_seconds` to the first audio of the answer, `latency_seconds` to its end."""

    heard: str
    said: str
    first_audio_seconds: float | None
    latency_seconds: float


class VoiceAnswer(BaseModel):
    """A call: transcript, tool calls, latency, cost and audio."""

    transcript: Annotated[str, Field(description="the assistant's words; one line for each turn")]
    audio_wav_base64: Annotated[
        str | None,
        Field(description="the audio of the answers in order, PCM16 mono 24 kHz; null in a stream"),
    ] = None
    tool_calls: list[ToolCall]
    latency_seconds: Annotated[
        float, Field(description="from the end of the caller's words to the end of the answer, in s, summed over turns")
    ]
    estimated_cost_usd: Annotated[float | None, Field(description="null if the price of the model is not known")]
    audio_seconds: Annotated[float, Field(description="seconds of audio, sent and received")]
    conversation_id: str | None
    turns: list[TurnAnswer]
    first_audio_seconds: Annotated[
        float | None, Field(description="the longest wait for the first audio of an answer; null: no audio")
    ]
    audio_sent_seconds: float
    audio_received_seconds: float
    model: str
    ended: Annotated[bool, Field(description="whether the assistant has hung up")]
    recording_notice: str


class CallRequest(BaseModel):
    """A validated request. Each of `words` is a turn: typed text, or spoken PCM16 mono 24 kHz."""

    words: list[str | bytes]
    conversation_id: str | None
    failing: list[str]
    voice: str | None
    telephony: bool


async def read(http_request: Request, folder: Path | None) -> CallRequest:
    """Read a request: JSON, a form with WAV files, or one WAV file. Raises Problem for anything else."""
    kind = http_request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        request = _validated(await _json(http_request))
        words: list[str | bytes] = [_words(turn, folder) for turn in request.caller_turns()]
    elif kind in _FORM_TYPES:
        request, words = await _form(http_request, folder)
    elif kind in _WAV_TYPES:
        request, words = VoiceRequest(text="spoken"), [_spoken(await http_request.body(), "the body")]
    else:
        raise Problem(415, "send application/json, multipart/form-data or audio/wav; GET /docs shows examples")
    if sum(samples(said) for said in words if isinstance(said, bytes)) > MAX_SPEECH_S * SAMPLE_RATE_HZ:
        raise Problem(413, f"send at most {MAX_SPEECH_S} s of speech in one request")
    return CallRequest(
        words=words,
        conversation_id=request.conversation_id,
        failing=_failing(request),
        voice=request.voice,
        telephony=request.telephony,
    )


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise Problem(400, "the body is not JSON; GET /docs shows examples") from error


def _validated(request: Any) -> VoiceRequest:
    try:
        return VoiceRequest.model_validate(request)
    except ValidationError as error:
        raise Problem(422, f"{first_mistake(error)}; GET /docs shows examples") from error


async def _form(request: Request, folder: Path | None) -> tuple[VoiceRequest, list[str | bytes]]:
    """Read a form: files and `audio_path` are spoken turns, `text` typed ones, in the order of the form."""
    words: list[str | bytes] = []
    settings: dict[str, Any] = {}
    async with request.form(max_files=MAX_TURNS, max_fields=MAX_TURNS + 10, max_part_size=65_536) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                words.append(_spoken(await value.read(), value.filename or "the file"))
            elif name in ("text", "audio_path"):
                words.append(_words(_validated({name: value}).caller_turns()[0], folder))
            else:
                settings[name] = {"true": True, "false": False}.get(value.lower(), value)
    if not 1 <= len(words) <= MAX_TURNS:
        raise Problem(422, f"send 1 to {MAX_TURNS} turns: WAV files, or fields named text or audio_path")
    return _validated({"text": "as sent", **settings}), words


def _words(said: TurnRequest, folder: Path | None) -> str | bytes:
    if said.text is not None:
        return said.text
    assert said.audio_path is not None
    if folder is None:
        raise Problem(422, "audio_path: this server has no folder of audio files; set CLINIC_AUDIO, or upload the file")
    path = _inside(folder, said.audio_path)
    try:
        return read_wav(path)
    except ValueError as error:
        raise Problem(422, str(error).replace(str(path), said.audio_path)) from error
    except OSError as error:
        raise Problem(404, f"audio_path: {said.audio_path!r} cannot be read; name a WAV file of that folder") from error


def _inside(folder: Path, name: str) -> Path:
    """The file of that name, with links resolved. Raises Problem for a file outside the folder."""
    root = folder.resolve()
    try:
        path = (root / name).resolve()
        there = path.is_file()
    except OSError as error:  # a name that no file can have
        raise Problem(400, f"audio_path: {name[:80]!r} cannot be a file ({error.strerror}); name a WAV file") from error
    except (ValueError, RuntimeError):  # a zero byte, a loop of links
        path, there = root, False
    if not path.is_relative_to(root) or path == root:
        raise Problem(422, "audio_path: name a file inside the folder, without leading / and without ..")
    if not there:
        raise Problem(404, f"audio_path: there is no file {name[:80]!r} in that folder")
    return path


def _spoken(data: bytes, name: str) -> bytes:
    shown = Path(Path(name).name[:80] or "the file")
    try:
        return wav_samples(data, shown)
    except ValueError as error:
        raise Problem(422, str(error)) from error


def _failing(request: VoiceRequest) -> list[str]:
    """The names of the tools that are to fail; `true` means the tools of the calendar."""
    match request.simulate_tool_failure:
        case False:
            return []
        case True:
            return [name for name in TOOL_NAMES if name.endswith(("_availability", "_appointment"))]
        case name if name in TOOL_NAMES:
            return [name]
        case _:
            raise Problem(422, f"simulate_tool_failure: give true, false or one of {', '.join(TOOL_NAMES)}")


def answer(report: CallReport, notice: str, *, with_audio: bool = True) -> VoiceAnswer:
    """The answer for a call."""
    cost, turns = report.cost, report.turns
    firsts = [turn.first_audio_ms for turn in turns if turn.first_audio_ms is not None]
    sound = b"".join(turn.audio for turn in turns)
    usd = cost.usd
    return VoiceAnswer(
        transcript="\n".join(turn.said for turn in turns if turn.said),
        tool_calls=[
            ToolCall(name=run.name, arguments=run.arguments, result=run.result, ms=round(run.ms, 3))
            for turn in turns
            for run in turn.tools
        ],
        latency_seconds=_seconds(sum(turn.total_ms for turn in turns)),
        estimated_cost_usd=None if usd is None else round(float(usd), 6),
        audio_seconds=round(float(cost.input_s + cost.output_s), 2),
        conversation_id=report.conversation_id,
        turns=[
            TurnAnswer(
                heard=turn.heard,
                said=turn.said,
                first_audio_seconds=None if turn.first_audio_ms is None else _seconds(turn.first_audio_ms),
                latency_seconds=_seconds(turn.total_ms),
            )
            for turn in turns
        ],
        first_audio_seconds=_seconds(max(firsts)) if firsts else None,
        audio_sent_seconds=round(float(cost.input_s), 4),
        audio_received_seconds=round(float(cost.output_s), 4),
        model=report.model,
        ended=any(turn.hung_up for turn in turns),
        recording_notice=notice,
        audio_wav_base64=b64encode(wav_file(sound)).decode("ascii") if with_audio else None,
    )


def _seconds(ms: float) -> float:
    return round(ms / 1000, 3)


def stream_event(way: Literal["sent", "received"], event: Event) -> tuple[str, Mapping[str, Any]] | None:
    """The server-sent event for a frame of the call: its name and data; None: the frame is not streamed."""
    match way, event:
        case "received", {"type": "response.output_audio.delta", "delta": delta}:
            return "audio", {"pcm16_base64": delta, "rate": SAMPLE_RATE_HZ}
        case "received", {"type": "response.output_audio_transcript.delta", "delta": delta}:
            return "transcript", {"role": "assistant", "delta": delta}
        case "received", {"type": "conversation.item.input_audio_transcription.completed", "transcript": text}:
            final = event.get("status", "completed") == "completed"
            return "transcript", {"role": "caller", "text": text, "final": final}
        case "received", {"type": "response.function_call_arguments.done", "call_id": call_id, "name": name}:
            return "tool_call", {"call_id": call_id, "name": name, "arguments": event.get("arguments", "")}
        case "sent", {"item": {"type": "function_call_output", "call_id": call_id, "output": output}}:
            return "tool_result", {"call_id": call_id, "result": json.loads(output)}
        case _:
            return None


def sse(name: str, data: Mapping[str, Any]) -> bytes:
    """The bytes of a server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def schema() -> dict[str, Any]:
    """The JSON schema of VoiceRequest without references, for the OpenAPI description."""
    whole = VoiceRequest.model_json_schema()
    turn = whole.pop("$defs")["TurnRequest"]
    whole["properties"]["turns"]["anyOf"][0]["items"] = turn
    return whole
