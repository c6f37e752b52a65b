"""The phone of a namespace: it rings, announces each call to a webhook, and plays the caller once somebody accepts."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mockserver.audio.codecs import decode, encode
from mockserver.audio.formats import Samples
from mockserver.audio.wav import stereo_wav_bytes
from mockserver.calls.caller import FRAME_S, GREETING_S, Caller, Speak, Step, Turn
from mockserver.calls.line import FORMAT, FRAME, SILENCE, Line
from mockserver.calls.webhook import SipHeader, Webhook, check_address, incoming_call, key_of
from mockserver.dialects.names import ALIASES, AUTO
from mockserver.faults.fault_set import FaultSet
from mockserver.faults.injector import HUNG_UP
from mockserver.protocol.ids import hex128, stream, uuid4
from mockserver.server.accounts import Team
from mockserver.server.calls.phone_numbers import PhoneNumber, PhoneNumbers
from mockserver.server.calls.registry import CallEntry, CallRegistry, TooManyCalls
from mockserver.server.calls.running_call import End, RunningCall
from mockserver.server.calls.webhook_sender import Attempt, WebhookSender
from mockserver.server.clock import Clock, WakeUp
from mockserver.server.options import Options
from mockserver.server.state.port import State
from replay.findings import Rule
from replay.findings.finding import Found
from replay.findings.rules.table import UNVERIFIED_WEBHOOK
from replay.outlets import logger

CALLER, CALLED = "+14155550100", "+18005550199"
"""The numbers of a call that names none. Both are reserved for examples."""
ANSWER_S = 30.0
"""How long a caller lets the phone ring."""
MOST_SOUND_S = 3600.0
"""Seconds of one call of which the sound is kept; what follows is not."""
MOST_SOUND_BYTES = 64 << 20
"""Bytes of sound that are kept of all calls of a namespace. That of calls that are over is forgotten, the oldest first;
calls that go on keep no more than there is room for."""
MOST_SCRIPT_BYTES = 256 << 20
"""Bytes of what callers are going to say, in all calls of a namespace that ring or go on."""
MOST_HEADER_BYTES = 16 << 10
"""Characters of the numbers and headers of one call."""
_SIP_DOMAIN = "sip.example.com"
_PARTY = re.compile(r"\+?[0-9*#]{2,32}|(?:sips?|tel):[!-~]+|anonymous")
"""A number, an address, or a caller who hides the number."""
_HEADER_NAME, _HEADER_VALUE = re.compile(r"[!-9;-~]+"), re.compile(r"[^\x00-\x1f\x7f]*")
_WITHHELD = ("authorization", "proxy-authorization")
"""Headers that webhooks leave out, as OpenAI's types say."""
_LOG = logger(__name__)

