"""A call to a bridge: rings at its webhook, connects to its WebSocket, and carries the call. The I/O of `dial`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypedDict
from urllib.parse import urlsplit

import aiohttp
from typing_extensions import Unpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import CloseCode

from mockserver.audio.tts import synthesizer_named
from mockserver.audio.tts.base import Synthesizer
from mockserver.calls.caller import GREETING_S, Caller, Interrupt, Listen, Speak, Step
from mockserver.calls.script import Entry, script, sound
from mockserver.dial.answer import NoStream, StreamAddress, absolute_url, dialled_url, read_answer
from mockserver.dial.leg import LONGEST_S, CallLeg
from mockserver.dial.network import Network
from mockserver.dial.plivo import CONTENT_TYPES, Plivo
from mockserver.dial.report import DialReport, report_of
from mockserver.dial.signatures import plivo_signature, twilio_signature
from mockserver.dial.twilio import Twilio
from mockserver.protocol.ids import hex128, stream
from mockserver.server.calls.phone import check_party
from mockserver.server.clock import Clock
from mockserver.testing.mock_server import MockServer
from replay.dialing import direct

ProviderName = Literal["twilio", "plivo"]
ANSWER = Listen()
"""How a caller listens, unless something else is said."""
PROVIDERS: tuple[ProviderName, ...] = ("twilio", "plivo")
CALLER_NUMBER, CALLED_NUMBER = "+12025550143", "+12025550100"
"""Numbers that belong to nobody."""
WEBHOOK_S = 15.0
"""Seconds that a phone company waits for the answer of a webhook; Twilio's limit."""
OPEN_S = 10.0
TELEPHONE_RATE = 8000
LARGEST_ANSWER = 400_000
"""Bytes of a webhook's answer that are read; its text is bounded besides."""
LARGEST_MESSAGE = 8 << 20
CLOSE_S = 5.0
ROUNDING_S = 1e-6
"""By which a wake-up may come early: without it, the pump would ask again and again at the same instant."""
BACKLOG = 10_000
"""Messages of the bridge that are read ahead."""
BLOCKED_S = 10.0
"""Seconds for which the bridge may read nothing while the connection is full."""


