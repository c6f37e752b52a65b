from __future__ import annotations

import asyncio

from mockserver.faults.kinds import DtlsHang, LateIce, PacketJitter, PacketLoss
from mockserver.server import virtual_time
from mockserver.server.calls.network import Network
from mockserver.server.calls.rtp import RtpReceiver
from tests.mockserver.server.calls.test_rtp import OPUS, packets, read

STUN, DTLS = b"\0\1\0\0", b"\x16\xfe\xfd"


def carried(network: Network, sent: list[bytes]) -> list[bytes]:
    """What comes of datagrams that are sent every 20 ms."""

    async def send() -> list[bytes]:
        arrived: list[bytes] = []
        for data in sent:
            network.carry(data, arrived.append)
            await asyncio.sleep(0.02)
        await asyncio.sleep(1)
        return arrived

    return virtual_time.run(send())


def test_late_packets_overtake_each_other_and_are_put_in_order_again():
    sent = packets()
    arrived = carried(Network([PacketJitter(seconds=0.05)]), sent)
    assert arrived != sent and sorted(arrived) == sorted(sent)
    receiver = RtpReceiver([OPUS])
    assert sum(len(receiver.push(read(data))) for data in arrived) == len(sent)
    assert receiver.lost == 0


def test_equal_seeds_lose_equal_packets():
    sent = packets(count=200)
    first, second, third = (carried(Network([PacketLoss(share=0.2)], seed), sent) for seed in ("a", "a", "b"))
    assert first == second != third
    assert 20 < len(sent) - len(first) < 60


def test_what_is_no_sound_is_not_lost():
    assert carried(Network([PacketLoss(share=1)]), [STUN, DTLS]) == [STUN, DTLS]


def test_ice_is_late_by_the_time_from_its_first_check():
    assert len(carried(Network([LateIce(seconds=0.1)]), [STUN] * 10)) == 5


def test_a_dtls_handshake_does_not_end():
    assert carried(Network([DtlsHang()]), [STUN, DTLS]) == [STUN]
