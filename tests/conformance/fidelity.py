"""docs/fidelity.md: per service and event, how it is known, what it carries, and which test proves it.

`python -m tests.conformance.fidelity` writes the page. Its facts are the rows of mockserver/dialects/provenance.py and
what the mock really sends in the conversations of stories.py; it needs no recording, and is the same on every machine.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mockserver.dialects.names import ALIASES, BEGINS, DIALECT_NAMES, DialectName
from mockserver.dialects.provenance import EVIDENCE, UNSERVED, as_of
from tests.conformance.stories import STORIES
from tests.mockserver.calls.phoned import Phoned
from tests.mockserver.talk import Event, Talk

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "fidelity.md"
COMMAND = "python -m tests.conformance.fidelity"

PLAYED: Mapping[str, str] = {
    "xai": "conformance/test_mock.py::test_a_spoken_turn_goes_as_recorded",
    "openai": "conformance/test_openai.py::test_a_recorded_conversation_goes_as_recorded",
}
"""What proves the events of recordings: each is played, and compared event by event."""
_CALLS = "mockserver/calls/test_call.py::test"
_TYPED = "conformance/test_mock.py::test_a_typed_conversation_goes_as_recorded"
PROOFS: Mapping[str, Mapping[str, str]] = {
    "xai": {
        "conversation.item.deleted": "mockserver/session/test_session.py"
        "::test_deleting_an_item_answers_with_an_empty_id",
        "conversation.item.truncated": "mockserver/session/test_session.py"
        "::test_truncating_keeps_the_words_that_were_heard",
        "input_audio_buffer.cleared": "mockserver/session/test_spoken_turns.py::test_cleared_speech_is_not_committed",
        "input_audio_buffer.dtmf_event_received": f"{_CALLS}_keys_are_told",
        "input_audio_buffer.timeout_triggered": "mockserver/session/test_spoken_turns.py"
        "::test_an_idle_caller_is_spoken_to",
        "error": "mockserver/dialects/test_xai.py::test_unrecorded_events_start_and_end_like_the_others",
        "response.function_call_arguments.delta": _TYPED,
        "response.function_call_arguments.done": _TYPED,
    },
    "openai": {
        "conversation.item.retrieved": "mockserver/dialects/test_openai_turns.py"
        "::test_an_item_is_shown_with_what_the_caller_said_and_goes_when_deleted",
        "conversation.item.deleted": "mockserver/dialects/test_openai_turns.py"
        "::test_an_item_is_shown_with_what_the_caller_said_and_goes_when_deleted",
        "conversation.item.truncated": "mockserver/dialects/test_openai_errors.py"
        "::test_only_what_was_spoken_can_be_truncated_and_not_beyond_its_end",
        "conversation.item.input_audio_transcription.failed": "mockserver/dialects/test_openai_turns.py"
        "::test_a_turn_that_cannot_be_transcribed_is_answered_all_the_same",
        "input_audio_buffer.cleared": "mockserver/dialects/test_openai_turns.py::test_cleared_sound_is_gone",
        "input_audio_buffer.dtmf_event_received": f"{_CALLS}_keys_are_told",
        "output_audio_buffer.started": f"{_CALLS}_an_answer_is_played_sample_for_sample",
        "output_audio_buffer.stopped": f"{_CALLS}_an_answer_is_played_sample_for_sample",
        "output_audio_buffer.cleared": f"{_CALLS}_speech_over_what_is_played_cuts_it",
        "input_audio_buffer.timeout_triggered": "mockserver/dialects/test_openai_turns.py"
        "::test_idle_time_brings_an_empty_turn_and_an_answer",
        "error": "mockserver/dialects/test_openai_errors.py::test_an_update_with_one_bad_member_is_refused_whole",
    },
    "azure": dict.fromkeys(
        ("response.content_part.added", "response.content_part.done"),
        "mockserver/dialects/test_azure.py::test_a_part_comes_twice_as_part_and_as_content",
    ),
}
"""What proves the others; a path below tests/ and a function."""

_HOSTED = "mockserver/session/test_mcp.py::test"
_AS_OPENAI = {"azure": "openai"}
"""Services whose events are proved as those of another, but for what stands in PROOFS."""
HOSTED: Mapping[str, Mapping[tuple[bool, bool], str]] = {
    "xai": {
        (False, False): f"{_HOSTED}_xai_tells_of_a_call_and_goes_on_to_speak",
        (True, False): f"{_HOSTED}_xai_tells_why_a_call_failed_and_still_speaks",
        (False, True): f"{_HOSTED}_xai_lists_after_the_session_is_updated",
        (True, True): f"{_HOSTED}_xai_tells_why_a_server_gave_no_list",
    },
    "openai": {
        (False, False): f"{_HOSTED}_openai_ends_the_response_before_the_call_is_answered",
        (True, False): f"{_HOSTED}_openai_shows_a_failed_call_with_its_error",
        (False, True): f"{_HOSTED}_openai_keeps_the_list_as_an_item",
        (True, True): f"{_HOSTED}_a_list_that_fails_leaves_its_item_open",
    },
}
"""What proves the events of MCP: by whether it is one of failure, and whether one of listing."""


def proof(service: str, type: str) -> str:
    """The test that proves an event: a path below tests/, `::`, its name. Raises KeyError when nobody named one."""
    if service in _AS_OPENAI and type not in PROOFS[service]:
        return proof(_AS_OPENAI[service], type)
    if "mcp" in type:
        return HOSTED[service][type.endswith("failed"), type.startswith("mcp_list_tools")]
    if type not in PROOFS[service] and EVIDENCE[service][type].source == "recordings":
        return PLAYED[service]
    return PROOFS[service][type]


def keys_of(objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """All keys, in the order of the object that has most; `?` behind one that is not in every object."""
    known = dict.fromkeys(key for each in sorted(objects, key=len, reverse=True) for key in each)
    return [key if all(key in each for each in objects) else f"{key}?" for key in known]


def fields(events: Sequence[Event]) -> str:
    """What events of one type carry beside `type` and `event_id`, and what the objects in them hold."""
    shown = []
    for key in keys_of(events):
        name = key.rstrip("?")
        if name in ("type", "event_id"):
            continue
        inside = [event[name] for event in events if event.get(name) and isinstance(event[name], dict)]
        shown.append(f"{key} {{{', '.join(keys_of(inside))}}}" if inside else key)
    return ", ".join(shown)


def sent(dialect: str) -> dict[str, list[Event]]:
    """All that a dialect sends in the stories of its service, by type."""
    found: dict[str, list[Event]] = {}
    for tell in STORIES[dialect.split("@")[0]].values():
        for event in tell(dialect).events:
            found.setdefault(event["type"], []).append(event)
    return found


_LINE = re.compile(r"(>> .*?\"type\": \"|<< )([a-z_.]+)")
"""A line of a talk's log: the type of a client's event, which stands first in it, or of a server's."""


