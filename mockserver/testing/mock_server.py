"""The mock inside a Python program: a server for the length of a `with`, and what it saw.

`async with` serves from the running loop, `with` from a thread of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

from mockserver.audio.asr import AUTO, OFF, Transcriber
from mockserver.audio.clip_matching import KnownClip
from mockserver.calls.caller import GREETING_S
from mockserver.calls.script import Entry
from mockserver.calls.webhook import secret_of
from mockserver.faults.armed import Armed
from mockserver.faults.files import FaultSource, faults_from
from mockserver.protocol.limits import Limits
from mockserver.responders.base import Responder
from mockserver.responders.scenario import Scenario
from mockserver.server.accounts_file import load
from mockserver.server.addresses import WEBHOOK_SECRET, Addresses, environment
from mockserver.server.app import CLOSING_S, Server
from mockserver.server.calls.phone import ANSWER_S, CALLER, Ring
from mockserver.server.calls.ring_body import caller_script
from mockserver.server.clock import rate_named
from mockserver.server.namespaces import Isolated, Namespace
from mockserver.server.options import ECHO, AccountsFile, Options
from mockserver.server.recordings import AdaptiveReplay, VerbatimReplay
from mockserver.server.session_factory import Content
from mockserver.testing.loop_thread import LoopThread
from mockserver.testing.observed import Observed
from mockserver.testing.rung_call import RungCall
from mockserver.testing.sessions import TestedSession
from replay.findings import Finding, Setting

T = TypeVar("T")

ANY_KEY = "mock-api-key"
"""The value of `api_key` if the mock accepts any key."""


class MockServer(Observed):
    """A realtime voice service for one test or program: `async with MockServer(...) as mock:`, or `with`.

    scenario: the rules for what to answer: a `Scenario`, the path of a scenario file (YAML or JSON), or the name of a
        packaged one, such as `clinic`. Without one, and without `cassette`, the mock repeats the user's words.
    cassette: a recording to replay instead, or a folder of recordings. Each session gets the recorded conversation
        whose client says what its own says. The content is the recording's; ids, timing and usage are the mock's.
    verbatim: replay the cassette frame by frame. The client must send what was recorded; see `report`.
    speed: with `verbatim`, how many times as fast as recorded; `math.inf` sends at once. Above 0, default 1.
    ignore: with `cassette`, what may differ from it in the client's messages, besides what its header names: paths such
        as `session.instructions`, `date`, `time`, `id`, or a regular expression between slashes. Default: nothing.
    faults: failures to inject: the path of a fault file, its content as a mapping, or a list of `realtape.faults` and
        mappings.
    dialect: `xai`, `openai`, `azure`, `auto` (by what the client sends), a dated name such as `xai@2026-09`, or the
        name of a plugin.
        Without a date, xAI is as of the date of the requested model, and the others as of their newest. Default: the
        cassette's, else `xai`.
    pacing: `live` sends as fast as the service was recorded, `realtime` as fast as audio plays, `burst` at once.
    seed: the same seed and the same messages give the same identifiers, text and audio.
    voice: the speech synthesizer: `tone`, the same on every machine; `hibari` or `espeak` (extra `speech`); or
        `auto`, the first of hibari, espeak and tone that is installed. Default `tone`.
    vad: the voice activity detector: `energy`, or `silero` (extra `silero`).
    transcriber: `off`; `auto`, the one of the extra `hearing` where that is installed; a model of faster-whisper by
        name or folder; or an object with a `transcribe` method like that of `mockserver.audio.asr.Transcriber`.
        Default `off`, so that a test hears the same on every machine.
    hearing: what decides the words of a spoken turn. `auto`: a known clip, the transcriber, the scenario's `heard`, in
        this order; `script`: `heard` before all. Default: as the scenario says.
    telephony: each session is a call over a telephone number of the service, whose surcharge the ledger adds. Frames
        do not show it: audio at 8 kHz may come from another company's number, which has none. Default: False.
    responder: what answers instead of a scenario: the name of a plugin, or a function without arguments that makes the
        responder of a session; see `mockserver.responders.base.Responder`. Default: `echo`.
    chat, chat_model, chat_key: the base URL of an OpenAI-compatible chat endpoint, the model that answers what no rule
        does, and the key of that endpoint. Default: none.
    mcp: `live` asks the MCP servers that a session declares (extra `mcp`); `scripted`, the default, asks none.
    api_keys: the keys that are accepted. Without any, every non-empty key is.
    blocked_keys: keys of a team without credits.
    accounts: teams, their keys and limits: the path of an accounts file, or an `AccountsFile`.
    limits: limits of every team, where they differ from the service's; see `realtape.Limits`.
    max_sessions, requests_per_minute: two of these limits, each by itself.
    clock: `wall`, `wall:RATE` (RATE seconds a second, at most 1000), or `manual`, which moves only with `advance`.
    findings: severity of client diagnostics: `off`, `warn` or `error` for all, or a mapping of rules (and `all`) to
        these. They are reported in `findings`, never raised.
    write_tools: tools with side effects, by name or pattern (`book_*`). Default: guessed from the tool's name.
    allow_origins: origins of web pages that may open sessions as any client may; see `realtape serve --allow-origin`.
    webhook, webhook_secret: where a ringing phone is announced (see `ring`), and the secret `whsec_…` that signs it.
        Default of the secret: one of the seed, which `webhook_secret` shows.
    record: a folder that each session is written to, as a cassette; see `cassettes`.
    check: validate each event that is sent against the service's schema. What does not fit is among the `errors`.
    admin_token: the bearer token that `/_mock/` requires. Default: none, loopback only.
    host, port: where to listen. Port 0, the default, picks a free one.

    Raises ValueError for an unknown value; of these, DocumentError for an accounts file, ScenarioError for a scenario,
    FaultError for faults, and BadCassette, UnreadableRecording or EmptyLibrary for a recording that cannot be used.
    Raises OSError if it cannot listen or record, and PluginError for a plugin that cannot be used. For a named
    transcriber: ImportError without faster-whisper and FileNotFoundError without the model. An error inside the mock is
    raised at the end of the `with`; the client only sees close code 1011.
    """

    def __init__(
        self,
        scenario: Scenario | str | os.PathLike[str] | None = None,
        *,
        cassette: str | os.PathLike[str] | None = None,
        verbatim: bool = False,
        speed: float = 1.0,
        ignore: Iterable[str] = (),
        faults: FaultSource | None = None,
        dialect: str | None = None,
        pacing: str = "live",
        seed: int | str = 0,
        voice: str = "tone",
        vad: str = "energy",
        transcriber: str | Transcriber = "off",
        hearing: Literal["auto", "script"] | None = None,
        telephony: bool = False,
        responder: str | Callable[[], Responder] = ECHO,
        chat: str | None = None,
        chat_model: str | None = None,
        chat_key: str | None = None,
        mcp: Literal["scripted", "live"] = "scripted",
        webhook: str | None = None,
        webhook_secret: str | None = None,
        api_keys: tuple[str, ...] | list[str] = (),
        blocked_keys: tuple[str, ...] | list[str] = (),
        accounts: AccountsFile | str | os.PathLike[str] | None = None,
        limits: Limits | None = None,
        max_sessions: int | None = None,
        requests_per_minute: int | None = None,
        clock: str = "wall",
        findings: Setting = None,
        write_tools: Iterable[str] | None = None,
        record: str | os.PathLike[str] | None = None,
        check: bool = False,
        admin_token: str | None = None,
        allow_origins: tuple[str, ...] | list[str] = (),
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if isinstance(scenario, str | os.PathLike):
            scenario = Scenario.load(Path(scenario))
        content = _content(scenario, cassette, verbatim, speed, ignore)
        if content is not None and responder != ECHO:
            raise ValueError("a responder answers without a scenario or a cassette; leave out one of them")
        recorded = content.dialect if isinstance(content, AdaptiveReplay | VerbatimReplay) else None
        options = Options(
            dialect=dialect or recorded or "xai",
            pacing=pacing,
            seed=str(seed),
            voice=voice,
            vad=vad,
            transcriber=transcriber,
            hearing=hearing,
            telephony=telephony,
            responder=responder,
            chat=chat,
            chat_model=chat_model,
            chat_key=chat_key,
            mcp=mcp,
            webhook=webhook,
            webhook_secret=webhook_secret or secret_of(hashlib.sha256(f"webhook {seed}".encode()).digest()),
            api_keys=tuple(api_keys),
            blocked_keys=tuple(blocked_keys),
            limits=Limits(max_sessions, requests_per_minute).over(limits or Limits()),
            accounts=load(accounts) if isinstance(accounts, str | os.PathLike) else accounts,
            clock_rate=rate_named(clock),
            findings=findings,
            write_tools=None if write_tools is None else tuple(write_tools),
            record=None if record is None else Path(record),
            check=check,
            admin_token=admin_token,
            allow_origins=tuple(allow_origins),
        )
        self._server = Server(options, log_type=TestedSession)
        self._service = self._server.service
        super().__init__(self._service.journal)
        self._service.play(content)
        if options.voice != AUTO:
            try:
                _ = self._service.factory.equipment.voice
            except (ImportError, RuntimeError, FileNotFoundError) as missing:
                raise ValueError(f"voice={options.voice!r}: {missing}") from missing
        if options.transcriber not in (AUTO, OFF):
            self._service.factory.equipment.load_transcriber()
        if faults is not None:
            file = faults_from(faults)
            self._service.set_faults(file.faults, file.seed)
        self._host = host
        self._port = port

    @property
    def control_url(self) -> str:
        """The base of the control plane: `http://127.0.0.1:PORT/_mock`."""
        return f"http://{self._authority}/_mock"

    @property
    def api_key(self) -> str:
        """A key that is accepted."""
        options = self._service.options
        return next(iter((*options.api_keys, *(options.accounts.open_keys if options.accounts else ()))), ANY_KEY)

    @property
    def webhook_secret(self) -> str:
        """The secret that signs webhooks, unless a call names another one."""
        secret = self._service.options.webhook_secret
        assert secret is not None
        return secret

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which clients find the service, and `OPENAI_WEBHOOK_SECRET`."""
        return {**super().environment, WEBHOOK_SECRET: self.webhook_secret}

    def ring(
        self,
        text: str | Sequence[str] | None = None,
        *,
        audio: str | os.PathLike[str] | bytes | None = None,
        script: Sequence[Entry] | None = None,
        digits: str = "",
        caller: str = CALLER,
        called: str | None = None,
        headers: Mapping[str, str] | None = None,
        webhook: str | None = None,
        webhook_secret: str | None = None,
        answer_within: float = ANSWER_S,
        greeting: float = GREETING_S,
        transfer_status: int | None = None,
    ) -> RungCall:
        """Call the agent: the phone rings, and the mock announces the call to the webhook. Returns at once; `await` the
        call, or under a plain `with` call its `wait()`, until it is over.

        text: what the caller says, one turn or several. audio: a WAV file that the caller plays, as a path or as bytes.
        script: what the caller does, in order: words, sound files, steps of `realtape.phone`, or mappings. One of these
        at most; without any, the caller only listens to the greeting.
        digits: keys that the caller presses at the end. caller, called: the numbers; by default, the only number that
        is registered is called. headers: further ones of the SIP INVITE. webhook, webhook_secret: as for the mock.
        answer_within: seconds for which the phone rings.
        greeting: seconds for which the caller waits for the agent to speak first; 0 begins at once.
        transfer_status: the SIP status with which the destination of a transfer refuses; None if it answers.

        Raises ValueError for what cannot be used, OSError for a file, TooManyCalls beyond 1000 calls at a time or 256
        MiB that their callers are going to say.
        """
        _ = self._authority  # it must be running
        given = [each for each in (text, audio, script) if each is not None]
        if len(given) > 1:
            raise ValueError("text, audio and script each say what the caller does; give one of them")
        entries: list[Entry] = list(script or ())
        if text is not None:
            entries = [text] if isinstance(text, str) else list(text)
        elif audio is not None:
            entries = [audio if isinstance(audio, bytes) else Path(audio)]
        ring = Ring(
            script=caller_script(entries, digits, self._service.factory.equipment.voice),
            webhook=webhook,
            webhook_secret=webhook_secret,
            caller=caller,
            called=called,
            headers=dict(headers or {}),
            answer_within_s=answer_within,
            greeting_s=greeting,
            transfer_status=transfer_status,
        )
        call = self._ask(lambda: self._service.ring(ring))
        return RungCall(self, call, self._thread, lambda call: self._service.calls.end(call.entry, "caller"))

    def add_known_clips(self, clips: Iterable[KnownClip]) -> None:
        """Let sessions that open from now on hear these clips as their words: samples (int16 mono), rate in Hz, text.

        They go beside the clips of the scenario, as its `hears` has them. At most 200 are kept.
        """
        added = list(clips)
        self._ask(lambda: self._service.factory.known.extend(added))

    @property
    def cassettes(self) -> list[Path]:
        """With `record`: the files of the sessions so far, oldest first. After the `with`, all have their end marks."""
        return list(self._service.recorder.written) if self._service.recorder is not None else []

    @property
    def findings(self) -> list[Finding]:
        """Mistakes of clients so far, oldest first: `.rule`, `.at`, `.message`, `.fix`, `.level`, `.session`."""
        return self._ask(self._service.findings)

    def claim(self, *, transcript: str | None = None, billable_audio_seconds: float | None = None) -> list[Finding]:
        """Check what the client made of running totals, which the wire does not show.

        transcript: the user's words as the client shows them. billable_audio_seconds: what it counted over all
        sessions. Returns what is wrong; these are findings from then on.
        """
        watches = [log.watch for log in self.sessions if log.watch is not None]
        return self._service.watcher.claim(
            watches, transcript=transcript, billable_audio_seconds=billable_audio_seconds
        )

    @property
    def report(self) -> list[str]:
        """With `cassette`: where clients left the recorded words so far, and with `verbatim` all that differed from the
        recording, a line each; empty if nothing did."""
        return self._ask(self._service.report)

    @property
    def errors(self) -> list[Exception]:
        """Errors inside the mock so far."""
        return self._service.errors

    @property
    def unused(self) -> list[str]:
        """Content that no client has used so far, and turns that no rule answered, a line each.

        That is: rules that never answered, except a last catch-all rule; entries of a sequence and recorded responses
        that were never reached; known clips that were never heard; faults of probability 1 that were never triggered.
        With `verbatim` it is the report, and the faults.
        """
        return self._ask(self._service.unused)

    @property
    def faults(self) -> list[Armed]:
        """The faults that are on: `.fault`, how often it was triggered (`.fired`) and where (`.triggers`)."""
        return list(self._service.faults.armed)

    def set_faults(self, faults: FaultSource) -> None:
        """Replace all faults, for open connections too; `[]` removes them. Raises FaultError."""
        file = faults_from(faults)
        if self._thread is None:
            self._service.set_faults(file.faults, file.seed)
        else:  # the server runs in a thread of its own
            self._thread.ask(lambda: self._service.set_faults(file.faults, file.seed))

    def isolate(
        self,
        scenario: Scenario | str | os.PathLike[str] | None = None,
        *,
        cassette: str | os.PathLike[str] | None = None,
        verbatim: bool = False,
        speed: float = 1.0,
        ignore: Iterable[str] = (),
        faults: FaultSource | None = None,
        dialect: str | None = None,
        pacing: str | None = None,
        seed: int | str | None = None,
        limits: Limits | None = None,
        clock: str | None = None,
        findings: Setting = None,
        write_tools: Iterable[str] | None = None,
    ) -> IsolatedMock:
        """A namespace of this mock: `with mock.isolate(...) as own:`, or `async with`.

        It has a key, a scenario, faults, accounts, sessions, a journal, findings, a ledger and a clock of its own, for
        as long as the `with` lasts. Clients are in it by `own.ws_url` or by `own.api_key`. The options are those of
        MockServer; what is left out is as at the mock's start. Raises as MockServer does; entering raises
        TooManyNamespaces beyond 100.
        """
        if isinstance(scenario, str | os.PathLike):
            scenario = Scenario.load(Path(scenario))
        isolated = Isolated(
            content=_content(scenario, cassette, verbatim, speed, ignore),
            faults=None if faults is None else faults_from(faults),
            dialect=dialect,
            pacing=pacing,
            seed=None if seed is None else str(seed),
            limits=limits,
            clock=clock,
            findings=findings,
            write_tools=None if write_tools is None else tuple(write_tools),
        )
        isolated.over(self._service.options)  # raises ValueError for an unknown value
        return IsolatedMock(self, isolated)

    def advance(self, *, minutes: float = 0, seconds: float = 0, ms: float = 0) -> Awaitable[None]:
        """Move the server's time ahead. It stops at everything that is due on the way.

        Under `async with`, await it; under `with`, it returns when it is done. In virtual time the client's own timers
        move too. Raises ValueError for a negative time or more than 30 days.
        """
        push = self._service.clock.advance(minutes=minutes, seconds=seconds, ms=ms)
        if self._thread is None:
            return push
        self._thread.call(push)
        return _Done()

    async def __aenter__(self) -> MockServer:
        await self._server.start(self._host, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop()
        self._raise_unless(error)

    def __enter__(self) -> MockServer:
        self._thread = LoopThread("mock server")
        try:
            self._thread.call(self._server.start(self._host, self._port))
        except BaseException:
            self._thread.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        try:
            self._thread.call(self._server.stop())
        finally:
            self._thread.end()
        self._raise_unless(error)

    def _ask(self, what: Callable[[], T]) -> T:
        """Ask the server once it has read what clients have sent; in its own thread, if it has one."""
        self._catch_up()
        return what() if self._thread is None else self._thread.ask(what)

    def _raise_unless(self, error: BaseException | None) -> None:
        """A bug of the mock explains a failed test better than what the client saw. An interrupt has priority."""
        if self._service.errors and (error is None or isinstance(error, Exception)):
            raise self._service.errors[0]

    @property
    def _authority(self) -> str:
        if not self._server.port:
            raise RuntimeError("the mock is not running; use it inside `async with MockServer(...) as mock:`")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._server.port}"


