"""Scripts of a caller: what people write, and what they get for mistakes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mockserver.audio.tts import synthesizer_named
from mockserver.audio.wav import wav_bytes, write_wav
from mockserver.calls.caller import HangUp, Interrupt, Listen, Pause, Press, Speak, Step
from mockserver.calls.script import MOST_ENTRIES, Entry, script

VOICE = synthesizer_named("tone")
WAV = wav_bytes(np.full(2400, 5000, np.int16), 24000)


def steps(*entries: Entry) -> list[Step]:
    return script(entries, VOICE)


def kinds(*entries: Entry) -> list[str]:
    return [type(step).__name__ for step in steps(*entries)]


def test_the_caller_listens_after_words_and_keys_unless_the_script_says_what_comes_next():
    assert kinds("Hello.", "A cleaning.", {"press": "1#"}) == ["Speak", "Listen", "Speak", "Listen", "Press", "Listen"]
    assert kinds("Hello.", Interrupt(0.4), "No.", HangUp()) == ["Speak", "Interrupt", "Speak", "HangUp"]
    assert kinds("Hello.", {"interrupt": "400ms"}, {"say": "No."}, {"hang_up": True}) == [
        *("Speak", "Interrupt", "Speak", "HangUp")
    ]


def test_mappings_say_the_same_as_steps():
    shown = steps(
        {"pause": "500ms"}, {"press": "12"}, {"listen": {"quiet": "2s", "at_most": "5s"}}, {"interrupt": "1s"}
    )
    assert shown == [Pause(0.5), Press("12"), Listen(2.0, 5.0), Interrupt(1.0)]


def test_sound_that_is_too_long_is_refused_before_it_is_resampled():
    hours = wav_bytes(np.zeros(36_000, np.int16), 1)  # 288 million samples on the line
    with pytest.raises(ValueError, match="36000 s"):
        steps(hours)


def test_words_are_spoken_and_sound_is_played_at_the_rate_of_the_line(tmp_path: Path):
    write_wav(tmp_path / "caller.wav", np.full(2400, 5000, np.int16), 24000)
    words, sound, data, text = (
        step
        for step in steps(
            "Tuesday.", tmp_path / "caller.wav", WAV, {"audio": base64.b64encode(WAV).decode(), "words": "x"}
        )
        if isinstance(step, Speak)
    )
    assert words.text == "Tuesday."
    assert 2000 < len(words.samples) < 16000
    assert [len(each.samples) for each in (sound, data, text)] == [800] * 3
    assert [each.text for each in (sound, data, text)] == ["", "", "x"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"say": "a", "press": "1"}, "script[0]: expected one of say, audio, pause, press"),
        ({}, "got none"),
        ({"pause": 500}, "500 of what?"),
        ({"dtmf": "1"}, "did you mean 'press'?"),
        ({"press": "1x"}, "'x' is on no key of a telephone"),
        (Press("1x"), "'x' is on no key of a telephone"),
        ({"audio": "???"}, "no base64"),
        ({"audio": base64.b64encode(b"no WAV").decode()}, "save it as 16-bit PCM WAV"),
        ({"listen": {"quite": "1s"}}, "did you mean 'quiet'?"),
        ({"say": "a", "speed": 9.0}, "speed 9.0 is outside"),
    ],
)
def test_a_mistake_says_what_to_write(entry: Any, said: str):
    with pytest.raises(ValueError, match=r".") as refused:
        steps(entry)
    assert said in str(refused.value)


def test_a_script_is_bounded():
    with pytest.raises(ValueError, match="more than 200"):
        steps(*[Pause(0.1)] * (MOST_ENTRIES + 1))
    with pytest.raises(ValueError, match="more than 600 s"):
        steps(*[Speak(np.zeros(8000 * 301, np.int16))] * 2)
