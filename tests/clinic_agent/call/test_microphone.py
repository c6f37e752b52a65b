"""The microphone of this machine, which the machine that runs these tests need not have: origin of the device, hand."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from clinic_agent.call.microphone import BLOCK_MS, NoMicrophone, person
from clinic_agent.call.playback import Playback
from clinic_agent.cli import clinic

BLOCK_BYTES = 48 * BLOCK_MS


class Device(SimpleNamespace):
    """What the package sounddevice has of a duplex stream: it calls back with what was recorded, takes what to play."""

    PortAudioError = type("PortAudioError", (Exception,), {})

    def check_input_settings(self, **settings: Any) -> None:
        if getattr(self, "broken", ""):
            raise self.PortAudioError(self.broken)

    def RawStream(self, callback: Any, **settings: Any) -> Device:
        self.callback, self.settings = callback, settings
        return self

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def block(self, recorded: bytes) -> bytes:
        played = bytearray(len(recorded))
        self.callback(recorded, memoryview(played), len(recorded) // 2, None, None)
        return bytes(played)


@pytest.fixture
def device(monkeypatch) -> Device:
    made = Device()
    monkeypatch.setitem(sys.modules, "sounddevice", made)
    return made


async def test_what_is_spoken_comes_out_and_what_the_assistant_says_is_played(device):
    hang_up, hearing = asyncio.Event(), Playback()
    hearing.queue("a", b"\7\0" * 24_000, asyncio.get_running_loop().time() - 0.1)
    mic = person(hang_up)(hearing)
    first = asyncio.ensure_future(anext(mic))  # noqa: TID251  # awaited below
    await asyncio.sleep(0)
    assert device.block(b"\1\0" * (BLOCK_BYTES // 2)) == bytes(BLOCK_BYTES)
    assert await first == b"\1\0" * (BLOCK_BYTES // 2)
    assert device.block(b"\2\0" * (BLOCK_BYTES // 2)) == b"\7\0" * (BLOCK_BYTES // 2)
    assert await anext(mic) == b"\2\0" * (BLOCK_BYTES // 2)
    assert device.settings == {"samplerate": 24_000, "blocksize": 480, "channels": 1, "dtype": "int16"}
    hang_up.set()
    assert [chunk async for chunk in mic] == []
    assert device.closed


def test_without_the_package_the_way_to_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(NoMicrophone, match=r"pip install 'realtape\[mic\]'"):
        person(asyncio.Event())


def test_the_command_needs_a_microphone_before_it_calls_anybody(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    environ = {"XAI_API_KEY": "k", "XAI_REALTIME_URL": "ws://127.0.0.1:1/v1/realtime"}
    result = CliRunner().invoke(clinic, ["call", "--mic"], env=environ)
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert "pip install 'realtape[mic]'" in result.output


def test_a_machine_without_a_microphone_says_so(device):
    device.broken = "Error querying device -1"
    with pytest.raises(NoMicrophone, match=r"no microphone \(Error querying device -1\); `python -m sounddevice`"):
        person(asyncio.Event())


@pytest.mark.parametrize(
    ("start_s", "end_s", "heard"),
    [
        (0.0, 0.0005, b"\0\0" * 12),
        (0.9998, 1.0002, b"\0\0" * 5 + b"\1\0" * 5),
        (1.0, 1.0002, b"\1\0" * 5),
        (1.9998, 2.0002, b"\1\0" * 5 + b"\0\0" * 5),
    ],
)
def test_what_is_heard_in_a_moment_is_sound_or_silence_to_the_sample(start_s, end_s, heard):
    playback = Playback()
    playback.queue("a", b"\1\0" * 24_000, 1.0)
    assert playback.sound(start_s, end_s) == heard
