from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from mockserver.protocol.peer import Act, FaultNote, Mute
from mockserver.server import virtual_time as autojump
from mockserver.server.calls import running_call
from mockserver.server.calls.running_call import TooManyChannels
from replay.cassette.frames import Close, Reset, Text
from tests.mockserver.server.calls.scripted_call import Hosted, Listener, scripted


def told(story: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await story()

    autojump.run(main())


def test_each_channel_gets_every_event_and_commands_of_all_reach_one_session() -> None:
    async def story() -> None:
        hosted = scripted("rtc_1", (0.5, Text(b"first")), (2.0, Text(b"second")))
        one, other, late = Listener(), Listener(), Listener()
        hosted.call.join(one)
        hosted.call.join(other)
        await asyncio.sleep(1)
        hosted.call.join(late)
        hosted.call.receive("hello")
        await asyncio.sleep(2)
        assert one.got == other.got == [(0.5, "first"), (1.0, "answer to hello"), (2.0, "second")]
        assert late.got == one.got[1:]
        hosted.call.leave(other)
        hosted.call.receive("bye")
        await asyncio.sleep(1)
        assert [text for _, text in one.got][3:] == ["answer to bye"]
        assert len(other.got) == 3
        assert [entry.data for entry in hosted.log.entries if entry.way == "in"] == ["hello", "bye"]
        assert hosted.log.messages_out == 4

    told(story)


@pytest.mark.parametrize(
    ("end", "over", "told_channel"),
    [
        (lambda call: call.hang_up("caller"), Close(1000, "hung up by the caller"), Close(1000)),
        (lambda call: call.close(1001, "stopping"), Close(1001, "stopping"), Close(1001, "stopping")),
        (lambda call: call.reset("lost"), Close(1006, "lost"), Reset()),
    ],
)
def test_an_end_is_told_to_channels_log_and_peer_once(
    end: Callable[[object], None], over: Close, told_channel: Close | Reset
) -> None:
    async def story() -> None:
        ends: list[int] = []
        hosted = scripted(on_over=lambda: ends.append(1))
        channel, after = Listener(), Listener()
        hosted.call.join(channel)
        await asyncio.sleep(1)
        end(hosted.call)
        hosted.call.hang_up("server")
        await hosted.call.ended()
        hosted.call.join(after)
        hosted.call.receive("too late")
        hosted.call.hear(np.zeros(480, np.int16))
        assert hosted.call.play() is None
        assert (hosted.call.over, channel.ended, ends) == (over, told_channel, [1])
        assert after.ended == told_channel
        assert (hosted.peer.lost_at, hosted.log.closed_s, hosted.log.close_code) == (1.0, 1.0, over.code)
        assert hosted.log.by_client == (over.code == 1000)
        assert hosted.peer.received == []
        assert hosted.peer.heard == 0

    told(story)


def test_a_session_or_a_fault_ends_the_call() -> None:
    async def story() -> None:
        for frame, over, code in ((Close(1001, "expired"), Close(1001, "expired"), 1001), (Reset(), Reset(), 1006)):
            hosted = scripted("rtc_1", (1.0, Text(b"last words")), (1.0, frame))
            channel = Listener()
            hosted.call.join(channel)
            await hosted.call.ended()
            assert (channel.got, channel.ended) == ([(1.0, "last words")], over)
            assert hosted.log.close_code == code

    told(story)


def test_a_channel_that_joins_when_the_line_is_cut_is_reset() -> None:
    async def story() -> None:
        hosted, channel = scripted("rtc_1", (0.0, Reset())), Listener()
        hosted.call.join(channel)
        assert channel.ended == Reset()

    told(story)


def test_sound_and_keys_reach_the_peer_until_the_line_is_mute() -> None:
    async def story() -> None:
        hosted = scripted()
        hosted.call.hear(np.zeros(160, np.int16))
        hosted.call.press("#")
        assert hosted.call.play() is not None
        hosted.peer.out += [Act(0.0, FaultNote("half_open", "x")), Act(0.0, Mute())]  # type: ignore[list-item]
        await asyncio.sleep(1)
        hosted.call.hear(np.zeros(160, np.int16))
        hosted.call.receive("nobody listens")
        assert hosted.call.play() is None
        assert (hosted.peer.heard, hosted.peer.pressed, hosted.peer.received) == (160, "#", [])
        assert [note.fault for note in hosted.log.faults] == ["half_open"]
        assert hosted.call.over is None
        await asyncio.sleep(600)
        assert hosted.call.over == Close(1006, "half open for long")

    told(story)


def test_a_long_message_is_read_in_steps_between_which_others_have_their_turn() -> None:
    async def story() -> None:
        hosted = scripted(steps=3)
        channel = Listener()
        hosted.call.join(channel)
        hosted.call.receive("long")
        turns = 0
        while hosted.call.busy:
            turns += 1
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        assert turns >= 3
        assert channel.got == [(0.0, "answer to long")]

    told(story)


def test_the_first_events_wait_for_the_channel_that_is_yet_to_come() -> None:
    async def story() -> None:
        hosted = scripted("rtc_1", (0.0, Text(b"session.created")), awaits_channel=True)
        sideband, data_channel = Listener(), Listener()
        await asyncio.sleep(1)
        hosted.call.join(sideband)
        hosted.call.join(data_channel, early=True)
        hosted.call.receive("hello")
        await asyncio.sleep(1)
        assert data_channel.got == [(0.0, "session.created"), (1.0, "answer to hello")]
        assert sideband.got == data_channel.got[1:]

    told(story)


def test_a_failure_inside_ends_the_call_and_is_kept() -> None:
    async def story() -> None:
        hosted = scripted()
        channel = Listener()
        hosted.call.join(channel)
        hosted.peer.steps = -1
        hosted.peer.heard = "not a number"  # type: ignore[assignment]
        hosted.call.hear(np.zeros(160, np.int16))
        await hosted.call.ended()
        assert isinstance(hosted.call.error, TypeError)
        assert channel.ended == Close(1011)

    told(story)


def test_the_number_of_channels_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_call, "MOST_CHANNELS", 1)

    async def story() -> None:
        hosted: Hosted = scripted()
        hosted.call.join(Listener())
        with pytest.raises(TooManyChannels):
            hosted.call.join(Listener())

    told(story)
