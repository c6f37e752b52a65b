"""A text as segments of sound: lengths, positions, replacements, and nothing made before it is needed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mockserver.audio.formats import AudioFormat
from mockserver.audio.tts.base import SpeechClip
from mockserver.audio.wav import write_wav
from mockserver.protocol.commands import Settings
from mockserver.responders.base import Say
from mockserver.session.output_audio import BREATH_S, Speech, replaced
from tests.mockserver.talk import Script, Talk

UNIT = 734


class Ruler:
    """A voice that takes 100 ms a letter, at any rate, and remembers what it was asked."""

    name = "ruler"

    def __init__(self, rate: int = 24000) -> None:
        self.rate = rate
        self.asked: list[tuple[str, str, float]] = []

    def speak(self, text: str, *, voice: str = "ara", speed: float = 1.0) -> SpeechClip:
        self.asked.append((text, voice, speed))
        return SpeechClip(np.full(len(text) * self.rate // 10, 1000, np.int16), self.rate)


def speech(*texts: str, say: Say | None = None, voice: Ruler | None = None, **settings: object) -> Speech:
    known = Settings(voice="ara", **settings)  # type: ignore[arg-type]
    return Speech(texts, say or Say("".join(texts)), known, voice or Ruler(), UNIT, 0.0)


def test_all_segments_but_the_last_are_filled_up_to_whole_units():
    made = speech("One two", " three.", " Four.", voice=(voice := Ruler()))
    lengths = [made.length(segment) for segment in range(3)]
    assert [length % UNIT for length in lengths[:2]] == [0, 0]
    assert lengths[2] == len(voice.asked[2][0]) * 2400 + int(BREATH_S * 24000)


def test_a_sentence_starts_with_a_breath_and_a_cut_inside_one_does_not():
    made = speech("One.", " Two", " three.")
    for segment in range(3):
        made.length(segment)
    first = made.length(0) / 24000
    assert made.start_s(0) == 0.0
    assert made.start_s(1) == pytest.approx(first + BREATH_S, abs=0.0201)
    assert made.start_s(2) == pytest.approx(first + made.length(1) / 24000, abs=0.0201)


def test_positions_are_on_a_grid_of_fifty_to_the_second():
    made = speech("One.", " Two.", " Three.")
    for segment in range(3):
        made.length(segment)
        assert made.start_s(segment) == round(made.start_s(segment) * 50) / 50


def test_a_later_segment_is_not_made_before_it_is_asked_for():
    voice = Ruler()
    made = speech("One.", " Two.", " Three.", voice=voice)
    made.length(0)
    assert [text for text, *_ in voice.asked] == ["One."]


@pytest.mark.parametrize("voice_rate", [16000, 22050, 24000])
@pytest.mark.parametrize("rate", [8000, 11025, 24000, 48000])
def test_pieces_at_any_rate_are_as_long_as_the_whole(voice_rate: int, rate: int):
    made = speech("One two three.", voice=Ruler(voice_rate), output_format=AudioFormat("pcm", rate))
    length = made.length(0)
    borders = [*range(0, length, 16 * UNIT), length]
    pieces = [len(made.audio(0, start, stop)) for start, stop in pairwise(borders)]
    assert sum(pieces) == pytest.approx(length * rate / 24000, abs=1)


def test_the_steps_voice_and_speed_come_before_the_sessions():
    voice = Ruler()
    speech("One.", voice=voice, speed=1.2).length(0)
    speech("Two.", say=Say("Two.", voice="rex", speed=0.8), voice=voice, speed=1.2).length(0)
    assert [asked[1:] for asked in voice.asked] == [("ara", 1.2), ("rex", 0.8)]


def test_a_wav_file_is_spoken_instead_of_a_voice(tmp_path: Path):
    write_wav(tmp_path / "a.wav", np.full(8000, 500, np.int16), 16000)
    talk = Talk(Script([Say("As recorded.", audio=str(tmp_path / "a.wav"))]))
    talk.say("Hi.")
    talk.rest()
    assert talk.heard_seconds == pytest.approx(0.5, abs=0.01)
    assert talk.of("response.output_audio_transcript.done")[0]["transcript"] == "As recorded."


@pytest.mark.parametrize(
    ("text", "table", "spoken"),
    [
        ("Call ACME now.", {"acme": "ack-me"}, "Call ack-me now."),
        ("ACMEs and macme", {"acme": "x"}, "ACMEs and macme"),
        ("New York City", {"new york": "a", "new york city": "b"}, "b"),
        ("a b", {"a": "b", "b": "a"}, "b a"),
        ("C++ or c++?", {"C++": "see plus plus"}, "see plus plus or see plus plus?"),
        ("a.b axb", {"a.b": "dot"}, "dot axb"),
        ("Nothing here.", {}, "Nothing here."),
        ("back\\slash", {"back": r"\1"}, "\\1\\slash"),
        ("It stays.", {"": "noise"}, "It stays."),
    ],
)
def test_whole_words_are_replaced_longest_first_in_any_case(text: str, table: dict[str, str], spoken: str):
    assert replaced(text, table) == spoken


def test_a_replacement_changes_the_sound_and_not_the_transcript():
    talk = Talk(Script([Say("Ask Dr. Ng.")]), update={"replace": {"Dr": "a doctor whose name is long"}})
    usual = Talk(Script([Say("Ask Dr. Ng.")]))
    for each in (talk, usual):
        each.say("Who?")
        each.rest()
    assert talk.of("response.output_audio_transcript.done")[0]["transcript"] == "Ask Dr. Ng."
    assert talk.heard_seconds > usual.heard_seconds + 0.5


LETTERS = st.text(alphabet="aAkKsSßſKİiıé'- ", max_size=6)


@example("yeſ", {"yes": "no"})
@given(LETTERS, st.dictionaries(LETTERS, LETTERS, max_size=4))
def test_no_alphabet_breaks_a_replacement(text: str, table: dict[str, str]):
    assert isinstance(replaced(text, table), str)