class IsolatedMock(MockServer):
    """A namespace of a mock, with the members of a MockServer; see `MockServer.isolate`."""

    def __init__(self, mock: MockServer, isolated: Isolated) -> None:
        self._mock = mock
        self._isolated = isolated
        self._server, self._host, self._thread = mock._server, mock._host, None
        self._namespace: Namespace | None = None

    @property
    def ws_url(self) -> str:
        """Where clients of this namespace connect: `ws://127.0.0.1:PORT/ns-1/v1/realtime`."""
        return self._addresses.ws

    @property
    def http_url(self) -> str:
        """The base of the REST routes for this namespace: `http://127.0.0.1:PORT/ns-1/v1`."""
        return self._addresses.http

    @property
    def control_url(self) -> str:
        """The base of this namespace's control plane: `http://127.0.0.1:PORT/_mock/namespaces/ns-1`."""
        return self._addresses.control

    @property
    def api_key(self) -> str:
        """The key of this namespace, in the form of its service's keys. It also works at the mock's own address."""
        return self._opened.api_key

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which clients find this namespace."""
        found = environment(self.ws_url, self.http_url, self._opened.keys["xai"], self._opened.keys["openai"])
        return {**found, WEBHOOK_SECRET: self.webhook_secret}

    async def __aenter__(self) -> IsolatedMock:
        thread = self._mock._thread
        opening = self._server.namespaces.open(self._isolated, held=True)
        return self._entered(await opening if thread is None else await asyncio.to_thread(thread.call, opening))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ending = self._server.namespaces.end(self._opened, CLOSING_S)
        await (ending if self._thread is None else asyncio.to_thread(self._thread.call, ending))
        self._raise_unless(error)

    def __enter__(self) -> IsolatedMock:
        thread = self._mock._thread
        if thread is None:
            raise RuntimeError("this mock was entered with `async with`; enter its namespaces likewise")
        return self._entered(thread.call(self._server.namespaces.open(self._isolated, held=True)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        self._thread.call(self._server.namespaces.end(self._opened, CLOSING_S))
        self._raise_unless(error)

    def _entered(self, namespace: Namespace) -> IsolatedMock:
        self._namespace, self._service, self._thread = namespace, namespace.service, self._mock._thread
        self._journal = namespace.service.journal
        return self

    @property
    def _opened(self) -> Namespace:
        if self._namespace is None:
            raise RuntimeError("the namespace is not open; use it inside `with mock.isolate(...) as own:`")
        return self._namespace

    @property
    def _addresses(self) -> Addresses:
        return Addresses(self._authority, self._opened.id)


def _content(
    scenario: Scenario | None,
    cassette: str | os.PathLike[str] | None,
    verbatim: bool,
    speed: float,
    ignore: Iterable[str],
) -> Content:
    if cassette is not None and scenario is not None:
        raise ValueError("scenario and cassette both say what to answer; leave out one of them")
    if ignore and cassette is None:
        raise ValueError("ignore belongs to cassette; without one, there is nothing to differ from")
    if cassette is None:
        return scenario
    return VerbatimReplay(cassette, speed, ignore=ignore) if verbatim else AdaptiveReplay(cassette, ignore)


class _Done:
    """An awaitable that is done."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield
