"""The WebRTC connection of one call, over UDP: ICE, DTLS, the two sound tracks and the data channel.

The only module that loads aiortc (extra `webrtc`). Its parts are used, not its peer connection: that one would decode
and resample in a thread for each call, and would write an answer of its own.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Literal, Protocol

import orjson

from mockserver.audio.formats import Samples
from mockserver.server.calls.network import Network
from mockserver.server.calls.rtp import FRAME_S, RtpReceiver, RtpSender, read_packet
from mockserver.server.calls.sdp import Offer, Transport, answer
from replay.cassette.frames import Close, Outgoing, Reset, Text
from replay.outlets import logger
from replay.version import install_command

CONNECT_S = 30.0
"""Seconds in which the client must have connected after the answer."""
BEHIND_S = 1.0
"""Seconds by which sound may lag before it goes on at the present instant."""
UNSENT_CAP = 16 << 20
"""Bytes of events that the client has not taken, above which the call ends."""
LABEL = "oai-events"
"""The label of the data channel as the service documents it."""
LOOPBACK = "127.0.0.1"
_ICE_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_LOG = logger(__name__)


class AnsweredCall(Protocol):
    """What the connection asks of the call behind it."""

    def now(self) -> float:
        """Seconds since the call began."""

    def receive(self, data: str | bytes) -> None:
        """An event came on the data channel."""

    def hear(self, samples: Samples) -> None:
        """The caller's sound, mono at 24 kHz."""

    def play(self) -> Samples | None:
        """The next 20 ms for the caller at 24 kHz; None is silence."""

    def join(self, channel: DataChannel, *, early: bool = False) -> None:
        """Events go to this channel too; with `early`, those that came before it."""

    def leave(self, channel: DataChannel) -> None:
        """They no longer do."""

    def hang_up(self, by: Literal["caller", "client", "server"], reason: str = "") -> None:
        """The call ends, unless it is over."""

    async def ended(self) -> None:
        """Wait until the call is over."""


def unavailable() -> ImportError | None:
    """Why calls over WebRTC are impossible here, and what to install; None if they are possible. Loads aiortc."""
    if sys.version_info < (3, 11):
        return ImportError("calls over WebRTC need Python 3.11 or newer; this is Python 3.10")
    try:
        import_module("aiortc")
    except ImportError:
        return ImportError(f"calls over WebRTC need aiortc; install it with: {install_command('webrtc')}")
    return None


def has_network() -> bool:
    """Whether the machine has an address besides its loopback ones. Browsers look for others only."""
    adapters = import_module("ifaddr").get_adapters()
    return any(
        not (each.ip if each.is_IPv4 else each.ip[0]).startswith(("127.", "::1", "fe80:"))
        for adapter in adapters
        for each in adapter.ips
    )


class DataChannel:
    """The events of a call on its data channel. See RunningCall.join."""

    def __init__(self, channel: Any, connection: WebRtcConnection) -> None:
        self._channel = channel
        self._connection = connection

    def send(self, outgoing: Sequence[Outgoing]) -> None:
        """Send the events among what is due. One that is longer than the client takes is sent without its audio."""
        for each in outgoing:
            if not isinstance(each.frame, Text) or self._channel.readyState != "open":
                continue
            try:
                self._channel.send(each.frame.data.decode())
            except ValueError:
                self._send_without_audio(each.frame.data)
        if self._channel.bufferedAmount > UNSENT_CAP:
            self._connection.end(f"slow consumer: {self._channel.bufferedAmount} bytes unsent")

    def close(self) -> None:
        """Close the channel. The connection stays."""
        self._channel.close()

    def _send_without_audio(self, event: bytes) -> None:
        """Send an item that was retrieved: what the service does with one beyond the client's limit is unknown."""
        told = orjson.loads(event)
        for part in told.get("item", {}).get("content", []):
            part.pop("audio", None)
        try:
            self._channel.send(orjson.dumps(told).decode())
        except ValueError as problem:
            _LOG.warning("a call over WebRTC: %s is left out: %s", told.get("type"), problem)

    def end(self, how: Close | Reset) -> None:
        """The call is over, and so is the connection."""
        self._connection.end(how.reason if isinstance(how, Close) else "reset")

    def lose(self, silent: bool) -> bool:
        """It is no sideband."""
        return False


