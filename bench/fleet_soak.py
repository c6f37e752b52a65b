"""Many sessions over several workers that are killed at random: is a seat lost, or a session not accounted for?

    python bench/fleet_soak.py [--sessions 2000] [--minutes 10] [--workers 3] [--kill-every 20]

`serve --workers` runs with a store of its own process, and the team may have as many sessions as there are callers: a
seat that is not given back keeps a caller out. Callers are in two processes. They type, hang up, and call again; half
of them resume their conversation then, and a tenth has a client secret. A worker ends by SIGKILL every 20 s or so.
A caller whose connection is lost, or that is refused, calls again after a second.

Exit code 1, with what is wrong:

- A connection ended without a close frame, and no worker was killed in the two seconds before.
- A handshake, a turn or a hang-up has no answer within 60 s, or a handshake another one than 101, 429 and 503.
- Two conversations have one id, or a conversation that was hung up is not resumed.
- The store numbered more sessions than callers had, apart from handshakes that were cut off by a kill or refused with
  503.
- With all callers connected, the store has other than one seat for each; or any seat after all have hung up.
- The journal has another number of messages of a session than its caller; of a session that a kill ended, more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, cast
from urllib.request import Request, urlopen

from load import masked, text_turn

KEY = "soak"
PROCESSES = 2
ANSWER_S = 60.0
"""The longest wait for an answer of the server. A handshake may wait until its worker, which was killed, is started
again, and once more."""
AGAIN_S = 1.0
CONNECTS_PER_S = 150.0
"""Of a process, at the start."""
AFTER_KILL_S = 2.0
"""A connection that ends without a close frame within this time after a kill may have been the killed worker's."""
TURN = text_turn("hello")
RESUMABLE = masked({"type": "session.update", "session": {"resumption": {"enabled": True}}})
GOODBYE = b"\x88\x82" + bytes(4) + b"\x03\xe8"  # 1000
ROOT = Path(__file__).resolve().parent.parent


# --- Callers, in a process of their own ---


@dataclass
class Seen:
    """What the callers of a process saw."""

    sessions: int = 0
    """Handshakes that were answered with 101."""
    refused: Counter[int] = field(default_factory=Counter)
    hung_up: int = 0
    lost: list[float] = field(default_factory=list)
    """When a session ended without a close frame, in monotonic s."""
    longest_s: float = 0.0
    """The longest wait for the answer to a handshake."""
    cut_off: list[float] = field(default_factory=list)
    """When a handshake did."""
    turns: int = 0
    resumed: int = 0
    ids: list[str] = field(default_factory=list)
    """Of conversations that were new."""
    counts: dict[str, int] = field(default_factory=dict)
    """Messages that came or were sent, by the id of a session that was hung up."""
    wrong: list[str] = field(default_factory=list)


class Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._rest = b""
        self.state = "handshake"
        self.session = self.conversation = ""
        self.began = monotonic()
        self.messages = 0
        """Both ways."""
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)
        self.transport.write(self._caller.handshake())
        self.expect("no answer to the handshake")

    def expect(self, what: str | None) -> None:
        """Complain after ANSWER_S, unless it is asked for something else before."""
        if self._deadline is not None:
            self._deadline.cancel()
        loop = asyncio.get_running_loop()
        self._deadline = None if what is None else loop.call_later(ANSWER_S, self._caller.complain, what)

    def say(self, frames: bytes, count: int) -> None:
        self.messages += count
        self.transport.write(frames)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        at = 0
        if self.state == "handshake":
            if (end := data.find(b"\r\n\r\n")) < 0:
                self._rest = data
                return
            self.expect(None)
            self._caller.waited(monotonic() - self.began)
            if (status := int(data[9:12])) != 101:
                self.state = "refused"
                self._caller.refused(status)
                self.transport.abort()
                return
            self.state, at = "open", end + 4
            self._caller.opened()
        while len(data) - at >= 2:
            size, head = data[at + 1], 2
            if size > 125:
                head = 4 if size == 126 else 10
                size = int.from_bytes(data[at + 2 : at + head], "big")
            if at + head + size > len(data):
                break
            self._frame(data, data[at], at + head, size)
            at += head + size
        self._rest = data[at:]

    def _frame(self, data: bytes, opcode: int, start: int, size: int) -> None:
        if opcode == 0x88:
            if self.state == "open":
                self._caller.complain(f"the server closed: {data[start + 2 : start + size].decode()}")
            self.state = "over"
            self.transport.close()
            return
        self.messages += 1
        if data.startswith(b'{"type":"session.created"', start):
            self.session = json.loads(data[start : start + size])["session"]["id"]
        elif data.startswith(b'{"type":"conversation.created"', start):
            self.conversation = json.loads(data[start : start + size])["conversation"]["id"]
            self._caller.knows(self.conversation)
        elif data.startswith(b'{"type":"response.done"', start) and self.state == "open":
            self.expect(None)
            self._caller.answered()

    def connection_lost(self, problem: Exception | None) -> None:
        self.expect(None)
        self._caller.ended(self)


class Caller:
    """One caller for the whole time, over as many connections as it takes."""

    def __init__(self, name: str, asked: argparse.Namespace, credential: str, seen: Seen, *, resumes: bool) -> None:
        self._name, self._asked, self._credential, self._seen = name, asked, credential, seen
        self._resumes = resumes
        self._rng = Random(f"{asked.seed}/{name}")
        self._loop = asyncio.get_running_loop()
        self._conversation = ""
        """The one to resume."""
        self._timers: list[asyncio.TimerHandle] = []
        self.line: Line | None = None
        self._again: asyncio.Task[None] | None = None
        self.out = True
        """It wants a session and has none, but for the second after it hung up."""
        self.stays = self.done = False

    def handshake(self) -> bytes:
        resume = f"&conversation_id={self._conversation}" if self._conversation else ""
        return (
            f"GET /v1/realtime?model=grok-voice-latest{resume} HTTP/1.1\r\nHost: 127.0.0.1:{self._asked.port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Sec-WebSocket-Version: 13\r\nAuthorization: Bearer {self._credential}\r\n\r\n"
        ).encode()

    async def call(self, after_s: float = 0.0) -> None:
        await asyncio.sleep(after_s)
        if self.done:
            return
        try:
            _, self.line = await self._loop.create_connection(lambda: Line(self), "127.0.0.1", self._asked.port)
        except OSError as problem:
            self.complain(f"no connection: {problem}")
            self._call_again()

    def _call_again(self) -> None:
        if not self.done:
            self._again = self._loop.create_task(self.call(AGAIN_S * self._rng.uniform(0.5, 1.5)))

    def waited(self, seconds: float) -> None:
        self._seen.longest_s = max(self._seen.longest_s, seconds)

    def opened(self) -> None:
        self._seen.sessions += 1
        self.out = False
        asked = self._asked
        self._timers = [
            self._loop.call_later(asked.turn_s * self._rng.uniform(0.1, 1.5), self._turn),
            self._loop.call_later(asked.call_s * self._rng.uniform(0.5, 1.5), self._end_call),
        ]
        if self._resumes and self.line is not None:
            self.line.say(RESUMABLE, 1)

    def knows(self, conversation: str) -> None:
        if not self._conversation:
            self._seen.ids.append(conversation)
        elif conversation == self._conversation:
            self._seen.resumed += 1
        else:
            self.complain(f"{self._conversation} was not resumed")
            self._conversation = ""
            self._seen.ids.append(conversation)

    def _turn(self) -> None:
        if self.line is not None and self.line.state == "open":
            self.line.expect("no answer to a turn")
            self.line.say(TURN, 2)

    def answered(self) -> None:
        self._seen.turns += 1
        self._timers[0] = self._loop.call_later(self._asked.turn_s * self._rng.uniform(0.5, 1.5), self._turn)

    def _end_call(self) -> None:
        if not self.stays:
            self.hang_up()

    def hang_up(self) -> None:
        if self.line is not None and self.line.state == "open":
            self.line.state = "hanging up"
            self.line.expect("no answer to a close frame")
            self.line.say(GOODBYE, 1)  # a frame of the journal, too

    def refused(self, status: int) -> None:
        self._seen.refused[status] += 1
        if status not in (429, 503):
            self.complain(f"refused with {status}")

    def ended(self, line: Line) -> None:
        for timer in self._timers:
            timer.cancel()
        match line.state:
            case "over":
                self._seen.hung_up += 1
                self._seen.counts[line.session] = line.messages
                if self._resumes:
                    self._conversation = line.conversation
            case "open" | "hanging up":
                self._seen.lost.append(monotonic())
                self._conversation = ""  # it may be gone with its worker
            case "handshake":
                self._seen.cut_off.append(monotonic())
        self.out = line.state != "over"
        self.line = None
        self._call_again()

    def complain(self, what: str) -> None:
        self._seen.wrong.append(f"{self._name} at {monotonic():.1f}: {what}")


