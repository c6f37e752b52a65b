"""A call as one JSON document: its sound, what was said and done, spans, latencies, findings, faults, frames.

CallReader takes the frames of a cassette or of a live session one by one; `document` can be asked for at any time. All
times are in seconds since the recording began. The viewer in web/ draws the document and infers nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from replay.cassette.frames import Binary, Close, Text
from replay.cassette.json_values import number_at, text_at
from replay.cassette.recording import Line, Moment
from replay.cassette.records import Way
from replay.findings.finding import Finding
from replay.report.listing import brief
from replay.report.soundtrack import ConnectionAudio, Soundtrack
from replay.report.transcript import (
    CalledTool,
    Note,
    ResponseTiming,
    Transcript,
    TranscriptReader,
    Utterance,
    Who,
    opened,
    pretty,
)
from replay.viewer.loudness import Peaks
from replay.viewer.rows import PackedRows

FORM = 1
"""The version of the document's form."""
MOST_FRAMES = 100_000
"""Frames of one document. Later ones are counted."""
MOST_BODIES = 48 << 20
"""Bytes of messages, without their audio, that a document shows. Later frames have no body."""
_LONGEST_TEXT = 4000
_LONGEST_AUDIO = 32
_DEEPEST = 60
_SIDES: Mapping[Way, Who] = {"sent": "caller", "received": "service"}
Event = dict[str, Any]


@dataclass(slots=True)
class _Heard:
    """Audio of one item on the time axis. `arrived_s`: when its last part crossed the wire. `frame`: the number of
    that part's frame.
    """

    side: Who
    start_s: float
    end_s: float
    arrived_s: float
    frame: int


@dataclass(slots=True)
class _Speech:
    """Speech that the service detected, on the time axis. `frame`: the number of the frame that said so."""

    start_s: float
    frame: int
    end_s: float | None = None


class _Connection:
    """What is known of one connection."""

    def __init__(self, reader: CallReader, opened_s: float, skipped: int) -> None:
        self.opened_s = opened_s
        self.skipped = skipped
        self.words = TranscriptReader(reader.transcript)
        self.audio = ConnectionAudio(reader.sound, opened_s)
        self.frames: list[int] = []
        """The numbers of its frames."""
        self.chunks_ms: list[float] = [0.0]
        """Milliseconds of the user's audio before each chunk; the last one is the total."""
        self.chunks_s: list[float] = []
        """When each chunk begins."""
        self.sent: tuple[float, float] | None = None
        """The user's audio since the last turn: from, to."""
        self.committed: tuple[float, float] | None = None
        """The user's audio that the client committed, until the service says so too."""
        self.speech: _Speech | None = None
        self.waiting = False
        """A turn has ended, and no response was created since."""
        self.ended_s: float | None = None
        """When the voice of that turn ended."""

    def axis_s(self, ms: float | None) -> float | None:
        """Where a place in the user's audio is on the time axis; no later than the audio's end."""
        if ms is None or not self.chunks_s:
            return None
        place = min(max(0.0, ms), self.chunks_ms[-1])
        chunk = min(max(0, bisect_right(self.chunks_ms, place) - 1), len(self.chunks_s) - 1)
        return self.chunks_s[chunk] + (place - self.chunks_ms[chunk]) / 1000


@dataclass(slots=True)
class _Strike:
    at_s: float
    fault: str
    event: str
    frame: int