Status = Literal["ringing", "open", "over", "referred", "rejected", "unanswered", "busy"]
"""A call is `ringing`, then `open` while both sides talk, then `over`; or it was `rejected`, or ended `unanswered` or
`busy`. `referred`: it was handed over, and is over for the agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """A call to be made.

    called: the number; None is the only one that is registered, else CALLED.
    webhook, webhook_secret: where it is announced, and what signs that; None is as the number that is called says, else
    as the server's options.
    answer_within_s: how long the caller lets it ring. greeting_s: how long the caller waits for the agent to speak
    first. transfer_status: the SIP status with which the destination of a transfer refuses; None if it answers.
    """

    script: Sequence[Step] = ()
    webhook: str | None = None
    webhook_secret: str | None = field(default=None, repr=False)
    caller: str = CALLER
    called: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    answer_within_s: float = ANSWER_S
    greeting_s: float = GREETING_S
    transfer_status: int | None = None


class NoWebhook(ValueError):
    """A call is announced nowhere, or without a secret. Says what to give."""


class PhoneCall:
    """One call as its caller had it. All times are seconds since it was accepted."""

    def __init__(
        self, ring: Ring, clock: Clock, has_room: Callable[[int], bool], on_over: Callable[[PhoneCall], None]
    ) -> None:
        """`has_room`: whether so many bytes more of sound may be kept; it counts them. `on_over` is called once."""
        self.entry: CallEntry
        self.webhooks: list[Attempt] = []
        """The attempts to deliver the webhook."""
        self.digits = ""
        """The keys that were pressed."""
        self.sip_status: int | None = None
        """The SIP status of a call that was rejected."""
        self.hung_up_by: End | None = None
        """Who hung up; None for a call that goes on, was handed over, or was never accepted."""
        self.answered = asyncio.Event()
        """Set once the call is accepted, or over without that."""
        self.ended = asyncio.Event()
        """Set once the call is over, in whatever way."""
        self._transfer_status = ring.transfer_status
        self._clock = clock
        self._has_room = has_room
        self._on_over = on_over
        self._caller: Caller | None = Caller(ring.script, FORMAT.rate, ring.greeting_s)
        self.turns: list[Turn] = self._caller.turns
        """What the caller said, and how it was answered."""
        self._line = Line()
        self._running: RunningCall | None = None
        self._begun = 0.0
        self._frames = 0
        self._said, self._heard = bytearray(), bytearray()
        self._alarm: WakeUp | None = None

    @property
    def id(self) -> str:
        """The call's id, as the webhook has it."""
        return self.entry.id

    @property
    def status(self) -> Status:
        """Where the call is, or how it ended."""
        return "referred" if self.entry.transferred_to else self.entry.state

    @property
    def seconds(self) -> float:
        """How long it has lasted since it was accepted."""
        return self._frames * FRAME_S

    @property
    def caller_audio(self) -> Samples:
        """What the caller said: int16, mono, 8 kHz, as it was on the line."""
        return decode(bytes(self._said), FORMAT)

    @property
    def agent_audio(self) -> Samples:
        """What the caller heard: int16, mono, 8 kHz, as long as `caller_audio` and at the same times."""
        return decode(bytes(self._heard), FORMAT)

    @property
    def sound_bytes(self) -> int:
        """Bytes of sound that are kept."""
        return len(self._said) + len(self._heard)

    def wav(self) -> bytes:
        """Both sides as a stereo WAV file at 8 kHz: left the caller, right the agent."""
        both = min(len(self._said), len(self._heard))  # the call may go on meanwhile
        return stereo_wav_bytes(self.caller_audio[:both], self.agent_audio[:both], FORMAT.rate)

    def forget_sound(self) -> None:
        """Keep no sound of it any more."""
        self._said, self._heard = bytearray(), bytearray()

    def as_json(self) -> dict[str, Any]:
        """The caller's side, as the control plane shows it."""
        return {
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "sip_status": self.sip_status,
            "hung_up_by": self.hung_up_by,
            "digits": self.digits,
            "webhooks": [
                {"at": round(each.at, 3), "status": each.status, "problem": each.problem} for each in self.webhooks
            ],
            "turns": [
                {
                    "text": turn.text,
                    "began_s": turn.began_s,
                    "ended_s": turn.ended_s,
                    "barge_in": turn.barge_in,
                    "answered_s": turn.answered_s,
                    "silent_s": turn.silent_s,
                }
                for turn in self.turns
            ],
        }

    # What the call's registry tells.

    def on_accepted(self, call: RunningCall) -> None:
        """Begin to speak and to hear."""
        self._stop_alarm()
        self._running, self._begun = call, self._clock.now()
        self.answered.set()
        self._tick()

    def on_rejected(self, status: int) -> None:
        """The client rejected the call."""
        self.sip_status = status
        self._end()

    async def on_referred(self, uri: str) -> int | None:
        """The client hands the caller over."""
        return self._transfer_status

    def on_ended(self, reason: str) -> None:
        """The call is over."""
        if self._running is not None and not self.entry.transferred_to:
            self.hung_up_by = "caller" if reason == HUNG_UP else self._running.ended_by or "server"
        self._end()

    def rings_until(self, when: float, give_up: Callable[[], None]) -> None:
        """Call back once the clock shows `when`, unless the phone has stopped ringing by then."""

        def on_time() -> None:
            give_up()
            self._end()

        self._alarm = self._clock.call_at(when, on_time)

    def _end(self) -> None:
        self._stop_alarm()
        self._running = self._caller = None  # the script's sound is not kept
        self.answered.set()
        if not self.ended.is_set():
            self.ended.set()
            self._on_over(self)

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    # The line.

    def _tick(self) -> None:
        """Do all frames that are due, then wait for the next one."""
        while self._running is not None and self._caller is not None:
            due = self._begun + self._frames * FRAME_S
            if due > self._clock.now():
                self._alarm = self._clock.call_at(due, self._tick)
                return
            self._frame(self._running, self._caller)

    def _frame(self, running: RunningCall, caller: Caller) -> None:
        heard = self._line.to_caller(running.play())
        act = caller.frame(None if heard == SILENCE else decode(heard, FORMAT))
        if act.hangs_up:
            running.hang_up("caller")
            return
        said = SILENCE if act.samples is None else encode(act.samples, FORMAT).ljust(FRAME, SILENCE[:1])
        if self._frames * FRAME_S < MOST_SOUND_S and self._has_room(2 * FRAME):
            self._said += said
            self._heard += heard
        self._frames += 1
        if act.digits:
            self.digits += act.digits
            running.press(act.digits)
        running.hear(self._line.to_agent(said))