class CannotDial(Exception):
    """The call did not come about. The message is one line that says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialOptions:
    """How a call is made. Raises ValueError for an unknown value."""

    provider: ProviderName = "twilio"
    greeting_s: float = GREETING_S
    """Seconds for which the caller waits for the bridge to speak first."""
    silence_s: float = ANSWER.quiet_s
    """Silence that ends an answer, where the script does not say."""
    patience_s: float = ANSWER.at_most_s
    """Seconds for which the caller waits for an answer to begin, where the script does not say."""
    jitter_ms: float = 0.0
    loss: float = 0.0
    drop_after_s: float | None = None
    longest_s: float = 300.0
    seed: str = "0"
    voice: str = "auto"
    """The speech synthesizer of the caller's words."""
    auth_token: str = field(default="", repr=False)
    """Signs the webhook and the handshake; empty signs neither."""
    public_url: str | None = None
    """The address by which the bridge knows itself, such as that of its tunnel."""
    caller: str = CALLER_NUMBER
    called: str = CALLED_NUMBER
    account: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Custom parameters (Twilio) or extra headers (Plivo) of a stream that is dialled directly."""
    content_type: str = "audio/x-mulaw;rate=8000"
    """Plivo: the format of a stream that is dialled directly."""

    def __post_init__(self) -> None:
        if self.provider not in PROVIDERS:
            raise ValueError(f"the provider is {' or '.join(PROVIDERS)}, not {self.provider!r}")
        if self.content_type not in CONTENT_TYPES:
            raise ValueError(f"the content type is one of {', '.join(CONTENT_TYPES)}, not {self.content_type!r}")
        for name, party in (("from", self.caller), ("to", self.called)):
            check_party(name, party)
        if not 0 <= self.greeting_s <= 60:
            raise ValueError(f"the caller waits 0 to 60 s for a greeting, not {self.greeting_s:g}")
        if not 0 < self.silence_s <= 60 or not 0 < self.patience_s <= 600:
            raise ValueError(
                f"an answer ends after 0 to 60 s of silence, not {self.silence_s:g}; "
                f"the caller waits 0 to 600 s for it, not {self.patience_s:g}"
            )
        if not 0 < self.longest_s <= LONGEST_S:
            raise ValueError(f"a call lasts at most {LONGEST_S:.0f} s, not {self.longest_s:g}")
        seen = urlsplit(self.public_url or "https://none")
        if seen.scheme not in ("http", "https") or not seen.hostname:
            raise ValueError(f"the public address is a URL such as https://abc.example, not {self.public_url!r}")
        _ = self.network

    @property
    def network(self) -> Network:
        """The line. Raises ValueError for a value out of range."""
        return Network(self.jitter_ms, self.loss, self.drop_after_s)


class Changes(TypedDict, total=False):
    """The fields of DialOptions as keywords."""

    provider: ProviderName
    greeting_s: float
    silence_s: float
    patience_s: float
    jitter_ms: float
    loss: float
    drop_after_s: float | None
    longest_s: float
    seed: str
    voice: str
    auth_token: str
    public_url: str | None
    caller: str
    called: str
    account: str
    parameters: Mapping[str, str]
    content_type: str


@dataclass(slots=True)
class Watch:
    """A call while it goes on. tell: gets a line for each thing that happens. hang_up: ends the call; set by `dial`."""

    tell: Callable[[str], None]
    hang_up: Callable[[], None] | None = None


async def dial(
    url: str,
    says: Entry | Sequence[Any] = (),
    *,
    options: DialOptions | None = None,
    synthesizer: Synthesizer | None = None,
    watch: Watch | None = None,
    mock: MockServer | None = None,
    **changed: Unpack[Changes],
) -> DialReport:
    """Call a bridge as a phone company does, and return what came of it.

    url: `http://…` is the webhook of a number, whose answer names the stream; `ws://…` is the stream itself.
    says: what the caller does: words, paths of WAV files, and steps, such as `phone.Interrupt(0.8)`.
    synthesizer: the voice of the words, instead of the one that the options name. mock: the mock behind the bridge; it
    then hears the words as they are said, without a transcriber. watch: for a program that looks on. Other arguments
    are fields of DialOptions, such as `provider="plivo"`. Raises CannotDial, ValueError (for the arguments), OSError
    (for a file).
    """
    how = DialOptions(**changed) if options is None else options
    given: Any = says
    several = isinstance(given, Sequence) and not isinstance(given, str | bytes)
    entries: list[Entry] = list(given) if several else [given]
    voice = synthesizer or (synthesizer_named(how.voice) if _needs_voice(entries) else None)
    steps = script([_named(each) for each in entries], voice or synthesizer_named("tone"))
    steps = [_patient(each, how) for each in steps]
    greeting = [Listen(how.silence_s, how.greeting_s)] if how.greeting_s else []
    if mock is not None:
        files = {Path(each).name for each in entries if isinstance(each, os.PathLike)}
        said = [each for each in steps if isinstance(each, Speak) and each.text and each.text not in files]
        mock.add_known_clips((each.samples, TELEPHONE_RATE, each.text) for each in said)
    clock = Clock()
    call = _Call(url, how, clock)
    await call.ring()
    return await call.carry(Caller([*greeting, *steps], greeting_s=0), watch or Watch(_silent))


def _silent(line: str) -> None:
    """Nobody watches."""


def _patient(step: Step, how: DialOptions) -> Step:
    """A step whose waiting the script leaves open, with that of the options."""
    match step:
        case Listen(ANSWER.quiet_s, ANSWER.at_most_s):
            return Listen(how.silence_s, how.patience_s)
        case Interrupt(after_s, ANSWER.at_most_s, ANSWER.quiet_s):
            return Interrupt(after_s, how.patience_s, how.silence_s)
        case _:
            return step


def _named(entry: Entry) -> Entry:
    """A sound file with its name for words, by which the report calls it."""
    if not isinstance(entry, os.PathLike):
        return entry
    return sound(entry, TELEPHONE_RATE, Path(entry).name)


def _needs_voice(entries: Sequence[Entry]) -> bool:
    return any(isinstance(each, str | Mapping) for each in entries)


class _Call:
    """One call: its address, which the webhook may change, and its provider, which signs."""

    def __init__(self, url: str, options: DialOptions, clock: Clock) -> None:
        scheme = urlsplit(url).scheme
        if scheme not in ("http", "https", "ws", "wss") or not urlsplit(url).hostname:
            raise ValueError(
                f"{url!r} is no address of a bridge; use http(s):// for its webhook, ws(s):// for its stream"
            )
        self._url = url
        self._how = options
        self._clock = clock
        self._signed_url = _public(url, options.public_url)
        self._nonces = stream(options.seed, "nonces")
        own = dict(options.parameters)
        self._address = StreamAddress(
            url,
            parameters=own,
            extra_headers=",".join(f"{name}={value}" for name, value in own.items()),
            content_type=options.content_type,
        )
        self._provider = self._provided()

    def _provided(self) -> Twilio | Plivo:
        how, address = self._how, self._address
        if how.provider == "twilio":
            return Twilio(how.seed, address.parameters, how.account)
        if address.content_type not in CONTENT_TYPES:
            raise CannotDial(f"contentType is {address.content_type!r}; Plivo has {', '.join(CONTENT_TYPES)}")
        return Plivo(how.seed, address.extra_headers, address.content_type, how.account, self._clock.unix())

    async def ring(self) -> None:
        """Ask the webhook for the stream's address, if there is one. Raises CannotDial."""
        if urlsplit(self._url).scheme in ("ws", "wss"):
            return
        form = self._provider.webhook_form(self._how.caller, self._how.called)
        text = await self._posted(form)
        try:
            self._address = read_answer(text, self._how.provider)
        except NoStream as problem:
            raise CannotDial(f"{self._url}: {problem}") from None
        self._address = replace(self._address, url=absolute_url(self._address.url, self._signed_url))
        self._signed_url = self._address.url
        self._provider = self._provided()

    async def _posted(self, form: Mapping[str, str]) -> str:
        timeout = aiohttp.ClientTimeout(total=WEBHOOK_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.post(self._url, data=form, headers=self._signature("POST", form)) as answer,
            ):
                if answer.status != 200:
                    hint = ""
                    if answer.status in (401, 403) and not self._how.auth_token:
                        hint = "; sign with --auth-token-env"
                    elif answer.status in (404, 405):
                        hint = "; check the path of the webhook, which takes a POST"
                    elif answer.status >= 500:
                        hint = "; look at the bridge's log"
                    raise CannotDial(f"{self._url} answered {answer.status} instead of 200 with XML{hint}")
                body = bytearray()
                async for piece in answer.content.iter_chunked(1 << 16):
                    body += piece
                    if len(body) > LARGEST_ANSWER:
                        raise CannotDial(
                            f"{self._url} answered more than {LARGEST_ANSWER} bytes; return XML that is shorter"
                        )
                return body.decode("utf-8")
        except asyncio.TimeoutError:
            raise CannotDial(
                f"{self._url} did not answer within {WEBHOOK_S:g} s, as a phone company requires"
            ) from None
        except (aiohttp.ClientError, OSError, UnicodeDecodeError) as problem:
            raise CannotDial(f"{self._url} cannot be reached: {problem}; start the bridge first") from None

    def _signature(self, method: str, form: Mapping[str, str]) -> dict[str, str]:
        token = self._how.auth_token
        if not token:
            return {}
        if self._how.provider == "twilio":
            return {"X-Twilio-Signature": twilio_signature(self._signed_url, form, token)}
        nonce = hex128(self._nonces)
        signature = plivo_signature(method, self._signed_url, form, nonce, token)
        return {"X-Plivo-Signature-V3": signature, "X-Plivo-Signature-V3-Nonce": nonce}

    async def carry(self, caller: Caller, watch: Watch) -> DialReport:
        """Connect, and drive the call to its end. Raises CannotDial."""
        ws_url = dialled_url(self._address.url, self._url, self._how.public_url)
        leg = CallLeg(
            self._provider,
            caller,
            self._how.network,
            seed=self._how.seed,
            longest_s=self._how.longest_s,
            one_way=self._address.one_way,
        )
        try:
            connection = await connect(
                ws_url,
                additional_headers=self._signature("GET", {}),
                compression=None,
                open_timeout=OPEN_S,
                close_timeout=CLOSE_S,
                ping_interval=None,
                max_size=LARGEST_MESSAGE,
                **direct(ws_url),
            )
        except InvalidStatus as refused:
            status = refused.response.status_code
            raise CannotDial(
                f"{ws_url} refused the WebSocket with {status}; check the path and the signature"
            ) from None
        except (InvalidHandshake, InvalidURI, OSError, asyncio.TimeoutError) as problem:
            raise CannotDial(
                f"{ws_url} cannot be reached: {str(problem) or 'no answer'}; start the bridge first"
            ) from None
        if self._how.provider == "twilio" and urlsplit(self._address.url).scheme == "ws" and ws_url != self._url:
            leg.mistakes.add("not-wss", 0.0, f"the answer names {self._address.url}; Twilio takes wss:// only (31922)")
        watch.tell(f"connected to {ws_url.partition('?')[0]}")
        await _Pump(connection, leg, self._clock, watch).run()
        return report_of(leg, ws_url, self._address.skipped)


