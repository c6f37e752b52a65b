"""A recording without the people in it costs the same and takes the same turns."""

from __future__ import annotations

import json
from array import array
from base64 import b64decode, b64encode
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import realtape
from mockserver.audio.vad.detector import TurnBegan, TurnDetector, TurnEnded, TurnSettings
from mockserver.audio.wav import read_wav
from mockserver.dialects.xai.usage import text_tokens
from replay.anonymize import Voice, without_voice, without_words
from replay.cassette import g711
from replay.cassette.file import Cassette
from replay.cassette.frames import Binary, Text
from replay.cassette.recording import Recording
from replay.cassette.records import Dropped, Record, StrippedAudio, StrippedMessage
from replay.report.soundtrack import soundtrack

CASSETTES = Path(__file__).parents[2] / "cassettes"


def speech() -> np.ndarray:
    samples, _ = read_wav(CASSETTES / "voices" / "booking-2.wav")
    quiet = np.zeros(24_000, np.int16)
    return np.concatenate((quiet, samples, quiet))


def levels(samples: np.ndarray) -> np.ndarray:
    frames = samples[: len(samples) // 480 * 480].reshape(-1, 480).astype(float)
    return np.asarray(np.sqrt((frames**2).mean(axis=1)))


def borders(samples: np.ndarray) -> list[TurnBegan | TurnEnded]:
    return TurnDetector(24_000, TurnSettings(0.5, 500, 300)).feed(samples)


def replaced(samples: np.ndarray, chunk_ms: int = 100) -> np.ndarray:
    voice, step = Voice(), 24 * chunk_ms
    chunks = [samples[at : at + step].tobytes() for at in range(0, len(samples), step)]
    return np.frombuffer(b"".join(voice.over(chunk, "pcm", 24_000) for chunk in chunks), np.int16)


def test_another_voice_is_as_long_and_as_loud_at_every_moment():
    before = speech()
    after = replaced(before)
    assert len(after) == len(before)
    loud = levels(before) > 300
    assert np.median(np.abs(20 * np.log10(levels(after)[loud] / levels(before)[loud]))) < 2


def test_nothing_of_the_old_sound_is_left():
    before, after = speech().astype(float), replaced(speech()).astype(float)
    one, other = (np.abs(np.fft.rfft(sound[24_000 : 24_000 * 4])) for sound in (before, after))
    assert np.corrcoef(before, after)[0, 1] < 0.2
    assert np.corrcoef(one, other)[0, 1] < 0.5


def test_turn_detection_finds_the_same_turns():
    before, after = borders(speech()), borders(replaced(speech()))
    assert [type(border) for border in before] == [type(border) for border in after] == [TurnBegan, TurnEnded]
    assert all(abs(one.at_ms - other.at_ms) <= 96 for one, other in zip(before, after, strict=True))


def test_silence_stays_silence_and_half_a_sample_stays_where_it_was():
    assert Voice().over(bytes(961), "pcm", 24_000) == bytes(961)


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
def test_telephone_sound_keeps_its_law_and_length(law):
    tone = array("h", (3000 if at // 20 % 2 else -3000 for at in range(800)))
    data = Voice().over(g711.encode(tone, law), law, 8000)
    assert len(data) == 800
    assert 1500 < np.sqrt(np.mean(np.array(g711.decode(data, law), float) ** 2)) < 4500


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
def test_every_code_but_the_second_zero_survives_its_table(law):
    codes = bytes(range(256))
    back = g711.encode(g711.decode(codes, law), law)
    assert g711.decode(back, law) == g711.decode(codes, law)


def records(*events, way="sent"):
    return [Record(at, 0, way, Text(json.dumps(event).encode())) for at, event in enumerate(events)]


def test_only_the_caller_s_sound_is_replaced_and_the_rest_of_the_message_is_not_touched():
    pcm = b64encode(speech()[24_000:48_000].tobytes()).decode()
    sent = records({"type": "input_audio_buffer.append", "event_id": "e-1", "audio": pcm})
    heard = records({"type": "response.output_audio.delta", "delta": pcm}, way="received")
    changed, kept = without_voice([*sent, *heard])
    assert kept == heard[0]
    assert isinstance(changed.content, Text)
    event = json.loads(changed.content.data)
    assert event["event_id"] == "e-1"
    assert len(b64decode(event["audio"])) == 48_000
    assert event["audio"] != pcm


def test_opus_is_dropped_rather_than_let_through():
    opus = {"type": "session.update", "session": {"audio": {"input": {"format": {"type": "audio/opus"}}}}}
    *_, last = without_voice([*records(opus), Record(9, 0, "sent", Binary(b"\xf8\xff\xfe"))])
    assert isinstance(last.content, Dropped)
    assert "opus" in last.content.reason


def masked(event, way="received"):
    (record,) = without_words(records(event, way=way))
    assert isinstance(record.content, Text)
    return json.loads(record.content.data)


def test_words_keep_their_shape_and_their_number_of_tokens():
    text = "Don't wait: call 555-0100, Zoë!"
    event = masked({"type": "conversation.item.input_audio_transcription.completed", "transcript": text})
    assert event["transcript"] == "Xxx'x xxxx: xxxx 000-0000, Xxx!"
    assert text_tokens(event["transcript"]) == text_tokens(text.replace("ë", "e"))


def test_deltas_still_add_up_to_their_whole():
    parts, kind = ("I have app", "ointments at 9:30."), "response.output_audio_transcript"
    deltas = "".join(masked({"type": f"{kind}.delta", "delta": part})["delta"] for part in parts)
    assert deltas == masked({"type": f"{kind}.done", "transcript": "".join(parts)})["transcript"]


def test_arguments_stay_json_with_their_keys():
    arguments = json.dumps({"name": 'Maria "Mia" Lopez', "age": 42, "new": True, "notes": ["a\nb"]})
    event = masked({"type": "response.function_call_arguments.done", "name": "book", "arguments": arguments})
    told = json.loads(event["arguments"])
    assert told == {"name": 'Xxxxx "Xxx" Xxxxx', "age": 11, "new": True, "notes": ["x\nx"]}
    assert event["name"] == "book"


def test_words_beside_left_out_sound_are_masked_too():
    sound = StrippedAudio(4, bytes(32), "pcm", 9)
    outline = StrippedMessage("text", (b'{"type":"x","audio":"', sound, b'","transcript":"My name"}'))
    (record,) = without_words([Record(0, 0, "received", outline)])
    assert isinstance(record.content, StrippedMessage)
    assert record.content.parts == (b'{"type":"x","audio":"', sound, b'","transcript":"Xx xxxx"}')


def test_the_command_leaves_a_call_of_the_same_price_and_length(tmp_path):
    source, out = CASSETTES / "medical-escalation.tape", tmp_path / "nobody.tape"
    runner = CliRunner()
    result = runner.invoke(realtape.main, ["scrub", str(source), "--voice", "--text", "--out", str(out)])
    assert (result.exit_code, result.output) == (0, f"{out}: voice replaced, words replaced\n")
    prices = [runner.invoke(realtape.main, ["bill", str(path), "--json"]).output for path in (source, out)]
    assert prices[0] == prices[1]
    assert b"I have chest pain" in source.read_bytes()
    assert b"I have chest pain" not in out.read_bytes()
    turns = [soundtrack(Recording.read(path)).turns for path in (source, out)]
    assert [len(turn.samples) for turn in turns[0]] == [len(turn.samples) for turn in turns[1]]
    with Cassette.open(out) as cassette:
        assert len(cassette) > 40