class Phone:
    """Makes the calls of one namespace. Everything here is for the loop that serves."""

    def __init__(
        self,
        registry: CallRegistry,
        clock: Clock,
        faults: FaultSet,
        state: State,
        options: Options,
        numbers: PhoneNumbers,
        crowded: Callable[[Team | None, str], bool],
        remark: Callable[[Rule, Found], None],
        seed: str,
    ) -> None:
        """`crowded`: whether a team (None: any) has as many sessions of a dialect as it may. `remark` reports a mistake
        of the client."""
        self._registry = registry
        self._clock = clock
        self._sender = WebhookSender(clock, faults, state)
        self._options = options
        self._numbers = numbers
        self._crowded = crowded
        self._remark = remark
        self._seed = seed
        self._ids = stream(seed, "webhooks")
        self._calls: OrderedDict[str, PhoneCall] = OrderedDict()
        self.sound_bytes = 0
        """Bytes of sound that are kept."""
        self._script_bytes = 0
        self._deliveries: set[asyncio.Task[None]] = set()

    def get(self, id: str) -> PhoneCall | None:
        """The caller's side of a call; None for one that did not come by phone, or that is forgotten."""
        return self._calls.get(id)

    def ring(self, ring: Ring, call_number: int | None = None) -> PhoneCall:
        """Let the phone ring. If the team has as many sessions as it may, the caller hears that the line is busy.
        `call_number`: as `State.number` gives it.

        Raises ValueError, among it NoWebhook and BadSecret, and TooManyCalls.
        """
        number = self._numbers.only if ring.called is None else self._numbers.find(ring.called)
        called = ring.called or (CALLED if number is None else number.number)
        _check_invite(ring.caller, called, ring.headers)
        size = sum(map(len, (ring.caller, called, *ring.headers, *ring.headers.values())))
        if size > MOST_HEADER_BYTES:
            raise ValueError(f"the numbers and headers have {size} characters, more than {MOST_HEADER_BYTES}")
        spoken = [each for each in ring.script if isinstance(each, Speak)]
        script_bytes = sum(each.samples.nbytes for each in spoken)
        if self._script_bytes + script_bytes > MOST_SCRIPT_BYTES:
            raise TooManyCalls(f"the callers of all calls have more than {MOST_SCRIPT_BYTES} bytes of sound to say")
        dialect = self._dialect(number)
        url, secret = self._announced(ring, number)

        def over(call: PhoneCall) -> None:
            self._script_bytes -= script_bytes
            call.entry.known = ()

        call = PhoneCall(ring, self._clock, self._has_room, over)
        unix = self._clock.unix()
        is_xai = dialect.startswith("xai@")
        ids = self._ids if call_number is None else stream(self._seed, f"webhooks/{call_number}")
        headers = _sip_headers(ring, called, uuid4(ids), is_xai)
        entry = call.entry = self._registry.announce(
            dialect,
            "phone",
            unix,
            call,
            caller=ring.caller,
            called=called,
            headers=headers,
            known=[(each.samples, FORMAT.rate, each.text) for each in spoken if each.text],
            team=None if number is None else number.team,
            number=call_number,
        )
        self._script_bytes += script_bytes
        self._keep(call)
        if self._crowded(entry.team, dialect):
            self._registry.give_up(entry, "busy")
            call.on_ended(entry.reason)
            return call
        body = incoming_call(f"evt_{hex128(ids)}", int(unix), entry.id, headers, metadata=is_xai)
        webhook = Webhook(f"wh_{hex128(ids)}", body, secret)
        call.rings_until(self._clock.now() + ring.answer_within_s, lambda: self._registry.give_up(entry))
        task = asyncio.get_running_loop().create_task(self._announce(call, webhook, url))
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)
        return call

    def _dialect(self, number: PhoneNumber | None) -> str:
        """The dialect of a call: that of the options; with `auto`, xAI's for a number that was registered there."""
        choice = self._options.dialect
        if choice == AUTO:
            choice = "openai" if number is None else "xai"
        return ALIASES.get(choice, choice)

    def _announced(self, ring: Ring, number: PhoneNumber | None) -> tuple[str, str]:
        """Where a call is announced, and the secret that signs it."""
        url, secret = ring.webhook, ring.webhook_secret
        if url is None and number is not None:
            url, secret = number.webhook, secret or number.secret
        url, secret = url or self._options.webhook, secret or self._options.webhook_secret
        if url is None:
            raise NoWebhook("the call is announced nowhere; give `webhook`, or start the server with --webhook URL")
        if secret is None:
            raise NoWebhook(
                "the webhook is not signed; give `webhook_secret`, or start the server with --webhook-secret"
            )
        check_address(url)
        key_of(secret)
        return url, secret

    async def stop(self) -> None:
        """Deliver no webhook any more."""
        for task in self._deliveries:
            task.cancel()
        if self._deliveries:
            await asyncio.wait(self._deliveries)

    async def _announce(self, call: PhoneCall, webhook: Webhook, url: str) -> None:
        def note(attempt: Attempt) -> None:
            call.webhooks.append(attempt)
            if attempt.forged and attempt.delivered:
                said = f"the receiver answered {attempt.status} to a webhook that is signed with another secret"
                self._remark(UNVERIFIED_WEBHOOK, Found(said, "webhook", attempt.at))
            if not attempt.delivered:
                _LOG.warning("call %s: the webhook was not delivered: %s", call.id, attempt.failure)

        await self._sender.deliver(webhook, url, note, lambda: call.status == "ringing")

    def _keep(self, call: PhoneCall) -> None:
        """Keep a call, and forget those that the registry has forgotten."""
        self._calls[call.id] = call
        for id in [id for id in self._calls if self._registry.get(id) is None]:
            self._forget_sound(self._calls.pop(id))

    def _has_room(self, count: int) -> bool:
        """Whether so many bytes more of sound may be kept, which are counted then."""
        if self.sound_bytes + count > MOST_SOUND_BYTES:
            over = (each for each in self._calls.values() if each.ended.is_set() and each.sound_bytes)
            if (oldest := next(over, None)) is None:
                return False
            self._forget_sound(oldest)
        self.sound_bytes += count
        return True

    def _forget_sound(self, call: PhoneCall) -> None:
        self.sound_bytes -= call.sound_bytes
        call.forget_sound()


