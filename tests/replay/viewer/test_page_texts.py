from __future__ import annotations

import json
from array import array
from base64 import b64decode

from replay.cassette import g711
from replay.cassette.recording import Recording
from replay.formats import page
from replay.report.soundtrack import Piece, Soundtrack
from replay.viewer.assets import JsonTexts, _json, page_texts
from replay.viewer.assets import page as whole_page
from replay.viewer.loudness import sound_of, sound_texts
from replay.viewer.of_recording import reader_of
from tests.replay.viewer.test_call import CASSETTES


def test_sound_is_the_same_in_texts_as_in_one():
    sound = reader_of(Recording.read(CASSETTES / "booking.tape")).sound
    texts = list(sound_texts(sound))
    assert "".join(texts) == json.dumps(sound_of(sound), separators=(",", ":"))
    assert len(texts) >= 3 * len(sound.pieces) + 2


def test_a_long_piece_is_written_in_blocks():
    piece = Piece("sent", 0.0, 24_000, array("h", range(-32000, 32000)) * 23)
    texts = list(sound_texts(Soundtrack([piece])))
    assert max(map(len, texts)) <= 4 * 20 * 24_000 * 2 / 3
    whole = json.loads("".join(texts))["pieces"][0]["data"]
    assert b64decode(whole) == g711.little_endian(piece.samples[:])


def test_a_page_is_the_same_in_texts_as_in_one():
    value = {"a": "</script>", "b": [1, "&"]}
    texts = page_texts("<t>", "code()", "a{}", {"x": JsonTexts(['{"a":"</script>",', '"b":[1,"&"]}']), "y": value})
    assert "".join(texts) == whole_page("<t>", "code()", "a{}", {"x": value, "y": value}).html


def test_two_calls_have_a_sound_each():
    recording = Recording.read(CASSETTES / "booking.tape")
    html = "".join(page.comparison_texts(recording, recording, [], []))
    data = html.partition('id="sounds">')[2].partition("</script>")[0]
    sound = json.loads(json.dumps(sound_of(reader_of(recording).sound)))
    assert json.loads(data) == [sound, sound]


def test_a_long_list_is_written_in_parts():
    value = {"frames": [{"at": number, "text": "<&>"} for number in range(2500)], "none": [], "after": None}
    for data in (value, {}):
        texts = list(page_texts("t", "code()", "a{}", {"x": data}))
        written = "".join(texts).partition('id="x">')[2].partition("</script>")[0]
        assert written == _json(data)
    assert len(list(page_texts("t", "code()", "a{}", {"x": value}))) > 10
