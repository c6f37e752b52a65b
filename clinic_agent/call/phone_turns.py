"""The turns of a telephone call whose sound the service carries: server events in, client events out, without a socket.

The agent is attached to the call by a sideband, and hears no sound. The service plays its answers to the caller, and
cuts them off when the caller interrupts. Time is an argument, in seconds on the client's clock.
"""

from __future__ import annotations

from base64 import b64decode
from math import inf
from typing import Literal

from clinic_agent.call.connection import CallFailed, error_text
from clinic_agent.call.pcm import SAMPLE_RATE_HZ, samples
from clinic_agent.call.sound_sent import CHARS_PER_S
from clinic_agent.call.turn import MAX_TOOL_ROUNDS, TRANSFER, Event, FunctionCall, ToolRun, TurnInProgress, owner

PERSON_KEY = "0"
"""The key of the telephone that asks for a person."""
MAX_TIMEOUTS = 3
"""How often the caller may leave a question without an answer before the agent hangs up."""
_LATE_S = 15.0
"""How much longer than its words a playback may last before its missing end is no longer waited for."""
_EMERGENCY_S = 5.0
"""How long the model has to answer words that sound like an emergency before the call is handed over without it."""
_SETTLE_S = 3.0
"""How long an answer that was in progress when the sideband was lost may take to show itself again."""
_RETRY_S = 1.0
"""Pause before a failed response is requested again."""

Ending = Literal["hang up", "hand over"]


class Playout:
    """What the caller hears of the assistant, as far as the sideband tells.

    The service's `output_audio_buffer` events tell it exactly; it plays one response after another. A service without
    them may send the audio. If there is neither, the length of the words is a guess.
    """

    def __init__(self) -> None:
        self.heard_s = 0.0
        """Length of all that was played, in s; a playback in progress is not in it if the service reports its end."""
        self._source: Literal["words", "audio", "buffer"] = "words"
        self._unheard: dict[str, None] = {}
        """Responses with sound whose playback has not ended, by id; used if the service reports it."""
        self._began_s: float | None = None
        """When the service began to play one; None: it plays none."""
        self._ends_s = 0.0
        self._latest_s = inf
        self._words_s = 0.0

    def take(self, event: Event, at_s: float) -> None:
        """Take a server event."""
        match event["type"]:
            case "output_audio_buffer.started":
                self._learn("buffer", at_s)
                self._unheard[event["response_id"]] = None
                self._began_s = at_s
            case "output_audio_buffer.stopped":
                self._unheard.pop(event["response_id"], None)
                self._stop(at_s)
            case "output_audio_buffer.cleared":
                self.forget(at_s)
            case "response.output_audio.delta" if self._source != "buffer":
                self._learn("audio", at_s)
                self._add(samples(b64decode(event["delta"])) / SAMPLE_RATE_HZ, at_s)
            case "response.output_audio_transcript.delta":
                length_s = len(event["delta"]) / CHARS_PER_S
                self._unheard[event["response_id"]] = None
                self._words_s += length_s
                if self._source == "words":
                    self._add(length_s, at_s)
            case "input_audio_buffer.speech_started" if self._source != "buffer":
                self.heard_s -= max(0.0, self._ends_s - at_s)
                self._ends_s = min(self._ends_s, at_s)
            case "response.done":
                self._latest_s = at_s + self._words_s + _LATE_S
                if event["response"].get("status") == "cancelled" and self._began_s is None:
                    self._unheard.pop(event["response"]["id"], None)
            case _:
                pass

    def quiet_s(self) -> float:
        """The time when the caller hears nothing more; infinite while an end is awaited that the service reports."""
        return self._latest_s if self._source == "buffer" and self._unheard else self._ends_s

    def forget(self, at_s: float) -> None:
        """Nothing more is played, or the sideband was lost, so that the end of a playback may have been missed."""
        self._unheard.clear()
        self._stop(at_s)

    def _learn(self, source: Literal["audio", "buffer"], at_s: float) -> None:
        if self._source != source:  # what was counted of this playback until now was the guess
            self.heard_s -= max(0.0, self._ends_s - at_s)
            self._source, self._ends_s = source, at_s

    def _add(self, length_s: float, at_s: float) -> None:
        self._ends_s = max(at_s, self._ends_s) + length_s
        self.heard_s += length_s

    def _stop(self, at_s: float) -> None:
        self._words_s = 0.0
        if self._began_s is not None:
            self.heard_s += at_s - self._began_s
            self._began_s, self._ends_s = None, at_s