def _public(url: str, public: str | None) -> str:
    """The address of a request as the bridge knows it."""
    if public is None:
        return url
    seen, asked = urlsplit(public), urlsplit(url)
    return asked._replace(scheme=seen.scheme, netloc=seen.netloc).geturl()


class _Pump:
    """Moves messages between the connection and the call, on the clock."""

    def __init__(self, connection: ClientConnection, leg: CallLeg, clock: Clock, watch: Watch) -> None:
        self._connection = connection
        self._leg = leg
        self._clock = clock
        self._start_s = clock.now()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._watch = watch
        self._watched = (0, 0)
        watch.hang_up = self._hang_up

    def _hang_up(self) -> None:
        self._leg.hang_up(self._now())
        self._wake.set()

    def _now(self) -> float:
        return self._clock.now() - self._start_s

    async def run(self) -> None:
        """Until the call is over and the connection closed."""
        reader = asyncio.ensure_future(self._read())  # noqa: TID251 - awaited below
        try:
            while not self._leg.over:
                await self._write()
                self._room.set()
                self._tell()
                await self._sleep()
        finally:
            if self._leg.record.ended == "network":
                self._connection.transport.abort()
            await self._connection.close()
            await reader

    async def _write(self) -> None:
        try:
            for message in self._leg.take_output(self._now() + ROUNDING_S):
                await asyncio.wait_for(self._connection.send(message), BLOCKED_S)
        except asyncio.TimeoutError:
            what = f"the bridge has read nothing for {BLOCKED_S:g} s; Twilio then discards sound (31930)"
            self._leg.mistakes.add("not-reading", self._now(), what)
            self._leg.closed(None, "", self._now())
            self._connection.transport.abort()
        except ConnectionClosed:
            await self._connection.wait_closed()  # the reader says so

    def _tell(self) -> None:
        """What has happened since the last call."""
        turns, clears = self._watched
        for turn in self._leg.caller.turns[turns:]:
            self._watch.tell(f'{turn.began_s:6.2f} s  the caller says "{turn.text or "(sound)"}"')
        for clear in self._leg.record.clears[clears:]:
            self._watch.tell(f"{clear.at_s:6.2f} s  the bridge clears {clear.dropped_s:.1f} s of sound")
        self._watched = len(self._leg.caller.turns), len(self._leg.record.clears)

    async def _sleep(self) -> None:
        due = self._leg.next_due()
        if due is None:
            return
        alarm = self._clock.call_at(self._start_s + due, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            alarm.cancel()
            self._wake.clear()

    async def _read(self) -> None:
        try:
            async for message in self._connection:
                self._leg.receive(message, self._now())
                self._wake.set()
                while self._leg.backlog >= BACKLOG and not self._leg.over:
                    self._room.clear()
                    await self._room.wait()
        except ConnectionClosed:
            protocol = self._connection.protocol
            sent = protocol.close_sent
            if sent is not None and sent.code == CloseCode.MESSAGE_TOO_BIG and not protocol.close_rcvd_then_sent:
                what = f"a message of more than {LARGEST_MESSAGE >> 20} MiB came; the call ended"
                self._leg.mistakes.add("too-large", self._now(), what)
                self._leg.hang_up(self._now())
        received = self._connection.protocol.close_rcvd
        code, reason = (None, "") if received is None else (received.code, received.reason)
        self._leg.closed(code, reason, self._now())
        self._wake.set()