@dataclass(slots=True)
class CallReader:
    """Reads a call, frame by frame, in the order of time."""

    transcript: Transcript = field(default_factory=Transcript)
    sound: Soundtrack = field(default_factory=Soundtrack)
    peaks: dict[Way, Peaks] = field(default_factory=lambda: {"sent": Peaks(), "received": Peaks()})
    frames: PackedRows = field(default_factory=PackedRows)
    frames_left_out: int = 0
    _connections: dict[int, _Connection] = field(default_factory=dict)
    _sessions: dict[str, int] = field(default_factory=dict)
    """The connection of each session, by the session's id."""
    _heard: dict[str, _Heard] = field(default_factory=dict)
    """By item."""
    _speech: list[_Speech] = field(default_factory=list)
    _voice_ended: dict[str, float] = field(default_factory=dict)
    """By response: when the voice before it ended."""
    _strikes: list[_Strike] = field(default_factory=list)
    _bodies: int = 0
    _samples: int = 0

    def open(self, number: int, line: Line, skipped: int = 0) -> None:
        """A connection was opened, or refused. `skipped`: frames at its beginning that are not known any more."""
        self.transcript.notes.append(opened(line, number))
        self.transcript.seconds = max(self.transcript.seconds, line.opened_s)
        self._connections[number] = _Connection(self, line.opened_s, skipped)

    def take(self, number: int, moment: Moment) -> None:
        """A frame of the connection with this number, which must be open."""
        connection, frame = self._connections[number], len(self.frames) + self.frames_left_out
        connection.frames.append(frame)
        self.transcript.seconds = max(self.transcript.seconds, moment.at_s)
        self._row(number, moment)
        self._audio(connection, moment, frame)
        connection.words.take(moment, frame)
        event = moment.event or {}
        match moment.way, moment.type:
            case "received", "session.created":
                self._sessions[text_at(event, "session", "id") or f"connection {number}"] = number
            case "received", "input_audio_buffer.speech_started":
                start_s = connection.axis_s(number_at(event, "audio_start_ms"))
                connection.speech = _Speech(moment.at_s if start_s is None else start_s, frame)
                self._speech.append(connection.speech)
            case "received", "input_audio_buffer.speech_stopped" if connection.speech is not None:
                end_s = connection.axis_s(number_at(event, "audio_end_ms"))
                connection.speech.end_s = moment.at_s if end_s is None else end_s
                if not connection.waiting:
                    self._ended(connection, connection.speech.start_s, connection.speech.end_s)
            case "sent", "input_audio_buffer.commit" if connection.sent is not None:
                connection.committed, connection.sent = connection.sent, None
                self._ended(connection, *connection.committed)
            case "received", "input_audio_buffer.committed":
                self._committed(connection, moment, frame)
            case "sent", "input_audio_buffer.clear":
                connection.sent = None
            case "received", "response.created":
                if connection.ended_s is not None:
                    self._voice_ended[text_at(event, "response", "id")] = connection.ended_s
                connection.ended_s, connection.waiting = None, False
            case _:
                pass

    def _ended(self, connection: _Connection, start_s: float, end_s: float) -> None:
        connection.waiting, connection.ended_s = True, self.peaks["sent"].voice_end(start_s, end_s)

    def _committed(self, connection: _Connection, moment: Moment, frame: int) -> None:
        """The user's turn is over: what the client committed, else detected speech, else all audio since the last."""
        speech, found = connection.speech, connection.committed or connection.sent
        if connection.committed is None and speech is not None and speech.end_s is not None:
            found = speech.start_s, speech.end_s
        elif speech is not None and found is not None:
            speech.start_s, speech.end_s = found
        connection.speech = connection.sent = connection.committed = None
        if found is not None:
            self._heard[text_at(moment.event, "item_id")] = _Heard("caller", *found, moment.at_s, frame)

    def struck(self, at_s: float, way: Way, fault: str, event: str) -> None:
        """The mock triggered a fault."""
        frame = len(self.frames) + self.frames_left_out
        self._strikes.append(_Strike(at_s, fault, event, frame))
        shown = {"fault": fault, "event": event}
        self._keep(
            {"at_s": at_s, "way": way, "type": "fault", "size": 0, "brief": f"{fault} at {event}", "body": shown}
        )

    def _row(self, number: int, moment: Moment) -> None:
        event, size = moment.event, 0
        body: object = None
        match moment.frame:
            case Text(data):
                size = len(data)
                body = data.decode(errors="replace")[:_LONGEST_TEXT] if event is None else _shown(event, moment.type)
            case Binary(data):
                size, body = len(data), {"bytes": len(data)}
            case Close(code, reason):
                body = {"code": code, "reason": reason}
            case _:
                pass
        row: Event = {"at_s": round(moment.at_s, 6), "way": moment.way, "type": moment.type, "size": size, "body": body}
        if number:
            row["connection"] = number
        if event is not None:
            row["brief"] = "" if _is_audio(moment.type) else brief(event)
            row["key"] = text_at(event, "item_id") or text_at(event, "item", "id") or text_at(event, "item", "call_id")
        self._keep(row)

    def _keep(self, row: Event) -> None:
        if len(self.frames) == MOST_FRAMES:
            self.frames_left_out += 1
            return
        if not _is_audio(str(row["type"])):
            self._bodies += int(row["size"])
            if self._bodies > MOST_BODIES:
                row["body"] = None
        self.frames.append(row)

    def _audio(self, connection: _Connection, moment: Moment, frame: int) -> None:
        before_s = connection.audio.ends["received"]
        piece = connection.audio.take(moment)
        if (end_s := connection.audio.ends["received"]) < before_s:  # interrupted: the rest was not played
            self.peaks["received"].cut(end_s)
            for heard in self._heard.values():
                if heard.side == "service":
                    heard.end_s = max(heard.start_s, min(heard.end_s, end_s))
        if piece is None:
            return
        self._samples += len(piece.samples)
        self.peaks[piece.side].add(piece)
        if piece.side == "sent":
            connection.chunks_s.append(piece.start_s)
            connection.chunks_ms.append(connection.chunks_ms[-1] + 1000 * (piece.end_s - piece.start_s))
            connection.sent = piece.start_s if connection.sent is None else connection.sent[0], piece.end_s
            return
        item_id = text_at(moment.event, "item_id")
        known = self._heard.setdefault(item_id, _Heard("service", piece.start_s, piece.end_s, moment.at_s, frame))
        known.end_s, known.arrived_s, known.frame = piece.end_s, moment.at_s, frame

    @property
    def held_bytes(self) -> int:
        """Bytes of the audio and the messages that are kept, about."""
        return 2 * self._samples + self._bodies

    @property
    def seconds(self) -> float:
        """The length of the call, with audio that is still to be played."""
        return max([self.transcript.seconds, *(piece.end_s for piece in self.sound.pieces)])

    def document(
        self,
        *,
        title: str,
        facts: Mapping[str, str | None],
        figures: Sequence[tuple[str, str]],
        findings: Iterable[Finding] = (),
        cost: Mapping[str, Any] | None = None,
        notes: Sequence[str] = (),
        heard_by: Mapping[str, str] | None = None,
        since: int = 0,
        seconds: float = 0.0,
        packed: bool = False,
    ) -> Event:
        """The document.

        `facts`: what is known of the whole call. `figures`: names and values for the reader. `cost`: a bill. `notes`:
        sentences about the document. `heard_by`: by item, what decided on a transcript. `since`: leave out so many
        frames at the beginning. `seconds`: how long the call has lasted, if it still lasts. `packed`: all frames, for a
        reader that takes them one after another.
        """
        whole_s = max(self.seconds, seconds, 0.001)
        return {
            "form": FORM,
            "title": title,
            "facts": {name: value for name, value in facts.items() if value},
            "figures": [{"name": name, "value": value} for name, value in figures],
            "seconds": round(whole_s, 6),
            "channels": [
                {"side": side, **self.peaks[way].as_json(), "audio_s": round(self.audio_s(way), 3)}
                for way, side in _SIDES.items()
            ],
            "items": self._items(findings, heard_by or {}),
            "spans": sorted(self._spans(whole_s), key=_start),
            "brackets": sorted(self.brackets(), key=_start),
            "cost": cost,
            "notes": list(notes),
            "since": since,
            "frames": self.frames if packed else self.frames[since:],
            "frames_left_out": self.frames_left_out,
        }

    def frames_of(self, number: int) -> list[int]:
        """The numbers of the frames of a connection, in order."""
        return self._connections[number].frames

    def audio_s(self, way: Way) -> float:
        """Seconds of audio of one side."""
        return sum(len(piece.samples) / piece.rate for piece in self.sound.pieces if piece.side == way)

    def _items(self, findings: Iterable[Finding], heard_by: Mapping[str, str]) -> list[Event]:
        """What was said and done, in order of time. At the same time, words go before tools, and tools before notes."""
        said = {each.item_id for each in self.transcript.utterances}
        order: list[tuple[float, int, Event]] = [
            *((each.at_s, 0, self._said(each, heard_by)) for each in self.transcript.utterances),
            *(
                (
                    heard.start_s,
                    0,
                    self._said(Utterance(heard.start_s, heard.side, "", frame=heard.frame, item_id=id), {}),
                )
                for id, heard in self._heard.items()
                if id not in said
            ),
            *((each.at_s, 1, _tool(each)) for each in self.transcript.tool_calls),
            *((each.at_s, -1 if each.begins else 2, _note(each)) for each in self.transcript.notes),
            *((each.at_s, 3, _strike(each)) for each in self._strikes),
            *((item["at_s"], 4, item) for item in map(self._finding, findings)),
        ]
        order.sort(key=lambda each: each[:2])
        items = [item for _, _, item in order]
        turn = 0
        for number, item in enumerate(items):
            item["id"] = number
            if item["kind"] == "said":
                turn += 1
                item["turn"] = turn
        return items

    def _said(self, said: Utterance, heard_by: Mapping[str, str]) -> Event:
        item: Event = {"kind": "said", "side": said.who, "at_s": said.at_s, "text": said.text, "frame": said.frame}
        if said.typed:
            item["typed"] = True
        if said.cut:
            item["cut"] = True
        if said.item_id:
            item["key"] = said.item_id
            if (heard := self._heard.get(said.item_id)) is not None and heard.end_s > heard.start_s:
                item |= {"start_s": round(heard.start_s, 4), "end_s": round(heard.end_s, 4)}
            if said.who == "caller" and (by := heard_by.get(said.item_id)):
                item["heard_by"] = by
        return item

    def _finding(self, finding: Finding) -> Event:
        number = self._sessions.get(finding.session)
        connection = None if number is None else self._connections[number]
        if connection is None and finding.session and len(self._connections) == 1:
            connection = next(iter(self._connections.values()))
        frame, at_s = None, finding.at
        if connection is not None:
            at_s += connection.opened_s
            at = -1 if finding.frame is None else finding.frame - connection.skipped
            frame = connection.frames[at] if 0 <= at < len(connection.frames) else None
        item: Event = {
            "kind": "finding",
            "at_s": at_s,
            "text": finding.message,
            "rule": finding.rule,
            "fix": finding.fix,
        }
        return {**item, "level": finding.level, "frame": frame, "alarm": finding.level == "error"}

    def _spans(self, whole_s: float) -> Iterator[Event]:
        for speech in self._speech:
            end_s = whole_s if speech.end_s is None else speech.end_s
            yield _span("speech", speech.start_s, end_s, "speech", "speech that the service detected", speech.frame)
        for response in self.transcript.responses:
            end_s = whole_s if response.ended_s is None else response.ended_s
            alarm = response.status not in ("completed", "in_progress")
            detail = f"response {response.response_id}: {response.status}".replace(" :", ":")
            yield {
                **_span("response", response.created_s, end_s, response.status, detail, response.frame),
                **({"alarm": True} if alarm else {}),
            }
        for call in self.transcript.tool_calls:
            end_s = call.at_s + (0.0 if call.took_s is None else call.took_s)
            result = "no result was sent" if call.took_s is None else f"{1000 * call.took_s:.0f} ms until the result"
            yield _span("tool", call.at_s, end_s, call.name, f"{call.name}: {result}", call.frame)
        for heard in self._heard.values():
            lead_s = heard.end_s - heard.arrived_s
            if heard.side == "service" and lead_s > 0.05:
                detail = f"the last audio arrived {lead_s:.1f} s before its end was played"
                yield _span("playback", heard.arrived_s, heard.end_s, f"{lead_s:.1f} s ahead", detail, heard.frame)

    def brackets(self) -> Iterator[Event]:
        """Waits, with their length in `ms`: of lane "first audio", one for each response, and of lane "tool"."""
        for response in self.transcript.responses:
            if response.first_s is not None and (found := self._wait(response)) is not None:
                start_s, since = found
                ms = 1000 * (response.first_s - start_s)
                yield {
                    **_span(
                        "first audio", start_s, response.first_s, f"{ms:.0f} ms", f"first audio {ms:.0f} ms {since}", 0
                    ),
                    "frame": response.first_frame,
                    "ms": round(ms, 1),
                }
        for call in self.transcript.tool_calls:
            if call.took_s is not None:
                ms = 1000 * call.took_s
                detail = f"{call.name}: {ms:.0f} ms from its arguments to its result"
                yield {
                    **_span("tool", call.at_s, call.at_s + call.took_s, f"{ms:.0f} ms", detail, call.frame),
                    "ms": round(ms, 1),
                }

    def _wait(self, response: ResponseTiming) -> tuple[float, str] | None:
        """From when on a caller waits for a response, and in words. The voice's end is measured in the audio."""
        first_s = response.first_s or 0.0
        voice_s = self._voice_ended.get(response.response_id)
        if voice_s is not None and voice_s <= first_s:
            return voice_s, "after the end of speech, which is measured in the audio"
        if response.requested_s is not None and response.requested_s <= first_s:
            return response.requested_s, "after the service's end of speech, or the request"
        return None


