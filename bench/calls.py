"""WebRTC calls: time to set one up, processor time and memory per call, and how late the frames of sound come.

The server is a process on one core, the callers are another process on another core. A caller speaks a recorded turn
every eight seconds and hears a spoken answer, so that the server talks for some 40 % of the time. Callers send packets
that were encoded before and decode none, so that they cost little. Needs the extra `webrtc`.

    python bench/calls.py [--calls 1,10,40] [--seconds 20]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import secrets
import subprocess
import sys
import wave
from pathlib import Path
from time import monotonic

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
TURN_S = 8.0
WORDS = "I have nine o'clock, half past nine, and a quarter to eleven. Which one suits you best?"


def packets() -> list[bytes]:
    """A turn of the caller as Opus: the clip, then silence."""
    from mockserver.audio.opus import OpusEncoder

    with wave.open(str(ROOT / "cassettes" / "voices" / "booking-1.wav")) as clip:
        spoken = np.frombuffer(clip.readframes(clip.getnframes()), "<i2")
    turn = np.pad(spoken, (0, int(TURN_S * 24_000) - len(spoken)))
    return [data for data, _ in OpusEncoder().push(turn)]


# The server.


async def serve() -> None:
    """Serve until a line comes on stdin; each line asks for the figures since the last one."""
    from mockserver.responders.scenario import Scenario
    from mockserver.server.calls import webrtc
    from mockserver.testing.mock_server import MockServer

    open_connections: list[webrtc.WebRtcConnection] = []
    start = webrtc.WebRtcConnection.start

    def started(self: webrtc.WebRtcConnection, call: webrtc.AnsweredCall) -> asyncio.Task[None]:
        open_connections.append(self)
        return start(self, call)

    webrtc.WebRtcConnection.start = started  # type: ignore[method-assign]
    webrtc.unavailable()
    scenario = Scenario.parse(json.dumps({"turns": [{"reply": [{"say": WORDS}]}]}))
    async with MockServer(scenario, dialect="openai", voice="tone") as mock:
        print(mock.http_url, flush=True)
        gc.freeze()
        lines = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while (order := await lines.readline()).strip() != b"":
            if order == b"forget\n":
                open_connections.clear()
            used = resource.getrusage(resource.RUSAGE_SELF)
            late = np.sum([each.late_s.counts for each in open_connections] or [[0] * 101], axis=0)
            for each in open_connections:
                each.late_s = webrtc.LateFrames()
            resident = resident_mb()
            figures = {"at": monotonic(), "cpu": used.ru_utime + used.ru_stime, "mb": resident, "late": late.tolist()}
            print(json.dumps(figures), flush=True)


def resident_mb() -> float:
    """Memory of this process in MB; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0.0


# The callers.


class Caller:
    """One call: ICE, DTLS and RTP alone, with the parts of aiortc that the server uses too."""

    def __init__(self, turn: list[bytes]) -> None:
        import aiortc

        self._turn = turn
        self._gatherer = aiortc.RTCIceGatherer([], aiortc.RTCIceTransportPolicy.RELAY)
        self._gatherer._connection.ice_controlling = True
        self._ice = aiortc.RTCIceTransport(self._gatherer)
        self._dtls = aiortc.RTCDtlsTransport(self._ice, [aiortc.RTCCertificate.generateCertificate()])
        self._dtls._set_role("client")
        self._dtls._handle_rtp_data = self._arrived
        self._task: asyncio.Task[None] | None = None
        self.answer_ms = self.connected_ms = self.sound_ms = 0.0
        self.arrivals: list[float] = []
        self._begun = 0.0

    async def call(self, http, url: str) -> None:
        import aiortc
        from aiortc import sdp

        self._begun = monotonic()
        await self._gatherer.gather()
        await self._gatherer._connection.get_component_candidates(1, ["127.0.0.1"])
        local = self._gatherer.getLocalParameters()
        fingerprint = self._dtls.getLocalParameters().fingerprints[0]
        offer = "".join(
            f"{line}\r\n"
            for line in (
                "v=0",
                "o=- 1 1 IN IP4 0.0.0.0",
                "s=-",
                "t=0 0",
                "a=group:BUNDLE 0",
                "m=audio 9 UDP/TLS/RTP/SAVPF 111",
                "c=IN IP4 0.0.0.0",
                "a=mid:0",
                "a=sendrecv",
                "a=rtcp-mux",
                "a=rtpmap:111 opus/48000/2",
                f"a=ice-ufrag:{local.usernameFragment}",
                f"a=ice-pwd:{local.password}",
                f"a=fingerprint:{fingerprint.algorithm} {fingerprint.value}",
                "a=setup:actpass",
            )
        )
        headers = {"Authorization": "Bearer sk-bench", "Content-Type": "application/sdp"}
        async with http.post(f"{url}/realtime/calls", data=offer, headers=headers) as response:
            assert response.status == 201, await response.text()
            answer = sdp.SessionDescription.parse(await response.text())
        self.answer_ms = (monotonic() - self._begun) * 1000
        (media,) = answer.media
        for candidate in media.ice_candidates:
            await self._ice.addRemoteCandidate(candidate)
        await self._ice.addRemoteCandidate(None)
        media.ice.iceLite = True
        await self._ice.start(media.ice)
        await self._dtls.start(aiortc.RTCDtlsParameters(media.dtls.fingerprints))
        if self._dtls.state != "connected":
            raise RuntimeError(f"a call did not connect: ICE {self._ice.state}, DTLS {self._dtls.state}")
        self.connected_ms = (monotonic() - self._begun) * 1000
        self._task = asyncio.get_running_loop().create_task(self._speak())

    async def _speak(self) -> None:
        from struct import pack

        due, number, ssrc = monotonic(), secrets.randbelow(len(self._turn)), secrets.randbits(32)
        for sequence in range(1 << 30):
            await asyncio.sleep(max(0.0, due - monotonic()))
            head = pack(">BBHII", 0x80, 111, sequence % 65_536, sequence * 960 % 2**32, ssrc)
            await self._dtls._send_rtp(head + self._turn[(number + sequence) % len(self._turn)])
            due += 0.02

    async def _arrived(self, data: bytes, arrival_time_ms: int) -> None:
        self.sound_ms = self.sound_ms or (monotonic() - self._begun) * 1000
        self.arrivals.append(monotonic())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self._dtls.stop()
        await self._ice.stop()

    def late_ms(self) -> np.ndarray:
        """How late each frame came, against the earliest one of the call: the caller's own lateness is in it."""
        at = np.array(self.arrivals) * 1000
        off = at - np.arange(len(at)) * 20
        return off - off.min()