def course(talk: Talk | Phoned) -> str:
    """What was sent (`>`, each on a line of its own) and what came, in order. Runs of the same, and of deltas that
    alternate, are shown once."""
    turns: list[tuple[str, list[str]]] = [("", [])]
    for line in talk.log:
        if (found := _LINE.search(line)) is None:
            continue
        mark, name = found[1][:2], found[2]
        if mark == "<<":
            if not _is_repeated(name, turns[-1][1]):
                turns[-1][1].append(name)
        elif turns[-1] != (name, []):
            turns.append((name, []))
    return "\n".join(_wrapped(asked, came) for asked, came in turns)


def _is_repeated(name: str, came: Sequence[str]) -> bool:
    run: list[str] = []
    for before in reversed(came):
        if not before.endswith(".delta"):
            break
        run.append(before)
    return came[-1:] == [name] or name in run


def _wrapped(asked: str, came: Sequence[str]) -> str:
    lines = textwrap.wrap(", ".join(came), 100, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join([f"> {asked}", *lines] if asked else lines)


def differences(dialect: str, usual: Mapping[str, list[Event]]) -> str:
    """What another date of a service sends otherwise, in types and keys."""
    other = sent(dialect)
    odd = [f"no `{type}`" for type in usual if type not in other]
    odd += [f"`{type}`" for type in other if type not in usual]
    odd += [f"`{type}`: {fields(other[type])}" for type in other if fields(other[type]) != fields(usual.get(type, []))]
    return "; ".join(odd) or "no difference is known"


def grades(dialect: DialectName) -> dict[str, int]:
    """The number of a dialect's events by how they are known of its own date; `as before` are those of another date."""
    known = [as_of(dialect, type) for type in EVIDENCE[dialect.partition("@")[0]]]
    counted = Counter(how.grade if name == dialect else "as before" for name, how in known)
    return {grade: counted[grade] for grade in ("observed", "documented", "reported", "as before")}


def counts() -> Iterator[str]:
    """The table at the top of the page: per date, its events by grade."""
    yield "| date | from | events | observed | documented | reported | as of another date |"
    yield "|---|---|---|---|---|---|---|"
    for name in DIALECT_NAMES:
        counted = grades(name)
        numbers = " | ".join(map(str, (sum(counted.values()), *counted.values())))
        yield f"| `{name}` | {BEGINS[name]} | {numbers} |"


def dated(dialect: DialectName, type: str) -> str:
    """How an event of a date is known, as a cell: the date's own evidence, or the date that it is taken from."""
    name, how = as_of(dialect, type)
    if name == dialect:
        return f"{how.grade}, {how.source}, {how.seen}"
    when = "before" if DIALECT_NAMES.index(name) < DIALECT_NAMES.index(dialect) else "after"
    other = name if name.partition("@")[0] != dialect.partition("@")[0] else name.partition("@")[2]
    return f"as of the date {when}: {other}"


def by_date(service: str) -> Iterator[str]:
    """Per event, how it is known of each date of a service."""
    names = [name for name in DIALECT_NAMES if name.startswith(f"{service}@")]
    yield f"| event | {' | '.join(f'`{name}`' for name in names)} |\n|---|{'---|' * len(names)}"
    for type in EVIDENCE[service]:
        yield f"| `{type}` | {' | '.join(dated(name, type) for name in names)} |"


def row(service: str, type: str, events: Sequence[Event]) -> str:
    known = EVIDENCE[service][type]
    shown, how = fields(events) or "–", f"{known.mark} ({known.source})"
    return f"| `{type}` | {shown} | {how} | {known.guess or '–'} | `tests/{proof(service, type)}` |"


def section(service: str) -> Iterator[str]:
    """A service's part of the page."""
    usual = sent(ALIASES[service])
    marks = Counter(known.mark for known in EVIDENCE[service].values())
    counted = ", ".join(f"{marks[mark]} {mark}" for mark in ("observed", "documented", "guessed"))
    yield f"## {ALIASES[service]}\n\n{len(EVIDENCE[service])} events: {counted}.\n"
    yield "| event | keys | evidence | guessed details | test |\n|---|---|---|---|---|"
    yield from (row(service, type, usual[type]) for type in EVIDENCE[service])
    others = ("openai", "azure") if service == "openai" else (service,)
    if dates := [name for name in DIALECT_NAMES if name.startswith(others) and name != ALIASES[service]]:
        yield f"\n### Other dates\n\nTypes and keys that differ from `{ALIASES[service]}`:\n"
        yield from (f"- `{name}`: {differences(name, usual)}." for name in dates)
    yield "\n### Evidence by date\n"
    yield from by_date(service)
    if service == "openai":
        yield ""
        yield from by_date("azure")
    yield "\n### Sequences\n"
    for title, tell in STORIES[service].items():
        yield f"{title}:\n\n```text\n{course(tell(ALIASES[service]))}\n```\n"
    yield "### Not served\n\n| event | why |\n|---|---|"
    yield from (f"| `{type}` | {why} |" for type, why in UNSERVED[service].items())


HEAD = f"""# Event by event

For those who ask on what evidence an event of the mock rests.
This page lists each server event of the mock: its keys, its evidence, and the test that proves it. The command
`{COMMAND}` generates it from events that the mock sends and from
`mockserver/dialects/provenance.py`; a test keeps it current. All other behaviour of a service is on the page
[Dialects](dialects.md).

- **observed**: seen on the wire of the service, in recordings that the conformance tests play, or in captures of
  others.
- **documented**: on the vendor's page, and in no recording.
- **reported**: others say what they measured, and show no frames of it.
- **guessed**: none of these. Guesses are details of events; each has a comment in the code.
- **as of another date**: of that date itself nothing is known, so the mock does what it does at the nearest date before
  it. Without one before, it does what it does at the date after it. Whether the service changed is not known.

{chr(10).join(counts())}

Keys are in wire order. `?` marks a key that only some events have; braces contain the keys of an object. In sequences,
`>` marks what the client sends, and repeated events are shown once.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *section("xai"), "", *section("openai"), ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
