from __future__ import annotations

import pytest

from replay.cassette.may_differ import NOTHING, Ignored, ignored
from replay.playback.matching import FREE, ClientIds, field_differences
from replay.slow_patterns import slow_part


def differs(recorded: str, live: str, free: Ignored = NOTHING) -> bool:
    def event(text: str) -> dict[str, object]:
        return {"type": "session.update", "session": {"instructions": text}}

    return bool(field_differences(event(recorded), event(live), ClientIds(()), FREE, free))


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


@pytest.mark.parametrize(
    ("what", "recorded", "live", "matches"),
    [
        ("session.instructions", "Today is Monday.", "No.", True),
        ("session", "Today is Monday.", "No.", True),
        ("$.session.instructions", "Today is Monday.", "No.", True),
        ("*.instructions", "Today is Monday.", "No.", True),
        ("session.instruction", "Today is Monday.", "No.", False),
        ("instructions", "Today is Monday.", "No.", False),
        ("date", "Today is 2026-11-29.", "Today is 2026-11-30.", True),
        ("date", "Today is 2026-11-29.", "Now is 2026-11-30.", False),
        ("date", "Today is 2026-11-29.", "Today is Monday.", False),
        ("date", "at 2026-11-29T08:00:00Z", "at 2026-11-30T08:00:01Z", False),
        ("date", "Today is Monday, November 30, 2026.", "Today is Tuesday, December 1, 2026.", True),
        ("date", "30.11.2026", "1.12.2026", True),
        ("date", "the 3rd of May", "June 14th", False),
        ("date", "Today is 3 May 2026 (Sunday).", "Today is Nov. 30th, 2026.", True),
        ("date", "You may 5 times.", "You will 5 times.", False),
        ("time", "at 8:30 pm", "at 9 a.m.", True),
        ("time", "from 8:30 to 17:00:00.5+01:00", "from 10:15 to 18:00Z", True),
        ("time", "from 8:30", "from 830", False),
        ("id", "call item_0a1b2c3d", "call 123e4567-e89b-12d3-a456-426614174000", True),
        ("id", "use find_information", "use find_appointments", False),
        (r"/build \d+/", "build 7 of Ada", "build 12 of Ada", True),
        (r"/build \d+/", "build 7 of Ada", "build 12 of Bob", False),
    ],
)
def test_what_is_ignored_may_differ_and_nothing_else(what: str, recorded: str, live: str, matches: bool):
    assert differs(recorded, live)
    assert differs(recorded, live, ignored([what])) is not matches


def test_several_are_ignored_together():
    assert not differs("at 2026-11-29T08:00:00Z", "at 2026-11-30T08:00:01Z", ignored(["date", "time"]))


@pytest.mark.parametrize("what", ["", "/(/", "//", "/(a+)+b/", "$session", "session..x", "the date"])
def test_what_cannot_be_ignored_is_refused(what: str):
    with pytest.raises(ValueError, match="ignore: "):
        ignored([what])


@pytest.mark.parametrize("kind", ["date", "time", "id"])
def test_the_kinds_are_not_slow(kind: str):
    """Patterns of users are checked in the same way."""
    (pattern,) = ignored([kind]).texts
    assert slow_part(pattern.pattern, 6_000) is None
