"""The microphone and the loudspeaker of this machine, through the package sounddevice (extra `mic`).

There is no echo cancellation: without headphones, the assistant's own voice interrupts the assistant.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from clinic_agent.call.connection import now_s
from clinic_agent.call.pcm import SAMPLE_BYTES, SAMPLE_RATE_HZ, samples
from clinic_agent.call.playback import Playback
from clinic_agent.extras import install_command

BLOCK_MS = 20
_BLOCK = SAMPLE_RATE_HZ * BLOCK_MS // 1000
_MOST_AHEAD = 5
"""Blocks that may wait for the loudspeaker; if there are more, the oldest is dropped."""


class NoMicrophone(Exception):
    """No usable microphone; the message says what to do."""


def person(hang_up: asyncio.Event) -> Callable[[Playback], AsyncIterator[bytes]]:
    """A caller for `run_open_call`: the microphone and loudspeaker of this machine, until `hang_up` is set.

    Raises NoMicrophone before the call begins.
    """
    sounddevice = _sounddevice()

    def caller(hearing: Playback) -> AsyncIterator[bytes]:
        return _duplex(sounddevice, hearing, hang_up)

    return caller


async def _duplex(sounddevice: Any, hearing: Playback, hang_up: asyncio.Event) -> AsyncIterator[bytes]:
    """PCM16 mono 24 kHz from the microphone in real time; meanwhile the loudspeaker plays the audio of `hearing`."""
    loop, said, to_play = asyncio.get_running_loop(), asyncio.Queue[bytes](), deque[bytes](maxlen=_MOST_AHEAD)

    def block(call_recording: Any, played: Any, frames: int, time: Any, status: Any) -> None:
        """Called in a thread of the audio system, which must not wait."""
        loop.call_soon_threadsafe(said.put_nowait, bytes(call_recording))
        sound = to_play.popleft() if to_play else b""
        played[:] = sound[: frames * SAMPLE_BYTES].ljust(frames * SAMPLE_BYTES, b"\0")

    try:
        stream = sounddevice.RawStream(
            samplerate=SAMPLE_RATE_HZ, blocksize=_BLOCK, channels=1, dtype="int16", callback=block
        )
    except sounddevice.PortAudioError as error:
        raise NoMicrophone(f"no audio device ({error}); `python -m sounddevice` lists the devices") from error
    with stream:
        played_s = now_s()
        while not hang_up.is_set():
            chunk = await said.get()
            until_s = played_s + samples(chunk) / SAMPLE_RATE_HZ
            to_play.append(hearing.sound(played_s, until_s))
            played_s = until_s
            yield chunk


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise NoMicrophone(f"a microphone needs sounddevice: {install_command('mic')}") from error
    except OSError as error:
        raise NoMicrophone(
            f"sounddevice finds no audio system ({error}); on Debian and Ubuntu, install libportaudio2"
        ) from error
    try:
        sounddevice.check_input_settings(samplerate=SAMPLE_RATE_HZ, channels=1, dtype="int16")
    except (sounddevice.PortAudioError, ValueError) as error:
        raise NoMicrophone(f"no microphone ({error}); `python -m sounddevice` lists the devices") from error
    return sounddevice
