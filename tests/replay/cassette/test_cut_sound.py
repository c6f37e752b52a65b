from __future__ import annotations

import json
from base64 import b64encode

import pytest

from replay.cassette.cut_sound import cut_sound
from replay.cassette.json_text import event_in

SOUND = bytes(range(256)) * 20
CODED = b64encode(SOUND).decode()


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.output_audio.delta", "delta": CODED},
        {"type": "x", "response_id": "r", "delta": CODED, "item_id": "\xe4", "n": [1, {"a": None}]},
        {"delta": "", "type": "x"},
    ],
)
def test_a_cut_event_is_the_whole_one_without_its_sound(event: dict[str, str]):
    cut = cut_sound(json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode(), "delta")
    assert cut is not None
    assert cut.event == {**event, "delta": ""}
    assert b64encode(cut.sound).decode() == event["delta"]


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"x","delta": "QUJD"}',
        '{"type":"x","delta":"QU*D"}',
        '{"type":"x","delta":"QUJ"}',
        '{"type":"x","delta":"QUJD","delta":"QUJE"}',
        '{"type":"x","item":{"delta":"QUJD"}}',
        '{"\\u0064elta":"","item":{"delta":"QUJD"}}',
        '{"delta":"QUJD","a":"\\n"}',
        '{"type":"x","delta":"QU\\/D"}',
        '{"type":"x","delta":"QUJD"',
        '{"type":"x","delta":"QUJD',
        '[{"delta":"QUJD"}]',
        '{"type":"x","audio":"QUJD"}',
        '{"type":"x","delta":null,"a":["delta","QUJD"]}',
    ],
)
def test_what_is_not_written_plainly_is_not_cut(text: str):
    assert cut_sound(text.encode(), "delta") is None


def test_bytes_that_are_no_utf_8_are_not_cut():
    data = b'{"delta":"QUJD","a":"\xff"}'
    assert event_in(data) is None
    assert cut_sound(data, "delta") is None