def percentile_of(counts: list[int], share: float) -> int:
    """The whole millisecond below which that share is."""
    return int(np.searchsorted(np.cumsum(counts), share * sum(counts))) + 1


async def measure(calls: int, seconds: float, server: subprocess.Popen[str], url: str) -> str:
    import aiohttp

    def ask(order: str = "figures") -> dict:
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write(f"{order}\n")
        server.stdin.flush()
        return json.loads(server.stdout.readline())

    ask("forget")
    turn, callers = packets(), []
    async with aiohttp.ClientSession() as http:
        for _ in range(calls):
            callers.append(Caller(turn))
            await callers[-1].call(http, url)
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        for each in callers:
            each.arrivals.clear()
        begun, own = ask(), resource.getrusage(resource.RUSAGE_SELF)
        await asyncio.sleep(seconds)
        ended, now = ask(), resource.getrusage(resource.RUSAGE_SELF)
        late = np.concatenate([each.late_ms() for each in callers if each.arrivals])
        silent = sum(not each.arrivals for each in callers)
        for each in callers:
            await each.close()
    if silent:
        print(f"{silent} of {calls} calls brought no sound", file=sys.stderr)
    took = ended["at"] - begun["at"]
    share = (ended["cpu"] - begun["cpu"]) / took
    client = (now.ru_utime + now.ru_stime - own.ru_utime - own.ru_stime) / took
    setup = [np.median([getattr(each, name) for each in callers]) for name in ("answer_ms", "connected_ms", "sound_ms")]
    sent = [percentile_of(ended["late"], share) for share in (0.5, 0.99)]
    came = [np.percentile(late, share) for share in (50, 99)]
    return (
        f"| {calls} | {setup[0]:.0f} / {setup[1]:.0f} / {setup[2]:.0f} | {share:.0%} | {share / calls:.1%} |"
        f" {sent[0]} / {sent[1]} | {came[0]:.1f} / {came[1]:.1f} | {ended['mb']:.0f} | {client:.0%} |"
    )


def pin(core: int) -> None:
    """Stay on one core, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", default="1,10,40", help="numbers of calls at a time (default 1,10,40)")
    parser.add_argument("--seconds", type=float, default=20.0, help="seconds that are measured (default 20)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        pin(0)
        import uvloop

        uvloop.run(serve())
        return
    heads = "calls", "answer / connected / first sound, ms", "server's core", "per call", "sent late p50 / p99, ms"
    print(f"| {' | '.join([*heads, 'came late p50 / p99, ms', 'MB', 'of callers'])} |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        pin(1)
        url = server.stdout.readline().strip()
        for calls in map(int, asked.calls.split(",")):
            print(asyncio.run(measure(calls, asked.seconds, server, url)), flush=True)
        server.kill()


if __name__ == "__main__":
    main()
