"""Appends that are read without a parser mean what the parser makes of them, in both dialects."""

from __future__ import annotations

import base64
import json

import pytest

from mockserver.dialects.base import Opening
from mockserver.dialects.names import dialect_name
from mockserver.dialects.plain_append import plain_append
from mockserver.dialects.registry import SERVICES
from mockserver.protocol.peer import LONG_MESSAGE

SOUND = bytes(range(256)) * 10
CODED = base64.b64encode(SOUND).decode()
COMPACT = '{"type":"input_audio_buffer.append","audio":"'
SPACED = '{"type": "input_audio_buffer.append", "audio": "'


@pytest.mark.parametrize("head", [COMPACT, SPACED])
def test_the_two_usual_forms_are_read(head: str):
    assert plain_append(f'{head}{CODED}"}}') == SOUND


@pytest.mark.parametrize(
    "text",
    [
        COMPACT + "}",  # its last quote is that before the audio
        COMPACT + '"}',
        COMPACT + 'A"}',
        COMPACT + 'AAAA","event_id":"e"}',
        COMPACT + 'AA\\/A"}',
        COMPACT + 'AAAé"}',
        COMPACT + 'AAA\n"}',
        COMPACT + 'AAAA"} ',
        " " + COMPACT + 'AAAA"}',
        COMPACT.replace(",", ", ") + 'AAAA"}',
        '{"audio":"AAAA","type":"input_audio_buffer.append"}',
        json.dumps({"type": "input_audio_buffer.append", "audio": "-_-_"}),
    ],
)
def test_any_other_text_is_left_to_the_parser(text: str):
    assert plain_append(text) is None


@pytest.mark.parametrize("service", ["xai@2026-07", "xai@2026-09", "openai@2026-08"])
@pytest.mark.parametrize("coded", [CODED, "", "A", "AAA", "AAA=", "A===", "-_-_", "AAAé", "AA\\/A", "AA AA", 'A"B'])
def test_both_ways_give_the_same_command(service: str, coded: str):
    opened = SERVICES[dialect_name(service)].open(Opening(seed="0", epoch=0.0))
    settings = opened.traits.settings()
    for head in (COMPACT, SPACED):
        plain, parsed = f'{head}{coded}"}}', f'{head}{coded}"}} '  # a space is not canonical
        assert opened.parse(plain, settings) == opened.parse(parsed, settings)


def test_a_long_message_may_have_spaces_anywhere():
    coded = base64.b64encode(bytes(LONG_MESSAGE)).decode()
    text = f' {{ "type" : "input_audio_buffer.append" , "audio" : "{coded}" }}\n'
    assert plain_append(text) == bytes(LONG_MESSAGE)