class PhoneTurns:
    """The state of one telephone call: whose turn it is, which tools are to be run, and how the call is to end.

    `prompt`: the instructions of the session. `transfers`: whether the call can be handed to a person.
    """

    def __init__(self, prompt: str, *, transfers: bool) -> None:
        self.playout = Playout()
        self.turns: list[TurnInProgress] = [TurnInProgress()]
        """The first one is the greeting."""
        self.requested_tools: list[FunctionCall] = []
        """Tool calls of one response that are to be run; `ran` takes their results."""
        self.keys = ""
        """The keys that the caller pressed."""
        self._prompt = prompt
        self._note = ""
        """What the next response is told besides the prompt."""
        self._transfers = transfers
        self._turn_of: dict[str, TurnInProgress] = {}
        self._tool_turn = self.turns[0]
        self._caller_item = ""
        self._caller_speaks = False
        self._active = False
        """Whether a response is in progress, or was requested."""
        self._requested = False
        """Whether a response was requested that has not begun."""
        self._create_s: float | None = None
        """The earliest time to request a response; None: none is to be requested."""
        self._rounds = 0
        self._failures = 0
        self._timeouts = 0
        self._unanswered: dict[str, Event] = {}
        """Tool results that the service has not confirmed, by call id."""
        self._ending: Ending | None = None
        self._hand_over_s: float | None = None
        """The time when the call is handed over, whatever the model does; None: it is not."""
        self._alarmed = False
        self._wants_person = False
        """Whether a transfer was promised to the caller."""

    def begin(self, greeting: str, at_s: float) -> list[Event]:
        """The call is connected: request the greeting. `greeting` tells the model how."""
        self._create_s, self._note = at_s, greeting
        self.turns[0].began_s = self.turns[0].requested_s = at_s
        return self.due(at_s)

    @property
    def next_due(self) -> float | None:
        """The time to call `due` and `ends` again; None: after the next event."""
        if self._active or self._caller_speaks:
            return None
        if self._create_s is not None:
            return self._create_s
        quiet_s = self.playout.quiet_s()
        if self._ending is not None:
            return None if quiet_s == inf else quiet_s
        return None if self._hand_over_s is None or quiet_s == inf else max(self._hand_over_s, quiet_s)

    def due(self, at_s: float) -> list[Event]:
        """Events to send at this time: the request for an answer."""
        if self._create_s is None or at_s < self._create_s or self._active or self._caller_speaks:
            return []
        self._create_s, self._active, self._requested = None, True, True
        note, self._note = self._note, ""
        # The instructions of a response take the place of those of the session.
        return [{"type": "response.create"} | ({"response": {"instructions": self._prompt + note}} if note else {})]

    def ends(self, at_s: float) -> Ending | None:
        """What is to be done with the call now, since all that was to be said has been heard."""
        if self._active or self._caller_speaks or self._create_s is not None or self.requested_tools:
            return None
        if self.playout.quiet_s() > at_s:
            return None
        if self._hand_over_s is not None and at_s >= self._hand_over_s:
            return "hand over"
        return self._ending

    def take(self, event: Event, at_s: float) -> None:
        """Take one server event.

        Raises KeyError, TypeError or ValueError for an event that lacks a field of its type. Raises CallFailed if
        responses fail again, or if a turn calls tools too often.
        """
        turn = owner(event, self._turn_of, self.turns[-1])
        turn.take(event, at_s)
        self.playout.take(event, at_s)
        match event["type"]:
            case "input_audio_buffer.speech_started":
                self._caller_began(str(event["item_id"]), at_s)
            case "input_audio_buffer.speech_stopped":
                self._caller_speaks, turn.requested_s = False, at_s
            case "input_audio_buffer.timeout_triggered":
                self._timeouts += 1
            case "input_audio_buffer.dtmf_event_received":
                self._pressed(str(event.get("event") or event.get("digit") or ""), at_s)
            case "response.created":
                self._active, self._requested, self._create_s = True, False, None
                self._turn_of[event["response"]["id"]] = turn
            case "response.output_audio_transcript.delta" | "output_audio_buffer.started":
                if "item_id" in event:
                    self._turn_of[event["item_id"]] = turn
                if turn.first_audio_s is None:  # sound and its words come at nearly the same time
                    turn.first_audio_s = at_s
            case "conversation.item.truncated" if event["item_id"] in self._turn_of:
                turn.heard_ms = int(event["audio_end_ms"])
            case "conversation.item.added" | "conversation.item.created" | "conversation.item.done":
                self._unanswered.pop(str(event["item"].get("call_id", "")), None)
            case "response.done":
                self._response_done(turn, at_s)
            case "error" if self._requested and "active response" not in error_text(event):
                self._requested = self._active = False
                self._failed(at_s)
            case _:
                pass

    def ran(self, runs: list[ToolRun], at_s: float) -> list[Event]:
        """Take the results of `requested_tools`, in order; gives the events to send at once."""
        calls, self.requested_tools = self.requested_tools, []
        self._tool_turn.tools += runs
        self._wants_person |= any(run.name == TRANSFER and "error" not in run.result for run in runs)
        results = {call.call_id: call.answer(run.result) for call, run in zip(calls, runs, strict=True)}
        self._unanswered.update(results)
        if not self._caller_speaks:  # otherwise the service answers the caller's turn and the results together
            self._create_s = at_s
        return list(results.values())

    def emergency(self, at_s: float) -> None:
        """The caller's words sound like an emergency: the call is handed over once, after the answer if one comes."""
        if self._transfers and not self._alarmed:
            self._alarmed, self._hand_over_s = True, at_s + _EMERGENCY_S

    def not_handed_over(self, reason: str, at_s: float) -> None:
        """The transfer failed, and the caller is still on the line, which the model has to say."""
        self._ending = self._hand_over_s = None
        self._wants_person = False
        self._create_s = at_s
        self._note = (
            f"The transfer to a person failed: {reason}. The caller is still on the line. Say so, offer that somebody "
            "calls back, and in an emergency name the emergency number.\n"
        )

    def reattached(self, at_s: float) -> list[Event]:
        """Continue on a new sideband; gives the events to send at once. What happened meanwhile is not known."""
        turn = self.turns[-1]
        if turn.pending and not self.requested_tools:  # calls whose response may have ended meanwhile
            self.requested_tools, turn.pending, self._tool_turn = turn.pending, [], turn
        again = list(self._unanswered.values())
        if again:
            self._create_s = at_s
        elif self._active and not self.requested_tools:
            self._create_s = at_s + _SETTLE_S  # an answer in progress shows itself before; it makes this needless
        self._caller_speaks = self._active = self._requested = False
        self.playout.forget(at_s)
        return again

    def _caller_began(self, item_id: str, at_s: float) -> None:
        self._caller_speaks, self._create_s, self._timeouts = True, None, 0
        if self._ending == "hang up":
            self._ending = None  # a caller who interrupts the goodbye has not finished
        if item_id == self._caller_item:  # the caller only paused: the answer to the first half does not count
            self.turns[-1].pending.clear()
            self.turns[-1].first_audio_s = None
        else:
            self._caller_item, self._rounds = item_id, 0
            self.turns.append(TurnInProgress(began_s=at_s, requested_s=at_s))
            self._turn_of[item_id] = self.turns[-1]

    def _pressed(self, key: str, at_s: float) -> None:
        self.keys += key
        self._timeouts = 0
        if key == PERSON_KEY and self._transfers:
            self._hand_over_s = at_s

    def _response_done(self, turn: TurnInProgress, at_s: float) -> None:
        self._active = False
        if turn.status == "failed":
            return self._failed(at_s)
        self._failures = 0
        calls, turn.pending = turn.pending, []
        if calls:
            self._rounds += 1
            if self._rounds > MAX_TOOL_ROUNDS:
                raise CallFailed(
                    f"the service called tools {MAX_TOOL_ROUNDS} times in one turn; check the prompt for a loop"
                )
            self.requested_tools, self._tool_turn = calls, turn
        elif self._transfers and (self._wants_person or self._hand_over_s is not None):
            self._ending = "hand over"
        elif turn.hangs_up and not self._caller_speaks:
            self._ending = "hang up"
        elif self._timeouts >= MAX_TIMEOUTS:
            self._ending = "hang up"

    def _failed(self, at_s: float) -> None:
        self._failures += 1
        if self._failures > 1:
            raise CallFailed("the service failed to answer twice; see its message in the record of the call")
        self._create_s = at_s + _RETRY_S
