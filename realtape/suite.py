"""`record-suite`: the clinic's six conversations, recorded through the relay from a mock or from the live service.

The agent calls the relay as any client would. From the mock they come out the same on every run: time is virtual, ids
are seeded, and what names this machine is left out of the handshakes. The caller's sound is kept, for it is what a
replay has to send; the service's is left out (its length, hash and loudness stay), to keep the files small.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clinic_agent.call.connection import CallFailed
from clinic_agent.call.pcm import read_wav
from clinic_agent.clinic.assistant import calling, clinic_assistant
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.config import Config, ConfigError, from_environment
from replay.billing.bill import bill
from replay.cassette.file import CannotRecord, Cassette
from replay.cassette.frames import Binary, Text
from replay.cassette.recording import Recording
from replay.cassette.records import Content, Record, Request, Response
from replay.cassette.strip_audio import strip_audio
from replay.cli.files import Unusable
from replay.formats.tape import Tape, write
from replay.relay.relay import Relay, Settings
from replay.relay.upstream import PATH, BadUpstream, Upstream
from replay.version import tool_version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CASSETTES = Path(__file__).parent.parent / "cassettes"
DAY = date(2026, 7, 1)
"""The clinic's date in all of them; the caller asks for the week after."""
MOCK_URL = f"ws://mock.invalid{PATH}"
"""What stands for the mock's address, which is another on every run."""
GOODBYE = "No, thank you. Goodbye."


def _open_clinic() -> Clinic:
    return Clinic(DAY)