class WebRtcConnection:
    """One client's connection, from its offer to its end. `answer` comes first, then `start` or `abandon`."""

    def __init__(self, offer: Offer, network: Network | None = None) -> None:
        """`network`: what happens to what is sent and received. Raises ImportError if aiortc is missing; see
        `unavailable`."""
        self._network = network or Network()
        aiortc: Any = import_module("aiortc")
        self._offer = offer
        username = f"{_drawn(6)}/u1/{_drawn(6)}"
        # Without a server for relays, this policy gathers nothing: the addresses are chosen in `answer`.
        gatherer = aiortc.RTCIceGatherer([], aiortc.RTCIceTransportPolicy.RELAY, username, _drawn(32))
        self._gatherer = gatherer
        self._ice = aiortc.RTCIceTransport(gatherer)
        self._dtls = aiortc.RTCDtlsTransport(self._ice, [aiortc.RTCCertificate.generateCertificate()])
        self._dtls._set_role("server" if offer.server_role == "passive" else "client")
        self._dtls._handle_rtp_data = self._take_packet
        self._sctp = None if offer.data is None else aiortc.RTCSctpTransport(self._dtls)
        self._ssrc = secrets.randbits(32)
        self._receiver = RtpReceiver(offer.codecs)
        self._sender = RtpSender(offer.codecs[0], self._ssrc, secrets.randbits(15), secrets.randbits(32))
        self._call: AnsweredCall
        self._channel: DataChannel | None = None
        self._ended = asyncio.Event()
        self._reason = ""
        self._task: asyncio.Task[None] | None = None
        self.late_s = LateFrames()
        """How late the frames of sound left."""

    async def answer(self, addresses: Sequence[str], unix: float) -> str:
        """The answer, with a UDP socket on each address. Raises OSError if none can be opened."""
        await self._gatherer.gather()
        candidates = await self._gatherer._connection.get_component_candidates(1, list(addresses))
        for protocol in self._gatherer._connection._protocols if self._network.faulty else ():
            self._trouble(protocol)
        if not candidates:
            raise OSError(f"no UDP socket could be opened on {', '.join(addresses)}")
        local = self._gatherer.getLocalParameters()
        prints = {each.algorithm: each.value for each in self._dtls.getLocalParameters().fingerprints}
        transport = Transport(
            session=secrets.randbits(63),
            unix=int(unix),
            ufrag=local.usernameFragment,
            pwd=local.password,
            fingerprint=prints["sha-256"],
            ssrc=self._ssrc,
            addresses=[(each.host, each.port) for each in candidates],
        )
        return answer(self._offer, transport)

    def _trouble(self, protocol: Any) -> None:
        """Have the faulty network carry what a UDP socket receives and sends."""
        received, transport = protocol.datagram_received, protocol.transport

        def receive(data: bytes, address: Any) -> None:
            self._network.carry(data, lambda carried: received(carried, address))

        def send_late(data: bytes, address: Any) -> None:
            if not transport.is_closing():
                transport.sendto(data, address)

        async def send(data: bytes, address: Any) -> None:
            self._network.carry(data, lambda carried: send_late(carried, address))

        protocol.datagram_received, protocol.send_data = receive, send

    def start(self, call: AnsweredCall) -> asyncio.Task[None]:
        """Wait for the client, and serve the call until either side ends it. The task ends with the connection."""
        self._call = call
        self._task = asyncio.get_running_loop().create_task(self._serve())
        return self._task

    def end(self, reason: str) -> None:
        """Close the connection."""
        self._reason = self._reason or reason
        self._ended.set()

    async def abandon(self) -> None:
        """Close the sockets of a connection that is not started."""
        await self._ice.stop()

    async def _serve(self) -> None:
        spawn = asyncio.get_running_loop().create_task
        tasks: list[asyncio.Task[Any]] = [spawn(self._call.ended()), spawn(self._ended.wait())]
        try:
            if await self._connected(tasks):
                if self._offer.server_direction in ("sendrecv", "sendonly"):
                    tasks.append(spawn(self._play()))
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # raises what has failed inside the mock
        finally:
            for task in tasks:
                task.cancel()
            if self._channel is not None:
                self._call.leave(self._channel)
            self._call.hang_up("caller", self._reason)
            await self._close()

    async def _connected(self, ends: list[asyncio.Task[Any]]) -> bool:
        """Whether the client has connected before its time, and before the call's end."""
        connecting = asyncio.get_running_loop().create_task(self._connect())
        try:
            await asyncio.wait([connecting, *ends], timeout=CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
            if any(task.done() for task in ends):
                return False
            if connecting.done():
                self._reason = connecting.result()
            else:
                state = "DTLS" if self._ice.state == "completed" else "ICE"
                self._reason = f"the client did not connect in {CONNECT_S:g} s: {state} did not end"
        finally:
            connecting.cancel()
        if self._reason:
            advice = "" if has_network() else f" {ONLY_LOOPBACK}"
            _LOG.warning("a call over WebRTC: %s.%s", self._reason, advice)
        return not self._reason

    async def _connect(self) -> str:
        """Why the client could not connect; empty if it could."""
        aiortc: Any = import_module("aiortc")
        offer = self._offer
        for each in (self._ice, self._dtls):
            each.on("statechange", self._state_changed)
        if self._sctp is not None:
            self._sctp.on("datachannel", self._channel_opened)
        await self._ice.start(aiortc.RTCIceParameters(offer.ufrag, offer.pwd))
        if self._ice.state != "completed":
            return "ICE failed"
        prints = [aiortc.RTCDtlsFingerprint(algorithm, value) for algorithm, value in offer.fingerprints]
        await self._dtls.start(aiortc.RTCDtlsParameters(prints))
        if self._dtls.state != "connected":
            return "DTLS failed: no common cipher, or the certificate is not the one of the offer"
        if self._sctp is not None:
            await self._sctp.start(aiortc.RTCSctpCapabilities(offer.max_message), offer.sctp_port)
        return ""

    def _state_changed(self) -> None:
        if self._dtls.state in ("closed", "failed") or self._ice.state in ("closed", "failed"):
            self.end("the client closed the connection" if self._dtls.state == "closed" else "the connection was lost")

    def _channel_opened(self, channel: Any) -> None:
        if self._channel is not None:
            _LOG.warning("a call over WebRTC: a second data channel, %.40r, is not served", channel.label)
            return
        if channel.label != LABEL:
            _LOG.warning("a call over WebRTC: the data channel is %.40r; the service calls it %s", channel.label, LABEL)
        self._channel = DataChannel(channel, self)
        channel.on("message", self._call.receive)
        channel.on("close", self._channel_closed)
        self._call.join(self._channel, early=True)
        if self._network.channel_s is not None:
            asyncio.get_running_loop().call_later(self._network.channel_s, self._lose_channel)

    def _channel_closed(self) -> None:
        if self._network.channel_s is None:
            self.end("the client closed the data channel")

    def _lose_channel(self) -> None:
        """A fault closes the data channel. The call goes on."""
        if self._channel is not None:
            self._call.leave(self._channel)
            self._channel.close()

    async def _take_packet(self, data: bytes, arrival_time_ms: int) -> None:
        packet = read_packet(data)
        if packet is not None:
            for samples in self._receiver.push(packet):
                self._call.hear(samples)

    async def _play(self) -> None:
        """Send 20 ms of sound every 20 ms, by absolute time."""
        time = asyncio.get_running_loop().time
        # Sound becomes ready at multiples of 20 ms of the call's time: it is taken in the middle between two.
        silent_from = math.inf if self._network.sound_s is None else time() + self._network.sound_s
        due = time() + FRAME_S - (self._call.now() + FRAME_S / 2) % FRAME_S
        while True:
            if (wait_s := due - time()) > 0:
                await asyncio.sleep(wait_s)
            elif wait_s < -BEHIND_S:
                due = time()
            self.late_s.add(time() - due)
            packet = self._sender.packet(self._call.play())
            if time() >= silent_from:
                due += FRAME_S
                continue
            try:
                await self._dtls._send_rtp(packet)
            except ConnectionError:
                self.end("the connection was lost")
                return
            due += FRAME_S

    async def _close(self) -> None:
        for each in (self._ice, self._dtls):
            each.remove_all_listeners()
        if self._sctp is not None:
            self._sctp.remove_all_listeners()
            await self._sctp.stop()
        await self._dtls.stop()
        await self._ice.stop()


class LateFrames:
    """How late frames of sound left: how many by each whole millisecond, up to 100 ms and above."""

    def __init__(self) -> None:
        self.counts = [0] * 101

    def add(self, late_s: float) -> None:
        self.counts[min(int(late_s * 1000), 100)] += 1

    def percentile(self, share: float) -> float:
        """The lateness in ms that this share of the frames, 0 to 1, does not exceed; 0 without frames."""
        left = share * sum(self.counts)
        for ms, count in enumerate(self.counts):
            left -= count
            if left <= 0:
                return float(ms + 1) if count else 0.0
        return 0.0


ONLY_LOOPBACK = (
    "This machine has no network but its loopback interface, which browsers do not use by themselves: start Chromium"
    " with --allow-loopback-in-peer-connection."
)


def _drawn(count: int) -> str:
    """Random characters that nobody can guess: they are the password of a connection."""
    return "".join(secrets.choice(_ICE_CHARS) for _ in range(count))
