"""The lock on the clinic's calendar: what a call must have said before the model may write.

A prompt is a wish; a model may ignore it. So the tools that book, move and cancel ask this module first. It knows the
transcript of the call, and refuses a write

- after words that sound like an emergency, until a person releases the call, and
- if the caller has not confirmed its details in this call: each was named by the caller, or read out by the assistant
  and then accepted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, time
from typing import Literal

from pydantic import BaseModel

from clinic_agent.call.tool import Result
from clinic_agent.call.turn import Event
from clinic_agent.clinic import spoken
from clinic_agent.clinic.emergency import emergency
from clinic_agent.clinic.spoken import Naming
from clinic_agent.clinic.tools import BookAppointment, CancelAppointment, RescheduleAppointment, TransferToHuman

TRANSCRIPT_S = 2.0
"""How long a write waits for the transcript of the caller's last words, in s."""
MAX_LINES = 1000
"""How many lines of a call are kept; of a longer call, the last ones."""
MAX_CHARS = 2000
"""How much of a line is read."""

Role = Literal["caller", "assistant"]


@dataclass(frozen=True, slots=True)
class Line:
    """Words of one side of the call."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the assistant said, and the caller's answer to it."""

    assistant: str
    caller: str


class CallLock:
    """The lock of one call. Give it each frame of the call with `see`, or its lines with `hear`.

    `today` is the clinic's date. `lines`, `own` and `emergency` continue a call that was known before: its transcript,
    the appointments that it booked, and the words that locked it. The methods are thread-safe.
    """

    def __init__(
        self,
        today: date,
        *,
        lines: Iterable[Line] = (),
        own: Iterable[Result] = (),
        emergency: str | None = None,
    ) -> None:
        self.lines: list[Line] = []
        self.emergency = emergency
        """The words that sound like an emergency; None: the calendar is not locked."""
        self._today = today
        self._own = {each["reference"]: each for each in own}
        self._said: dict[str, str] = {}
        self._waiting: set[str] = set()
        self._transcribed: set[str] = set()
        self._changed = threading.Condition()
        locked = emergency
        for line in lines:
            self.hear(line.role, line.text)
        self.emergency = locked  # lines that a person has seen do not lock again

    def see(self, way: Literal["sent", "received"], event: Event) -> None:
        """Take a frame of the call: the caller's and the assistant's words are in some of them."""
        match way, event:
            case "sent", {
                "type": "conversation.item.create",
                "item": {"type": "message", "role": "user", "content": list(parts)},
            }:
                self.hear("caller", " ".join(str(part.get("text", "")) for part in parts if isinstance(part, dict)))
            case "received", {"type": "input_audio_buffer.committed", "item_id": str(item)}:
                with self._changed:
                    self._waiting |= {item} - self._transcribed
            case "received", {
                "type": "conversation.item.input_audio_transcription.completed",
                "item_id": str(item),
                "transcript": str(text),
            }:
                # Drafts of one turn carry the text so far. They may lock, but only the final text may confirm.
                if event.get("status", "completed") == "completed":
                    self.hear("caller", text)
                    self._transcription_ended(item)
                else:
                    self._lock_for(text)
            case "received", {"type": "conversation.item.input_audio_transcription.failed", "item_id": str(item)}:
                self._transcription_ended(item)
            case "received", {"type": "response.output_audio_transcript.delta", "delta": str(delta)}:
                item = str(event.get("item_id", ""))
                self._said[item] = self._said.get(item, "") + delta
            case "received", {"type": "response.done"}:
                said, self._said = self._said, {}
                for text in said.values():
                    self.hear("assistant", text)
            case _:
                pass

    def hear(self, role: Role, text: str) -> None:
        """Take the words of one side."""
        text = text.strip()[:MAX_CHARS]
        if not text:
            return
        with self._changed:
            self.lines = [*self.lines, Line(role, text)][-MAX_LINES:]
        if role == "caller":
            self._lock_for(text)

    def read(self, transcript: Iterable[Line]) -> None:
        """Take the whole transcript of the call so far, from a client that has it."""
        lines = [Line(line.role, line.text.strip()[:MAX_CHARS]) for line in transcript]
        with self._changed:
            new, self.lines = lines[len(self.lines) :], lines[-MAX_LINES:]
        for line in new:
            if line.role == "caller":
                self._lock_for(line.text)

    def release(self) -> None:
        """A person has looked at the call: writes are possible again, until other words lock it."""
        self.emergency = None

    def ran(self, arguments: BaseModel, result: Result) -> None:
        """Take the result of a tool that was run."""
        match arguments:
            case BookAppointment() | RescheduleAppointment() if "reference" in result:
                self._own[result["reference"]] = result
            case TransferToHuman(reason=reason):
                self._lock_for(reason)
            case _:
                pass

    def refusal(self, arguments: BaseModel) -> str | None:
        """Why a tool may not be run now, in words for the model; None: it may. Waits for a late transcript."""
        match arguments:
            case BookAppointment() | RescheduleAppointment() | CancelAppointment():
                self._wait_for_transcript()
            case _:
                return None
        if self.emergency is not None:
            return (
                f"{self.emergency!r} sounds like an emergency: nothing is booked, moved or cancelled in this call "
                "until a person releases it; tell the caller to dial the emergency number, and call transfer_to_human"
            )
        if self._confirmed(arguments):
            return None
        return (
            f"not confirmed: say to the caller {self._read_out(arguments)!r}, and call this again after a yes, or with "
            "what the caller corrects"
        )

    def _transcription_ended(self, item: str) -> None:
        with self._changed:
            self._waiting.discard(item)
            self._transcribed.add(item)
            self._changed.notify_all()

    def _wait_for_transcript(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, TRANSCRIPT_S)

    def _lock_for(self, text: str) -> None:
        self.emergency = self.emergency or emergency(text[:MAX_CHARS])

    def _confirmed(self, arguments: BookAppointment | RescheduleAppointment | CancelAppointment) -> bool:
        exchanges = self._exchanges()
        if not exchanges or not spoken.agrees(exchanges[-1].caller):
            return False
        match arguments:
            case BookAppointment():
                return all(
                    (
                        _named(exchanges, lambda text: spoken.names_service(text, arguments.service)),
                        self._on(exchanges, arguments.date),
                        _at(exchanges, arguments.time),
                        _person(exchanges, arguments.name),
                    )
                )
            case RescheduleAppointment():
                # Of an appointment made in this call, the day or the time may stay without being named again.
                old = self._own.get(arguments.reference.upper(), {})
                day, start = arguments.date.isoformat(), arguments.time
                on, at = self._on(exchanges, arguments.date), _at(exchanges, start)
                return (
                    self._appointment(exchanges, arguments.reference, arguments.name)
                    and (old.get("date") == day if on is None else on)
                    and (old.get("time") == start if at is None else at)
                    and (old.get("date"), old.get("time")) != (day, start)
                )
            case CancelAppointment():
                asked = any(
                    spoken.asks_to_cancel(each.caller)
                    or (spoken.asks_to_cancel(each.assistant) and spoken.agrees(each.caller))
                    for each in exchanges
                )
                return asked and self._appointment(exchanges, arguments.reference, arguments.name)

    def _on(self, exchanges: list[Exchange], day: date) -> bool | None:
        return _named(exchanges, lambda text: spoken.names_date(text, day, self._today))

    def _appointment(self, exchanges: list[Exchange], reference: str, name: str) -> bool:
        """Whether the caller named this appointment, or made it in this call."""
        mine = self._own.get(reference.upper())
        if mine is not None:
            return spoken.folded(str(mine["name"])) == spoken.folded(name)
        named = _named(exchanges, lambda text: spoken.names_reference(text, reference))
        return bool(named and _person(exchanges, name))

    def _exchanges(self) -> list[Exchange]:
        exchanges: list[Exchange] = []
        said: list[str] = []
        for line in self.lines:
            if line.role == "assistant":
                said.append(line.text)
            else:
                exchanges.append(Exchange(" ".join(said), line.text))
                said = []
        return exchanges

    def _read_out(self, arguments: BookAppointment | RescheduleAppointment | CancelAppointment) -> str:
        match arguments:
            case BookAppointment():
                when = f"on {_spoken_day(arguments.date)} at {arguments.time}"
                return f"Shall I book a {arguments.service} {when} for {arguments.name}?"
            case RescheduleAppointment():
                when = f"to {_spoken_day(arguments.date)} at {arguments.time}"
                return f"Shall I move appointment {arguments.reference} of {arguments.name} {when}?"
            case CancelAppointment():
                return f"Shall I cancel appointment {arguments.reference} of {arguments.name}?"


def _named(exchanges: list[Exchange], naming: Callable[[str], Naming]) -> bool | None:
    """Whether a detail was named by the caller, or read out and accepted; None: nobody spoke of it.

    The last words about it count: another value in them is a contradiction.
    """
    for each in reversed(exchanges):
        named = naming(each.caller)
        if named != "none":
            return named != "other"
        if not spoken.agrees(each.caller):
            continue
        read_out = naming(each.assistant)
        if read_out == "only" or (read_out == "among" and spoken.picks(each.caller)):
            return True
        if read_out == "other" and not spoken.picks(each.caller):
            return False
    return None


def _at(exchanges: list[Exchange], start: str) -> bool | None:
    return _named(exchanges, lambda text: spoken.names_time(text, time.fromisoformat(start)))


def _person(exchanges: list[Exchange], name: str) -> bool | None:
    return _named(exchanges, lambda text: spoken.names_person(text, name))


def _spoken_day(day: date) -> str:
    return f"{day:%A}, {day:%B} {day.day}"
