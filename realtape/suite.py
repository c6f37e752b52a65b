"""`record-suite`: the six conversations of the clinic, recorded through the relay from a mock or from the live service.

The agent calls the relay as any client would. From the mock the cassettes have the same bytes on every run: time is
virtual, identifiers are seeded, and headers that name this machine are left out of the handshakes. A cassette keeps the
caller's audio, which a replay has to send. The service's audio is replaced by an outline (length, hash, loudness), so
the files stay small.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timezone
from fractions import Fraction
from pathlib import Path

import click

from clinic_agent.call.connection import CallFailed
from clinic_agent.call.pcm import read_wav
from clinic_agent.clinic.assistant import calling, clinic_assistant
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.config import Config, ConfigError, from_environment
from mockserver.server import virtual_time
from mockserver.testing.mock_server import MockServer
from realtape.data import cassettes
from replay.billing.bill import bill
from replay.cassette.file import CannotRecord, Cassette
from replay.cassette.frames import Binary, Text
from replay.cassette.recording import Recording
from replay.cassette.records import Record, Request, Response
from replay.cassette.strip_audio import strip_audio
from replay.cli.usage import Unusable
from replay.formats.tape import Tape, write
from replay.relay.relay import Relay, Settings
from replay.relay.upstream import PATH, BadUpstream, Upstream
from replay.secrets.named import Secrets
from replay.version import tool_version

DAY = date(2026, 7, 1)
"""The clinic's date in all six; the caller asks for the week after."""
MOCK_URL = f"ws://mock.invalid{PATH}"
"""The address that a cassette of the mock shows; the real one has another port on every run."""
PORTABLE_HEADERS = frozenset(
    {"authorization", "connection", "content-type", "sec-websocket-protocol", "sec-websocket-version", "upgrade"}
)
"""Headers of a handshake with the mock that are kept; the others differ between machines."""
GOODBYE = "No, thank you. Goodbye."


def _full_on_the_sixth(today: date) -> Clinic:
    clinic = Clinic(today)
    day = date(2026, 7, 6)
    for start in clinic.free("dental cleaning", day):
        clinic.book("dental cleaning", day, start, "Somebody Else")
    return clinic


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """One of the six conversations. Each of `turns` is a clip in cassettes/voices, or text that is typed."""

    name: str
    turns: tuple[str, ...]
    clinic: Callable[[date], Clinic] = Clinic
    failing_tools: tuple[str, ...] = ()
    drop_after: int | None = None
    """The number of turns after which the connection is lost and resumed; None: never."""

    def words(self) -> list[str | bytes]:
        """Each turn as the agent takes it: text, or PCM16 mono 24 kHz."""
        voices = cassettes() / "voices"
        return [read_wav(voices / turn) if turn.endswith(".wav") else turn for turn in self.turns]


SUITE = (
    ScriptedCall("booking", ("booking-1.wav", "booking-2.wav")),
    ScriptedCall("resumed-booking", ("booking-1.wav", "booking-2.wav"), drop_after=1),
    ScriptedCall("fully-booked", ("booking-1.wav", GOODBYE), _full_on_the_sixth),
    ScriptedCall("tool-failure", ("booking-1.wav", "booking-2.wav"), failing_tools=("book_appointment",)),
    ScriptedCall("medical-escalation", ("emergency.wav",)),
    ScriptedCall("unclear-audio", ("unclear.wav", "booking-1.wav")),
)


class NotRecorded(click.ClickException):
    """A conversation could not be recorded; the message names it and the reason."""

    exit_code = 1


@click.command("record-suite")
@click.option(
    "--upstream", metavar="URL", help="Record this service, such as wss://api.x.ai/v1/realtime.  [default: a mock]"
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="cassettes",
    show_default=True,
    help="Folder for the cassettes, in the current folder by default. Files of the same names are replaced.",
)
@click.option(
    "--max-usd",
    type=click.FloatRange(min=0, min_open=True),
    default=0.25,
    show_default=True,
    help="Stop when the recordings together cost this much, in USD.",
)
@click.option(
    "--only",
    type=click.Choice([scripted.name for scripted in SUITE]),
    multiple=True,
    help="Record only this conversation; repeat for more.  [default: all six]",
)
def record_suite(upstream: str | None, out: Path, max_usd: float, only: tuple[str, ...]) -> None:
    """Record the six conversations of the clinic.

    The clinic agent calls a mock, or the service at --upstream with the key in XAI_API_KEY. In a checkout of realtape,
    run it in the root folder to renew the cassettes kept there.

    Exit code 1: a conversation failed; its old cassette is unchanged.
    """
    out.mkdir(parents=True, exist_ok=True)
    left = Fraction(str(max_usd))
    chosen = [scripted for scripted in SUITE if not only or scripted.name in only]
    for number, scripted in enumerate(chosen, start=1):
        if sys.stderr.isatty():
            click.echo(f"{number} of {len(chosen)}: {scripted.name}", err=True)
        path = out / f"{scripted.name}.tape"
        if upstream is None:
            spent = virtual_time.run(_from_mock(scripted, path, left))
        else:
            spent = asyncio.run(_from_service(scripted, path, upstream, left))
        left -= spent
        click.echo(f"{path}: {float(spent):.4f} USD")


