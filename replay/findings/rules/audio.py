"""Rules on input audio that is not what the session declares."""

from __future__ import annotations

from collections.abc import Iterator

from replay.findings.call import CLOSED, CallState, CallStep
from replay.findings.encodings import DECLARED
from replay.findings.finding import Found

ALONE = 0.995
"""How certain a wrong speed is, at least, to count without the pace of the stream."""


def mislabelled(call: CallState, step: CallStep) -> Iterator[Found]:
    """The service hears noise, or speech at the wrong speed."""
    sound = call.audio
    declared = DECLARED.get(sound.encoding, sound.encoding)
    if sound.wav:
        yield Found("the audio begins as a WAV file does: its header is heard as a click", "wav")
    if sound.verdict == "stereo":
        yield Found(
            f"{declared} mono is declared, but two interleaved channels are sent: the audio plays at half speed",
            "stereo",
        )
    elif sound.verdict:
        yield Found(f"{declared} is declared, but the audio is {sound.verdict}: the service hears noise", sound.verdict)


def wrong_pace(call: CallState, step: CallStep) -> Iterator[Found]:
    """A microphone gives one second of audio per second. A long, steady stream shows whether the rate is wrong."""
    sound = call.audio
    if call.timed and (rate := sound.likely_rate) is not None:
        pace, twice = sound.paces[-1], ", or in two channels," if rate == 2 * sound.rate else ","
        yield Found(
            f"{sound.rate} Hz are declared, and {pace:.2f} s of that came every second: it is recorded at {rate} Hz"
            f"{twice} or not sent as it is recorded",
            str(rate),
        )


def wrong_speed(call: CallState, step: CallStep) -> Iterator[Found]:
    """Speech shows by its pitch, rhythm and spectrum whether it plays as it was spoken."""
    sound, speed = call.audio, call.audio.speed
    if (
        speed is None
        or not (sound.judged(step.at) or step.type == CLOSED)
        or (call.timed and sound.likely_rate is not None)
    ):
        return
    both = sound.rate_by_both if call.timed else None
    rates = [both] if both else sound.rates_by_sound if speed.certainty >= ALONE else []
    if rates:
        agrees = ", and the pace of the stream agrees" if both else ""
        yield Found(
            f"{sound.rate} Hz are declared, but the voice plays about {speed.times:.1f} times as fast as people speak"
            f"{agrees}: it seems to be recorded at {' or '.join(map(str, rates))} Hz (certainty {speed.certainty:.1%})"
        )


def odd_bytes(call: CallState, step: CallStep) -> Iterator[Found]:
    """Half a sample shifts all samples after it by one byte."""
    if call.audio.odd:
        yield Found(f"{call.audio.odd} of {call.audio.appends} messages of PCM16 have an odd number of bytes")
