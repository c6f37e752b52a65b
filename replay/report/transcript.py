"""The transcript of a recording: who said what when, tool calls with their results, and what else happened.

Built from the events of either dialect. soundtrack.py has the audio, bill.py the cost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from replay.cassette.frames import Close, Reset
from replay.cassette.json_values import text_at
from replay.cassette.recording import Line, Moment, Recording
from replay.cassette.records import Request

Who = Literal["caller", "service"]


@dataclass(slots=True)
class Utterance:
    """Text and when it began, in seconds. `typed`: it was text input. `cut`: it was interrupted. `frame`: the number
    of the frame that it began with. `item_id`: empty for an item that the client did not name.
    """

    at_s: float
    who: Who
    text: str
    typed: bool = False
    cut: bool = False
    frame: int = 0
    item_id: str = ""


@dataclass(slots=True)
class CalledTool:
    """A tool call. `result` and `took_s` (seconds) are None without a result. `frame`, `result_frame`: the numbers of
    the frames with its arguments and its result.
    """

    at_s: float
    name: str
    arguments: str
    result: str | None = None
    took_s: float | None = None
    frame: int = 0
    result_frame: int | None = None
    call_id: str = ""


@dataclass(slots=True)
class ResponseTiming:
    """One response, in seconds: when it was requested (None: not seen), created, first heard and ended; its final
    status; and the numbers of the frames that created it and had its first audio.
    """

    requested_s: float | None
    created_s: float
    first_s: float | None = None
    ended_s: float | None = None
    status: str = "in_progress"
    response_id: str = ""
    frame: int = 0
    first_frame: int | None = None


@dataclass(slots=True)
class Note:
    """Something that happened to the connection or the turn. `alarm`: somebody should look at it. `begins`: a new
    connection. `frame`: the number of its frame; None for a handshake.
    """

    at_s: float
    text: str
    alarm: bool = False
    begins: bool = False
    frame: int | None = None


@dataclass(slots=True)
class Transcript:
    """The parts of a conversation, each kind in order of time. `seconds`: when the recording ended."""

    utterances: list[Utterance] = field(default_factory=list)
    tool_calls: list[CalledTool] = field(default_factory=list)
    responses: list[ResponseTiming] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    seconds: float = 0.0


def transcript_of(recording: Recording) -> Transcript:
    """The transcript of a recording. Events that cannot be read are skipped."""
    transcript, frame = Transcript(), 0
    for number, line in enumerate(recording.lines):
        transcript.notes.append(opened(line, number))
        reader = TranscriptReader(transcript)
        for moment in line.moments:
            reader.take(moment, frame)
            frame += 1
        transcript.seconds = max([transcript.seconds, line.opened_s, *(moment.at_s for moment in line.moments[-1:])])
    for kind in (transcript.utterances, transcript.tool_calls, transcript.notes):
        kind.sort(key=lambda each: each.at_s)
    return transcript


class TranscriptReader:
    """Reads one connection into a transcript, frame by frame."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._frame = 0
        self._said: dict[str, Utterance] = {}
        """By item."""
        self._began: dict[str, float] = {}
        """By item: when the user's turn began."""
        self._calls: dict[str, CalledTool] = {}
        self._requested_s: float | None = None
        self._response: ResponseTiming | None = None
        self._turn_s: float | None = None
        self._closed = False

    def take(self, moment: Moment, frame: int) -> None:
        """Read one frame. `frame`: its number. A frame that lacks what its type promises is skipped."""
        self._frame = frame
        match moment.frame:
            case Close(code, reason) if not self._closed:
                self._closed = True
                who = "the caller" if moment.way == "sent" else "the service"
                text = f"{who} hung up ({code} {reason})".replace(" )", ")")
                self._note(moment, text, alarm=code not in (1000, 1001, 1005))
            case Reset():
                self._note(moment, "the connection was lost", alarm=True)
            case _:
                pass
        if moment.event is not None:
            try:
                self._sent(moment, moment.event) if moment.way == "sent" else self._received(moment, moment.event)
            except (KeyError, TypeError, AttributeError, ValueError):  # an event that lacks what its type promises
                return

    def _sent(self, moment: Moment, event: Mapping[str, Any]) -> None:
        match moment.type:
            case "input_audio_buffer.append":
                if self._turn_s is None:
                    self._turn_s = moment.at_s
            case "input_audio_buffer.commit" | "response.create":
                self._requested_s = moment.at_s
            case "conversation.item.create":
                self._item(moment, event["item"])
            case "conversation.item.truncate":
                self._note(
                    moment,
                    f"the caller interrupted the response; {event['audio_end_ms'] / 1000:.1f} s of it were played",
                )
                self._words(moment, event["item_id"]).cut = True
            case "response.cancel":
                self._note(moment, "the caller cancelled the response")
            case _:
                pass

    def _item(self, moment: Moment, item: Mapping[str, Any]) -> None:
        match item:
            case {"type": "function_call_output", "call_id": str(call_id)}:
                if (call := self._calls.get(call_id)) is not None:
                    call.result, call.took_s = str(item.get("output", "")), moment.at_s - call.at_s
                    call.result_frame = self._frame
            case {"type": "message", "content": list(content)}:
                words = " ".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
                if words:
                    who: Who = "service" if item.get("role") == "assistant" else "caller"
                    item_id = str(item.get("id", ""))
                    typed = Utterance(moment.at_s, who, words, typed=True, frame=self._frame, item_id=item_id)
                    self._transcript.utterances.append(typed)
            case _:
                pass

    def _received(self, moment: Moment, event: Mapping[str, Any]) -> None:
        match moment.type:
            case "input_audio_buffer.speech_started":
                self._began[event["item_id"]] = moment.at_s
            case "input_audio_buffer.speech_stopped":
                self._requested_s = moment.at_s
            case "input_audio_buffer.committed":
                self._began.setdefault(event["item_id"], moment.at_s if self._turn_s is None else self._turn_s)
                self._turn_s = None
            case "conversation.item.input_audio_transcription.completed":
                if event.get("status", "completed") == "completed":
                    item_id = event["item_id"]
                    began_s = self._began.get(item_id, moment.at_s)
                    spoken = Utterance(began_s, "caller", event["transcript"], frame=self._frame, item_id=item_id)
                    self._transcript.utterances.append(spoken)
            case "error":
                self._note(moment, f"error: {event['error'].get('message', '')}", alarm=True)
            case _:
                self._response_event(moment, event)

    def _response_event(self, moment: Moment, event: Mapping[str, Any]) -> None:
        match moment.type:
            case "response.created":
                response_id = text_at(event, "response", "id")
                self._response = ResponseTiming(
                    self._requested_s, moment.at_s, response_id=response_id, frame=self._frame
                )
                self._requested_s = None
                self._transcript.responses.append(self._response)
            case "response.output_audio.delta" | "response.audio.delta":
                if self._response is not None and self._response.first_s is None:
                    self._response.first_s, self._response.first_frame = moment.at_s, self._frame
                self._words(moment, event["item_id"])
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                self._words(moment, event["item_id"]).text += event["delta"]
            case "response.output_audio_transcript.done":
                self._words(moment, event["item_id"]).text = event["transcript"]
            case "response.output_text.done":
                self._words(moment, event["item_id"]).text = event["text"]
            case "response.function_call_arguments.done":
                self._call(moment, event, event["call_id"])
            case "response.mcp_call_arguments.done":
                self._call(moment, event, event["item_id"])
            case "response.output_item.done" if event["item"].get("type") == "mcp_call":
                call = self._calls[event["item"]["id"]]
                call.name = call.name or str(event["item"].get("name", ""))
                call.result = str(event["item"].get("output") or event["item"].get("error") or "")
                call.took_s, call.result_frame = moment.at_s - call.at_s, self._frame
            case "response.done":
                self._done(moment, event["response"])
            case _:
                pass

    def _call(self, moment: Moment, event: Mapping[str, Any], call_id: str) -> None:
        name, arguments = str(event.get("name", "")), str(event["arguments"])
        self._calls[call_id] = CalledTool(moment.at_s, name, arguments, frame=self._frame, call_id=call_id)
        self._transcript.tool_calls.append(self._calls[call_id])

    def _words(self, moment: Moment, item_id: str) -> Utterance:
        if item_id not in self._said:
            self._said[item_id] = Utterance(moment.at_s, "service", "", frame=self._frame, item_id=item_id)
            self._transcript.utterances.append(self._said[item_id])
        return self._said[item_id]

    def _done(self, moment: Moment, response: Mapping[str, Any]) -> None:
        status = str(response.get("status", "completed"))
        if self._response is not None:
            self._response.ended_s, self._response.status = moment.at_s, status
        if status != "completed":
            for said in list(self._said.values())[-1:]:
                said.cut = True
            self._note(moment, f"the response ended as {status}", alarm=status == "failed")

    def _note(self, moment: Moment, text: str, *, alarm: bool = False) -> None:
        self._transcript.notes.append(Note(moment.at_s, text, alarm, frame=self._frame))


def opened(line: Line, number: int) -> Note:
    """The handshake of a connection, as a note."""
    if line.refused:
        status = line.response.status if line.response is not None else 0
        return Note(line.opened_s, f"connection {number} was refused with HTTP {status}", alarm=True)
    resumed = isinstance(line.request, Request) and "conversation_id=" in line.request.target
    text = f"connection {number} {'resumed the conversation' if resumed else 'opened'}"
    return Note(line.opened_s, text, begins=True)


def pretty(text: str) -> str:
    """JSON text in one formatting, any other text as it is."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