async def _from_mock(scripted: ScriptedCall, path: Path, left: Fraction) -> Fraction:
    scenario = cassettes() / "scenarios" / f"{scripted.name}.yaml"
    at = datetime.fromtimestamp(virtual_time.EPOCH, timezone.utc)  # the mock's events have the times of this clock
    async with MockServer(scenario, voice="tone", dialect="xai@2026-07") as mock:
        upstream = await Upstream.find(mock.ws_url)
        return await _recorded(scripted, path, upstream, mock.api_key, at, left)


async def _from_service(scripted: ScriptedCall, path: Path, url: str, left: Fraction) -> Fraction:
    at = datetime.now(timezone.utc)  # noqa: TID251  # a recording has a date
    try:
        config = from_environment({**os.environ, "XAI_REALTIME_URL": url})
        upstream = await Upstream.find(url)
    except (ConfigError, BadUpstream) as problem:
        raise Unusable(str(problem)) from problem
    return await _recorded(scripted, path, upstream, config.key, at, left)


async def _recorded(
    scripted: ScriptedCall, path: Path, upstream: Upstream, key: str, at: datetime, left: Fraction
) -> Fraction:
    """Record one conversation; gives its cost in USD. Raises NotRecorded and leaves `path` unchanged if that fails."""
    part = path.with_name(f".{path.name}.part")
    secrets = Secrets((key,))
    settings = Settings(part, at, f"realtape {tool_version()}", overwrite=True, max_usd=left, secrets=secrets)
    try:
        relay = Relay(upstream, settings)
        await relay.start()
        try:
            await _converse(scripted, relay.port, key, at.date())
        except CallFailed as failed:
            raise NotRecorded(f"{scripted.name}: {relay.limit or failed}") from failed
        finally:
            await relay.stop()
        if relay.failure or relay.limit:
            raise NotRecorded(f"{scripted.name}: {relay.failure or relay.limit}")
        write(_reproducible(part), path, secrets=secrets, overwrite=True)
        usd = bill(Recording.read(path), at.date()).usd
        return Fraction(usd)
    except (CannotRecord, ValueError, OSError) as problem:
        raise NotRecorded(f"{scripted.name}: {problem}") from problem
    finally:
        part.unlink(missing_ok=True)


async def _converse(scripted: ScriptedCall, port: int, key: str, on: date) -> None:
    """The agent's call, over a connection that can be cut."""
    assistant = clinic_assistant(scripted.clinic(DAY))
    assistant = replace(assistant, tools=assistant.tools.failing(scripted.failing_tools))
    async with cuttable_proxy(port) as (proxy_port, cut):
        config = Config(f"ws://127.0.0.1:{proxy_port}{PATH}", f"http://127.0.0.1:{proxy_port}/v1", key)
        async with calling(config, assistant, priced_on=on) as call:
            for number, words in enumerate(scripted.words()):
                if number == scripted.drop_after:
                    cut()
                    await asyncio.sleep(0.1)  # until the client has noticed
                await call.say(words)


@asynccontextmanager
async def cuttable_proxy(port: int) -> AsyncIterator[tuple[int, Callable[[], None]]]:
    """A TCP proxy in front of `port`. Gives its own port, and a function that aborts its connections."""
    ends: list[asyncio.StreamWriter] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        ends.extend((writer, far_writer))
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

    def cut() -> None:
        while ends:
            ends.pop().transport.abort()

    server = await asyncio.start_server(joined, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], cut
        cut()


def _reproducible(part: Path) -> Tape:
    """The cassette as it is kept: the service's audio as an outline, a mock's handshakes with portable headers."""
    with Cassette.open(part) as cassette:
        header, end_us = replace(cassette.header, audio="outline"), cassette.last_us
        if header.origin != "live":
            header = replace(header, url=MOCK_URL, tool="realtape record-suite")  # without its version
        records: list[Record] = []
        for record in cassette:
            content = record.content
            if record.way == "received" and isinstance(content, Text | Binary):
                content = strip_audio(content, "pcm")
            elif header.origin != "live" and isinstance(content, Request | Response):
                kept = tuple(pair for pair in content.headers if pair[0].lower() in PORTABLE_HEADERS)
                content = replace(content, headers=kept)
            records.append(replace(record, content=content))
    return Tape(header, tuple(records), end_us)