def check_party(name: str, party: str) -> None:
    """Raise ValueError for what is neither a number nor an address. `name` says in the error whose it is."""
    if not _PARTY.fullmatch(party):
        raise ValueError(f"{name}: {party[:80]!r} is no number; use one such as {CALLER}, or a sip: address")


def _check_invite(caller: str, called: str, further: Mapping[str, str]) -> None:
    """Raise ValueError for numbers and headers that no INVITE has."""
    for name, party in (("from", caller), ("to", called)):
        check_party(name, party)
    for name, value in further.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
            raise ValueError(
                f"headers: {name[:80]!r} is no header of SIP; use a name such as X-Line, one line of value"
            )


def _sip_headers(ring: Ring, called: str, call_id: str, is_xai: bool) -> list[SipHeader]:
    """The headers of the INVITE. The services' examples show From, To and, of OpenAI, Call-ID; xAI's are bare
    numbers."""
    further = [(name, value) for name, value in ring.headers.items() if name.lower() not in _WITHHELD]
    if is_xai:
        return [("From", ring.caller), ("To", called), *further]
    return [("From", _sip_uri(ring.caller)), ("To", _sip_uri(called)), ("Call-ID", call_id), *further]


def _sip_uri(number: str) -> str:
    return number if ":" in number else f"sip:{number}@{_SIP_DOMAIN}"