async def call(asked: argparse.Namespace) -> None:
    """Say on stdout each half second how many are out, and at the end what was seen. The first line on stdin ends the
    hanging up and calling again, the second one ends the calls."""
    seen, loop = Seen(), asyncio.get_running_loop()
    callers = [
        Caller(
            f"{asked.callers}/{number}", asked, asked.secret if number % 10 == 9 else KEY, seen, resumes=number % 2 == 0
        )
        for number in range(asked.sessions)
    ]
    calls = [loop.create_task(each.call(number / CONNECTS_PER_S)) for number, each in enumerate(callers)]
    told = asyncio.Event()
    loop.add_reader(0, lambda: (os.read(0, 100), told.set()))
    for _ in ("stay", "hang up"):
        while not told.is_set():
            out = sum(each.out or (each.stays and each.line is None) for each in callers)
            print(json.dumps({"out": out}), flush=True)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(told.wait(), 0.5)
        told.clear()
        for each in callers:
            each.stays = True
    await asyncio.gather(*calls)
    for each in callers:
        each.done = True
        each.hang_up()
    until = monotonic() + ANSWER_S
    while any(each.line is not None for each in callers) and monotonic() < until:  # noqa: ASYNC110 - a few times
        await asyncio.sleep(0.1)
    print(json.dumps({"seen": vars(seen)}), flush=True)


# --- The fleet ---


