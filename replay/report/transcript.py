"""The transcript of a recording: who said what when, tool calls with their results, and what else happened.

Built from the events of either dialect. soundtrack.py has the audio, bill.py the cost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from replay.cassette.frames import Close, Reset
from replay.cassette.recording import Line, Moment, Recording
from replay.cassette.records import Request

Who = Literal["caller", "service"]


@dataclass(slots=True)
class Utterance:
    """Text and when it began, in seconds. `typed`: it was text input. `cut`: it was interrupted."""

    at_s: float
    who: Who
    text: str
    typed: bool = False
    cut: bool = False


@dataclass(slots=True)
class CalledTool:
    """A tool call. `result` and `took_s` (seconds) are None without a result."""

    at_s: float
    name: str
    arguments: str
    result: str | None = None
    took_s: float | None = None


@dataclass(slots=True)
class ResponseTiming:
    """One response, in seconds: when it was requested (None: not seen), created, first heard and ended; and its final
    status.
    """

    requested_s: float | None
    created_s: float
    first_s: float | None = None
    ended_s: float | None = None
    status: str = "in_progress"


@dataclass(slots=True)
class Note:
    """Something that happened to the connection or the turn. `alarm`: somebody should look at it. `begins`: a new
    connection.
    """

    at_s: float
    text: str
    alarm: bool = False
    begins: bool = False


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
    transcript = Transcript()
    for number, line in enumerate(recording.lines):
        reader = _TranscriptReader(transcript, line, number)
        for moment in line.moments:
            reader.take(moment)
        transcript.seconds = max([transcript.seconds, line.opened_s, *(moment.at_s for moment in line.moments[-1:])])
    for kind in (transcript.utterances, transcript.tool_calls, transcript.notes):
        kind.sort(key=lambda each: each.at_s)
    return transcript


class _TranscriptReader:
    """Reads one connection."""

    def __init__(self, transcript: Transcript, line: Line, number: int) -> None:
        self._transcript = transcript
        self._said: dict[str, Utterance] = {}
        """By item."""
        self._began: dict[str, float] = {}
        """By item: when the user's turn began."""
        self._calls: dict[str, CalledTool] = {}
        self._requested_s: float | None = None
        self._response: ResponseTiming | None = None
        self._turn_s: float | None = None
        self._closed = False
        transcript.notes.append(_opened(line, number))

    def take(self, moment: Moment) -> None:
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
            case {"type": "message", "content": list(content)}:
                words = " ".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
                if words:
                    who: Who = "service" if item.get("role") == "assistant" else "caller"
                    self._transcript.utterances.append(Utterance(moment.at_s, who, words, typed=True))
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
                    began_s = self._began.get(event["item_id"], moment.at_s)
                    self._transcript.utterances.append(Utterance(began_s, "caller", event["transcript"]))
            case "error":
                self._note(moment, f"error: {event['error'].get('message', '')}", alarm=True)
            case _:
                self._response_event(moment, event)

    def _response_event(self, moment: Moment, event: Mapping[str, Any]) -> None:
        match moment.type:
            case "response.created":
                self._response = ResponseTiming(self._requested_s, moment.at_s)
                self._requested_s = None
                self._transcript.responses.append(self._response)
            case "response.output_audio.delta" | "response.audio.delta":
                if self._response is not None and self._response.first_s is None:
                    self._response.first_s = moment.at_s
                self._words(moment, event["item_id"])
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                self._words(moment, event["item_id"]).text += event["delta"]
            case "response.output_audio_transcript.done":
                self._words(moment, event["item_id"]).text = event["transcript"]
            case "response.output_text.done":
                self._words(moment, event["item_id"]).text = event["text"]
            case "response.function_call_arguments.done":
                call = CalledTool(moment.at_s, str(event.get("name", "")), str(event["arguments"]))
                self._calls[event["call_id"]] = call
                self._transcript.tool_calls.append(call)
            case "response.done":
                self._done(moment, event["response"])
            case _:
                pass

    def _words(self, moment: Moment, item_id: str) -> Utterance:
        if item_id not in self._said:
            self._said[item_id] = Utterance(moment.at_s, "service", "")
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
        self._transcript.notes.append(Note(moment.at_s, text, alarm))


def _opened(line: Line, number: int) -> Note:
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