def _full_on_the_sixth() -> Clinic:
    clinic = Clinic(DAY)
    day = date(2026, 7, 6)
    for start in clinic.free("dental cleaning", day):
        clinic.book("dental cleaning", day, start, "Somebody Else")
    return clinic


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the caller says, turn by turn: a clip of cassettes/voices, or words that are typed."""

    name: str
    turns: tuple[str, ...]
    clinic: Callable[[], Clinic] = _open_clinic
    broken: tuple[str, ...] = ()
    """Tools that are out of order."""
    dropped_after: int | None = None
    """After so many turns the connection is lost, and the conversation taken up again."""

    def words(self) -> list[str | bytes]:
        """Each turn as the agent takes it."""
        return [read_wav(CASSETTES / "voices" / turn) if turn.endswith(".wav") else turn for turn in self.turns]


SUITE = (
    Conversation("booking", ("booking-1.wav", "booking-2.wav")),
    Conversation("resumed-booking", ("booking-1.wav", "booking-2.wav"), dropped_after=1),
    Conversation("fully-booked", ("booking-1.wav", GOODBYE), _full_on_the_sixth),
    Conversation("tool-failure", ("booking-1.wav", "booking-2.wav"), broken=("book_appointment",)),
    Conversation("medical-escalation", ("emergency.wav",)),
    Conversation("unclear-audio", ("unclear.wav", "booking-1.wav")),
)
_NAMES = [conversation.name for conversation in SUITE]


class Failed(click.ClickException):
    """A conversation did not come to its end; the message says which and why."""

    exit_code = 1


@click.command("record-suite")
@click.option("--upstream", metavar="URL", help="The service, such as wss://api.x.ai/v1/realtime.  [default: a mock]")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=CASSETTES,
    show_default="the repository's cassettes",
    help="Folder for the six cassettes; older ones of these names are replaced.",
)
@click.option(
    "--max-usd",
    type=click.FloatRange(min=0, min_open=True),
    default=0.25,
    show_default=True,
    help="Stop once all of them together cost so much.",
)
@click.option("--only", type=click.Choice(_NAMES), multiple=True, help="Record this one; repeatable.  [default: all]")
def record_suite(upstream: str | None, out: Path, max_usd: float, only: tuple[str, ...]) -> None:
    """Record the clinic's six conversations: the agent calls a mock, or with --upstream the service itself.

    The live key comes from XAI_API_KEY. A conversation that fails leaves its old cassette as it was; exit code 1.
    """
    from mockserver.server import virtual_time as autojump

    chosen = [conversation for conversation in SUITE if not only or conversation.name in only]
    out.mkdir(parents=True, exist_ok=True)
    left = Fraction(str(max_usd))
    for conversation in chosen:
        path = out / f"{conversation.name}.tape"
        if upstream is None:
            spent = autojump.run(_from_mock(conversation, path, left))
        else:
            spent = asyncio.run(_from_service(conversation, path, upstream, left))
        left -= spent
        click.echo(f"{path}: {float(spent):.4f} USD")


async def _from_mock(conversation: Conversation, path: Path, left: Fraction) -> Fraction:
    from mockserver.server.virtual_time import EPOCH
    from mockserver.testing.mock_server import MockServer

    scenario = CASSETTES / "scenarios" / f"{conversation.name}.yaml"
    at = datetime.fromtimestamp(EPOCH, timezone.utc)  # the mock's own clock says so in its events
    async with MockServer(scenario, voice="tone", dialect="xai@2026-07") as mock:
        upstream = await Upstream.find(mock.ws_url)
        return await _recorded(conversation, path, upstream, mock.api_key, at, left)


async def _from_service(conversation: Conversation, path: Path, url: str, left: Fraction) -> Fraction:
    at = datetime.now(timezone.utc)  # noqa: TID251  # a recording has a date
    try:
        config = from_environment({**os.environ, "XAI_REALTIME_URL": url})
        upstream = await Upstream.find(url)
    except (ConfigError, BadUpstream) as problem:
        raise Unusable(str(problem)) from problem
    return await _recorded(conversation, path, upstream, config.key, at, left)


async def _recorded(
    conversation: Conversation, path: Path, upstream: Upstream, key: str, at: datetime, left: Fraction
) -> Fraction:
    """Record one conversation and give what it cost in USD. Raises Failed; `path` is then as it was."""
    part = path.with_name(f".{path.name}.part")
    settings = Settings(part, at, f"realtape {tool_version()}", overwrite=True, max_usd=left, secrets=(key,))
    try:
        relay = Relay(upstream, settings)
        await relay.start()
        try:
            await _converse(conversation, relay.port, key, at.date())
        except CallFailed as failed:
            raise Failed(f"{conversation.name}: {relay.limit or failed}") from failed
        finally:
            await relay.stop()
        if relay.failure or relay.limit:
            raise Failed(f"{conversation.name}: {relay.failure or relay.limit}")
        write(_kept(part), path, secrets=(key,), overwrite=True)
        usd = bill(Recording.read(path), at.date()).usd
        return Fraction(usd)
    except (CannotRecord, ValueError, OSError) as problem:
        raise Failed(f"{conversation.name}: {problem}") from problem
    finally:
        part.unlink(missing_ok=True)


async def _converse(conversation: Conversation, port: int, key: str, on: date) -> None:
    """The agent's call, by way of a wire that can be cut."""
    assistant = clinic_assistant(conversation.clinic())
    assistant = replace(assistant, tools=assistant.tools.failing(conversation.broken))
    async with wire(port) as (wire_port, cut_it):
        config = Config(f"ws://127.0.0.1:{wire_port}{PATH}", f"http://127.0.0.1:{wire_port}/v1", key)
        async with calling(config, assistant, priced_on=on) as call:
            for number, said in enumerate(conversation.words()):
                if number == conversation.dropped_after:
                    cut_it()
                    await asyncio.sleep(0.1)  # until the client has heard of it
                await call.say(said)


@asynccontextmanager
async def wire(port: int) -> AsyncIterator[tuple[int, Callable[[], None]]]:
    """A TCP relay in front of a port, and what cuts its connections, without a word to either end."""
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


def _kept(part: Path) -> Tape:
    """What goes into the repository: the service's sound as an outline, a mock's handshakes without its machine."""
    with Cassette.open(part) as cassette:
        header = replace(cassette.header, audio="outline")
        records = tuple(_outlined(cassette))
        end_us = cassette.last_us
    if header.origin != "live":
        header = replace(header, url=MOCK_URL, tool="realtape record-suite")  # of whatever version
        records = tuple(replace(record, content=_anywhere(record.content)) for record in records)
    return Tape(header, records, end_us)


def _outlined(cassette: Cassette) -> Iterator[Record]:
    for record in cassette:
        if record.way == "received" and isinstance(record.content, Text | Binary):
            record = replace(record, content=strip_audio(record.content, "pcm"))
        yield record


def _anywhere(content: Content) -> Content:
    """A handshake as it is on every machine; whatever else as it is."""
    match content:
        case Request():
            return replace(content, headers=_known(content.headers))
        case Response():
            return replace(content, headers=_known(content.headers))
        case _:
            return content


def _known(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    told = {"authorization", "connection", "content-type", "sec-websocket-protocol", "sec-websocket-version", "upgrade"}
    return tuple((name, value) for name, value in headers if name.lower() in told)