@contextlib.contextmanager
def store() -> Iterator[str]:
    """The address of a store in a process of its own."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        sys.exit("install redis-server or valkey-server")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "store.sock")
        options = ("--port", "0", "--unixsocket", str(place), "--save", "", "--appendonly", "no")
        process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        try:
            while not place.exists() and process.poll() is None:
                signal.sigtimedwait([], 0.01)
            yield f"unix://{place}"
        finally:
            process.kill()
            process.wait()


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ask(port: int, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    with urlopen(Request(f"http://127.0.0.1:{port}{path}", data, headers), timeout=ANSWER_S) as answer:
        return json.load(answer)


def seats(url: str) -> int:
    """Those of servers that are alive, as the store has them."""
    from redis import Redis

    with Redis.from_url(url) as known:
        alive = {key.rpartition(b":")[2] for key in known.scan_iter("{realtape}:alive:*")}
        return sum(
            int(known.scard(key)) for key in known.scan_iter("{realtape}:seats:*") if key.rpartition(b":")[2] in alive
        )


def numbered(url: str) -> int:
    """Sessions that the store has numbered."""
    from redis import Redis

    with Redis.from_url(url) as known:
        return int(known.get("{realtape}:sessions") or 0)


class Processes:
    """The processes of callers."""

    def __init__(self, asked: argparse.Namespace, port: int, secret: str) -> None:
        share, rest = divmod(asked.sessions, PROCESSES)
        self._running = [
            subprocess.Popen(
                [
                    *(sys.executable, __file__, "--callers", str(number), "--port", str(port), "--secret", secret),
                    *("--sessions", str(share + (number < rest)), "--seed", asked.seed),
                    *("--turn-s", str(asked.turn_s), "--call-s", str(asked.call_s)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(PROCESSES)
        ]

    def out(self) -> int:
        """How many callers are out; waits for the next count of each process."""
        return sum(self._next(each)["out"] for each in self._running)

    def tell(self, what: str) -> None:
        for each in self._running:
            assert each.stdin is not None
            each.stdin.write(f"{what}\n")
            each.stdin.flush()

    def _next(self, process: subprocess.Popen[str]) -> Any:
        assert process.stdout is not None
        if not (line := process.stdout.readline()):
            sys.exit("a process of callers ended")
        return json.loads(line)

    def hang_up(self) -> list[Seen]:
        """What they saw."""
        found = []
        self.tell("hang up")
        for each in self._running:
            while (came := self._next(each)).get("seen") is None:
                pass
            seen = Seen(**came["seen"])
            seen.refused = Counter({int(status): times for status, times in seen.refused.items()})
            found.append(seen)
            each.wait()
        return found


@dataclass
class Kill:
    at: float
    """In monotonic s."""
    back_s: float | None = None
    """Until no caller was out."""


def soak(asked: argparse.Namespace, url: str) -> bool:
    """Whether nothing is wrong."""
    program = [sys.executable, "-m", "realtape", "serve", "--workers", str(asked.workers), "--state", url]
    options = ["--port", "0", "--quiet", "--pacing", "burst", "--voice", "tone", "--transcriber", "off"]
    with subprocess.Popen(
        [*program, *options, "--max-sessions", str(asked.sessions)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().rpartition(":")[2].partition("/")[0])
        secret = ask(port, "/v1/realtime/client_secrets", {"expires_after": {"seconds": 3600}})["value"]
        processes = Processes(asked, port, secret)
        wrong: list[str] = []
        kills, rng = list[Kill](), Random(asked.seed)
        while processes.out():
            pass
        began = monotonic()
        due = began + asked.kill_every * rng.uniform(0.5, 1.5)
        while (now := monotonic()) < began + asked.minutes * 60 or (kills and kills[-1].back_s is None):
            out = processes.out()
            if kills and kills[-1].back_s is None:
                if out == 0:
                    kills[-1].back_s = now - kills[-1].at
                elif now > kills[-1].at + 2 * ANSWER_S:
                    wrong.append(f"{out} of {asked.sessions} callers are out {2 * ANSWER_S:g} s after a kill")
                    break
            if now > due and now < began + asked.minutes * 60:
                with contextlib.suppress(ProcessLookupError, IndexError):
                    os.kill(rng.choice(children(server.pid)), signal.SIGKILL)
                    kills.append(Kill(monotonic()))
                due = now + asked.kill_every * rng.uniform(0.5, 1.5)
        processes.tell("stay")
        until = monotonic() + ANSWER_S
        while (out := processes.out()) + (held := seats(url)) != asked.sessions or out:
            if monotonic() > until:
                wrong.append(f"{out} callers of {asked.sessions} are out, and the store has {held} seats")
                break
        seen = processes.hang_up()
        until = monotonic() + 5
        while (left := seats(url)) and monotonic() < until:
            signal.sigtimedwait([], 0.1)
        listed, count = ask(port, "/_mock/sessions"), numbered(url)
        server.send_signal(signal.SIGTERM)
        code = server.wait(30)
    if left:
        wrong.append(f"{left} seats are left")
    if code:
        wrong.append(f"the supervisor ended with exit code {code}")
    wrong += accounted(seen, kills, listed, count)
    report(asked, seen, kills, count, len(listed), wrong)
    return not wrong


def accounted(seen: list[Seen], kills: list[Kill], listed: list[dict[str, Any]], count: int) -> list[str]:
    """What is wrong with what the callers saw."""
    wrong = [each for one in seen for each in one.wrong]
    wrong += [
        f"a connection ended without a close frame at {at:.1f}, when no worker was killed"
        for one in seen
        for at in (*one.lost, *one.cut_off)
        if not any(kill.at - 0.1 <= at <= kill.at + AFTER_KILL_S for kill in kills)
    ]
    twice = [id for id, times in Counter(id for one in seen for id in one.ids).items() if times > 1]
    if twice:
        wrong.append(f"{len(twice)} conversations have the id of another")
    sessions, cut_off = sum(one.sessions for one in seen), sum(len(one.cut_off) for one in seen)
    outages = sum(one.refused[503] for one in seen)  # the store may have numbered a session, and answered too late
    if not sessions <= count <= sessions + cut_off + outages:
        wrong.append(f"the store numbered {count} sessions, callers had {sessions}, {cut_off + outages} were refused")
    counts = {id: found for one in seen for id, found in one.counts.items()}
    for each in listed:
        had = each["frames"] + each["dropped"]
        if each["open"]:
            wrong.append(f"session {each['id']} is open still")
        elif each["close_code"] == 1006:  # the copy of a session that was killed lacks the last 0.25 s
            if had > counts.get(each["id"], had):
                wrong.append(f"session {each['id']}: the copy has {had} messages, the caller {counts[each['id']]}")
        elif each["id"] in counts and counts[each["id"]] != had:
            wrong.append(f"session {each['id']}: the journal has {had} messages, the caller {counts[each['id']]}")
    return wrong


def report(
    asked: argparse.Namespace, seen: list[Seen], kills: list[Kill], count: int, listed: int, wrong: list[str]
) -> None:
    refused = sum((Counter(one.refused) for one in seen), Counter[int]())
    back = sorted(each.back_s for each in kills if each.back_s is not None)
    print(f"{asked.sessions} callers for {asked.minutes:g} minutes, {asked.workers} workers, {len(kills)} kills")
    print(f"  sessions: {sum(one.sessions for one in seen)}, the store numbered {count}")
    print(f"  hung up: {sum(one.hung_up for one in seen)}; lost by kills: {sum(len(one.lost) for one in seen)}")
    print(f"  handshakes cut off by kills: {sum(len(one.cut_off) for one in seen)}; refused: {dict(refused)}")
    print(f"  turns: {sum(one.turns for one in seen)}; conversations resumed: {sum(one.resumed for one in seen)}")
    print(f"  longest wait for the answer to a handshake: {max(one.longest_s for one in seen):.1f} s")
    if back:
        print(f"  all connected again after a kill: median {back[len(back) // 2]:.1f} s, at most {back[-1]:.1f} s")
    kinds = Counter(re.sub(r"^\S+ at [\d.]+: ", "", each) for each in wrong)
    print(f"  in the journal: {listed} sessions")
    print(f"  wrong: {len(wrong)}", *(f"{times} x {kind}" for kind, times in kinds.most_common(10)), sep="\n    ")
    if wrong:
        print("  kills at", ", ".join(f"{each.at:.1f} (back after {each.back_s})" for each in kills))
        print(*wrong[:20], sep="\n    ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kill-every", type=float, default=20.0, metavar="S", help="give or take a half")
    parser.add_argument("--turn-s", type=float, default=60.0, help="between two turns of a caller, give or take a half")
    parser.add_argument("--call-s", type=float, default=180.0, help="length of a call, give or take a half")
    parser.add_argument("--seed", default="7")
    for name, kind in (("callers", int), ("port", int), ("secret", str)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.callers is not None:
        asyncio.run(call(asked))
        return
    with store() as url:
        sys.exit(0 if soak(asked, url) else 1)


if __name__ == "__main__":
    main()
