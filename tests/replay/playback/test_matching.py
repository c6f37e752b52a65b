from __future__ import annotations

import pytest

from replay.playback.matching import ClientIds, field_differences


def differs(recorded: str, live: str) -> bool:
    def event(text: str) -> dict[str, object]:
        return {"type": "session.update", "session": {"instructions": text}}

    return bool(field_differences(event(recorded), event(live), ClientIds(())))


@pytest.mark.parametrize(
    ("recorded", "live"),
    [
        ("key <scrubbed:api-key>", "key sk-live-123"),
        ("<scrubbed:api-key>", "anything"),
        ("a <scrubbed:api-key> b <scrubbed:email> c", "a 1 b 2 c"),
        ("a <scrubbed:api-key> b", "a b b b"),
    ],
)
def test_a_scrubbed_secret_matches_any_value(recorded: str, live: str):
    assert not differs(recorded, live)


@pytest.mark.parametrize(
    ("recorded", "live"),
    [
        ("key <scrubbed:api-key>", "key "),
        ("key <scrubbed:api-key>", "token sk-live-123"),
        ("a <scrubbed:api-key> b <scrubbed:email> c", "a 1 c"),
        ("<scrubbed:api-key> end", "secret of the end."),
        ("key", "kay"),
    ],
)
def test_the_words_around_it_must_be_as_recorded(recorded: str, live: str):
    assert differs(recorded, live)


def test_a_long_text_without_the_words_is_compared_in_no_time():
    assert differs("<scrubbed:a>x" * 50 + "y", "x" * 200_000)