def _start(span: Event) -> float:
    return float(span["start_s"])


def _span(lane: str, start_s: float, end_s: float, label: str, detail: str, frame: int) -> Event:
    times = {"start_s": round(start_s, 4), "end_s": round(max(start_s, end_s), 4)}
    return {"lane": lane, **times, "label": label, "detail": detail, "frame": frame}


def _tool(call: CalledTool) -> Event:
    item: Event = {"kind": "tool", "at_s": call.at_s, "text": call.name, "frame": call.frame, "key": call.call_id}
    item |= {"start_s": call.at_s, "end_s": call.at_s + (call.took_s or 0.0), "arguments": pretty(call.arguments)}
    if call.result is None:
        return {**item, "alarm": True}
    return {
        **item,
        "result": pretty(call.result),
        "result_frame": call.result_frame,
        "ms": round(1000 * (call.took_s or 0.0), 1),
        "alarm": '"error"' in call.result,
    }


def _note(note: Note) -> Event:
    is_error = note.text.startswith("error: ")
    kind = "error" if note.alarm else "note"
    text = note.text.removeprefix("error: ") if is_error else note.text
    return {"kind": kind, "at_s": note.at_s, "text": text, "frame": note.frame, "alarm": note.alarm}


def _strike(strike: _Strike) -> Event:
    text = f"{strike.fault} at {strike.event}"
    return {"kind": "fault", "at_s": strike.at_s, "text": text, "frame": strike.frame, "alarm": True}


def _is_audio(kind: str) -> bool:
    return kind == "input_audio_buffer.append" or kind.endswith("audio.delta")


def _shown(event: Mapping[str, Any], kind: str) -> object:
    """An event with its audio and its longest texts shortened."""
    shorten: Callable[[str], bool] = ("audio", "delta").__contains__ if _is_audio(kind) else "audio".__eq__
    return _shortened(event, shorten, "", 0)


def _shortened(value: object, is_audio: Callable[[str], bool], name: str, depth: int) -> object:
    match value:
        case dict() | list() if depth == _DEEPEST:
            return "(nested too deeply to show)"
        case dict():
            return {key: _shortened(each, is_audio, key, depth + 1) for key, each in value.items()}
        case list():
            return [_shortened(each, is_audio, name, depth + 1) for each in value]
        case str():
            most = _LONGEST_AUDIO if is_audio(name) else _LONGEST_TEXT
            return value if len(value) <= most else f"{value[:most]}… ({len(value)} characters)"
        case float() if not isfinite(value):  # no JSON has these, but Python reads and writes them
            return str(value)
        case _:
            return value
