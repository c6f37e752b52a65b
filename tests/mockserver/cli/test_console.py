from __future__ import annotations

import io
import json
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from mockserver.cli.console import (
    TURNS_PER_S,
    Console,
    Lines,
    LogFormat,
    Start,
    banner,
    coloured,
    has_colours,
    plain,
    shortened,
)
from mockserver.server import causes
from mockserver.server.notices import (
    CallAnswered,
    CallClosed,
    CallEnded,
    CallOpened,
    CallRang,
    CallReferred,
    CallRejected,
    ErrorSent,
    HandshakeRefused,
    MistakeFound,
    Notice,
    RouteRefused,
    TlsRefused,
    TurnAnswered,
)
from replay.findings import Finding

OPENED = CallOpened("sess_1", "xai@2026-09", "grok-voice-latest", "websockets/17.4")
TURN = TurnAnswered(
    "sess_1",
    2,
    ("I would like a dental cleaning", "the result of check"),
    "clip",
    "booking.yaml:3: turns[0]",
    "Let me check\nthat.",
    ('book {"day": "2026-07-06"}',),
    0.523,
    3.14,
    "0.002600",
)
COMMON = {"event", "at", "call", "session", "trace_id", "span_id"}


HOSTILE = "a\x1b[31m\r\nwarning: b\x07\u202e"
"""What moves a cursor, changes a colour, begins a line, rings, or turns the direction of writing."""


@pytest.mark.parametrize(
    "notice",
    [
        CallOpened("sess_1", HOSTILE, HOSTILE, HOSTILE, HOSTILE),
        TurnAnswered("sess_1", 1, (HOSTILE,), HOSTILE, HOSTILE, HOSTILE, (HOSTILE,), status="failed", reason=HOSTILE),
        ErrorSent("sess_1", HOSTILE, HOSTILE),
        HandshakeRefused(400, HOSTILE, HOSTILE, HOSTILE),
        RouteRefused(HOSTILE, HOSTILE, 404, HOSTILE),
        TlsRefused(HOSTILE),
        CallClosed("sess_1", 1000, HOSTILE, True, 1.0, 1),
        CallRang(HOSTILE, HOSTILE, HOSTILE),
        CallAnswered(HOSTILE, "sess_1"),
        CallRejected(HOSTILE, 486),
        CallReferred(HOSTILE, HOSTILE),
        CallEnded(HOSTILE, HOSTILE),
        MistakeFound(Finding("rule", "error", 1.0, 3, HOSTILE, "Do it well.", "sess_1")),
    ],
    ids=lambda notice: type(notice).__name__,
)
def test_nothing_of_a_client_moves_the_cursor_or_begins_a_line(notice: Notice):
    lines = Lines().of(notice, 0.0)
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if line.startswith("warning")]


def test_a_log_record_keeps_its_lines_and_moves_no_cursor():
    (shown,) = Lines().note("error", "broken \x1b[2J\n  at line 1\a", 0.0)
    assert shown == "error: broken  [2J\n  at line 1 "


def test_calls_of_a_fleet_have_the_numbers_of_all_its_servers():
    lines, others = Lines(), Lines(form="json")
    first, second = replace(OPENED, number=7), replace(OPENED, session="sess_2", number=12)
    assert [each.partition("  ")[0] for shown in (first, second, TURN) for each in lines.of(shown, 0.0)][:3] == [
        "call 7",
        "call 12",
        "call 7",
    ]
    (shown,) = others.of(first, 0.0)
    assert '"call":7' in shown.replace(" ", "") and '"number"' not in shown


def documented() -> dict[str, set[str]]:
    """The fields of each line besides those of all, by the documentation."""
    page = (Path(__file__).parents[3] / "docs" / "observability.md").read_text(encoding="utf-8")
    table = page.partition("| `event` | fields | is |\n")[2].partition("\n\n")[0]
    rows = [line.split("|") for line in table.splitlines()[1:]]
    return {row[1].strip(" `"): set(re.findall(r"`(\w+)`", row[2])) for row in rows}


FINDING = Finding("repeated-write", "error", 1.0, 7, "book was carried out again", "Make it idempotent.", "sess_1")
NOTICES: dict[Notice, list[str]] = {
    OPENED: ["call 1  opened by websockets/17.4 · xai@2026-09 grok-voice-latest"],
    TURN: [
        'call 1  turn 2  "I would like a dental cleaning" + the result of check heard by clip,'
        " answered by booking.yaml:3: turns[0]",
        '        "Let me check that." · book {"day": "2026-07-06"} · first audio 0.52 s · 3.1 s of audio'
        " · 0.002600 USD",
    ],
    ErrorSent("sess_1", "invalid_event", "no\x1b[2Jsuch"): ["call 1  error sent  invalid_event: no [2Jsuch"],
    MistakeFound(FINDING): [
        "call 1  repeated-write  error: book was carried out again",
        "        fix: Make it idempotent.",
    ],
    HandshakeRefused(401, "No key.", "send one"): [
        "server  refused  handshake with 401: No key.",
        "        likely: send one",
    ],
    RouteRefused("GET", "/realtime", 404, "the base URL lacks /v1"): [
        "server  refused  GET /realtime with 404",
        "        likely: the base URL lacks /v1",
    ],
    CallRang("rtc_1", "+14155550100", "+18005550199"): [
        "server  a call rings from +14155550100 to +18005550199 · rtc_1"
    ],
    CallRang("rtc_1"): ["server  a call rings · rtc_1"],
    CallAnswered("rtc_1", "sess_1"): ["call 1  accepted · rtc_1"],
    CallRejected("rtc_1", 486): ["server  call rejected with 486 · rtc_1"],
    CallReferred("rtc_1", "tel:+1"): ["server  call handed over to tel:+1 · rtc_1"],
    CallReferred("rtc_1", "tel:+1", 403): ["server  call handed over to tel:+1, which refuses with 403 · rtc_1"],
    CallEnded("rtc_1", "hung up by the caller"): ["server  call ended: hung up by the caller · rtc_1"],
    TlsRefused("127.0.0.1:8765/v1/realtime"): [
        "server  refused  a client spoke TLS to this plain port",
        "        likely: the address is wss:// or https://; use ws://127.0.0.1:8765/v1/realtime, or start with --tls",
    ],
    CallClosed("sess_1", 1000, "", True, 12.34, 1, "0.01"): [
        "call 1  closed 1000 by the client after 12.3 s: 1 turn, 0.01 USD"
    ],
    CallClosed("sess_1", 1000, "hung up by the caller", True, 12.34, 2): [
        "call 1  closed 1000 (hung up by the caller) after 12.3 s: 2 turns"
    ],
}


@pytest.mark.parametrize("notice", NOTICES, ids=lambda notice: type(notice).__name__)
def test_each_notice_has_its_lines(notice: Notice):
    lines = Lines()
    lines.of(OPENED, 0.0)
    if notice is not OPENED:
        assert lines.of(notice, 1.0) == NOTICES[notice]
    else:
        assert Lines().of(OPENED, 0.0) == NOTICES[OPENED]


@pytest.mark.parametrize("notice", NOTICES, ids=lambda notice: type(notice).__name__)
def test_each_notice_is_one_json_object_a_line(notice: Notice):
    (line,) = Lines(form="json").of(notice, 1_800_000_000.12345)
    told = json.loads(line)
    assert told["at"] == 1_800_000_000.123
    assert set(told) - COMMON == documented()[told["event"]]


def test_each_line_of_a_session_names_it_and_its_span():
    lines = Lines(form="json")
    (opened,) = lines.of(replace(OPENED, trace_id="t" * 32, span_id="a" * 16), 1.0)
    (turn,) = lines.of(replace(TURN, response="resp_1", trace_id="t" * 32, span_id="b" * 16), 2.0)
    (finding,) = lines.of(MistakeFound(FINDING), 3.0)
    (log,) = lines.note("warning", "session sess_1: slow consumer", 3.0)
    (other,) = lines.note("warning", "session sess_2: slow consumer", 3.0)
    (closed,) = lines.of(CallClosed("sess_1", 1000, "", True, 5.0, 1), 4.0)
    told = [json.loads(each) for each in (opened, turn, finding, log, closed)]
    assert {(each["call"], each["session"], each["trace_id"]) for each in told} == {(1, "sess_1", "t" * 32)}
    assert [each["span_id"][0] for each in told] == ["a", "b", "a", "a", "a"]
    assert told[1]["response"] == "resp_1"
    assert "session" not in json.loads(other)
    assert set(told[3]) - COMMON == documented()["log"]
    (started,) = lines.started(Start("0.1", "xai", "echo", "ws", "http", "inspector"), 0.0)
    assert set(json.loads(started)) - COMMON == documented()["started"]


def test_a_failed_turn_says_why_and_colours_mark_it():
    turn = TurnAnswered("s", 1, status="failed", reason="scenario_error: 'nme' is undefined", usd="0.004")
    assert Lines().of(turn, 0.0)[1] == "        failed: scenario_error: 'nme' is undefined · 0.004 USD"
    assert "\x1b[31mfailed" in Lines(coloured).of(turn, 0.0)[1]


def test_colours_are_for_terminals_and_off_with_no_color():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert has_colours(Terminal(), {})
    assert not has_colours(Terminal(), {"NO_COLOR": "1"})
    assert not has_colours(Terminal(), {"TERM": "dumb"})
    assert not has_colours(io.StringIO(), {})


@pytest.mark.parametrize(
    ("dialect", "variable"), [("xai@2026-09", "XAI_API_KEY"), ("openai@2026-10", "OPENAI_API_KEY")]
)
def test_the_banner_names_addresses_and_points_a_client_here(dialect: str, variable: str):
    ws, http = "ws://127.0.0.1:1/v1/realtime", "http://127.0.0.1:1/v1"
    text = "\n".join(banner(Start("0.1", dialect, "booking.yaml", ws, http, "http://127.0.0.1:1/_mock/"), plain))
    for part in (dialect, "booking.yaml", ws, http, "/_mock/", variable):
        assert part in text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/realtime", "lacks /v1"),
        ("/realtime/client_secrets", "lacks /v1"),
        ("/v1/realtime", "connect to ws://"),
        ("/v1/v1/realtime", "part of the path already"),
        ("/v1/realtime/realtime", "part of the path already"),
        ("/v1/realtime/sessions", "beta"),
        ("/v1/realtime/nothing", "not served"),
        ("/v1/chat/completions", "belongs to the service itself"),
        ("/_mock/nothing", "openapi.json"),
        ("/metrics", "/_mock/metrics"),
        ("/health", "/_mock/health"),
        ("/", "inspector"),
    ],
)
def test_a_refused_route_names_the_likely_cause(path: str, said: str):
    assert said in causes.of_route("GET", path, "127.0.0.1:1")


def test_a_refused_handshake_names_the_likely_cause():
    assert "any KEY" in causes.of_handshake(401, credential=False, keys=False)
    assert "--api-key" in causes.of_handshake(401, credential=True, keys=True)
    assert "--blocked-key" in causes.of_handshake(403, credential=True, keys=False)
    assert "--max-sessions" in causes.of_handshake(429, credential=True, keys=False)
    assert "fault" in causes.of_handshake(429, credential=True, keys=False, fault=True)


def test_what_nobody_used_is_shortened_with_what_is_wrong_first():
    lines = [f"a.yaml:{n}: turns[{n}] never answered" for n in range(1, 13)] + ["hears[0] ('x') was never heard"]
    assert shortened(lines, ["a.yaml:9: turns[9]"], most=2) == [
        "a.yaml:9: turns[9] never answered",
        "a.yaml:1: turns[1] never answered",
        "and 10 more never answered (lines 2, 3, 4, …); --log-format json lists all",
        "hears[0] ('x') was never heard",
    ]
    assert shortened(lines[:2]) == lines[:2]


def test_lines_are_written_in_order_and_the_first_is_written_at_once():
    written = threading.Event()

    class Seen(io.StringIO):
        def flush(self) -> None:
            written.set()

    out = Seen()
    console = Console(Lines(), out)
    console.put(["0"])
    assert written.wait(10)
    console.put(map(str, range(1, 500)))
    console.close(10)
    assert out.getvalue().split() == list(map(str, range(500)))


def test_a_reader_that_stops_reading_stops_nothing_and_lines_are_counted(monkeypatch: pytest.MonkeyPatch):
    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("nobody reads")

    monkeypatch.setattr("mockserver.cli.console.WAITING", 3)
    console = Console(Lines(), Stuck())
    console.put(f"line {number}" for number in range(100))
    console.close(0.1)
    out = io.StringIO()
    console = Console(Lines(), out)
    console.put(["a", "b"])
    console.close()
    assert out.getvalue() == "a\nb\n"


def test_what_was_dropped_is_told_at_the_time_of_the_latest_notice(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mockserver.cli.console.WAITING", 0)
    out = io.StringIO()
    console = Console(Lines(form="json"), out)
    console.tell(OPENED, 1_790_000_000.5)
    console.close(10)
    (told,) = map(json.loads, out.getvalue().splitlines())
    assert (told["at"], told["message"]) == (1_790_000_000.5, "1 line was dropped: nobody read them")


def told_after(turns: list[tuple[float, Notice]], form: LogFormat = "text") -> list[str]:
    """The lines about turns at these seconds."""
    second, out = 0.0, io.StringIO()
    console = Console(Lines(form=form), out, lambda: second)
    for second, turn in turns:  # noqa: B007
        console.tell(turn, 0.0)
    console.close(10)
    return out.getvalue().splitlines()


def test_of_many_turns_in_a_second_some_are_shown_and_the_others_are_counted():
    many: list[tuple[float, Notice]] = [(0.2, TURN)] * (TURNS_PER_S + 30)
    shown = told_after([*many, (1.1, TURN), (1.2, TURN)])
    assert sum("turn 2" in line for line in shown) == TURNS_PER_S + 2
    counted = [re.match(r"server  ([\w,]+) more turns?", line) for line in shown]
    assert sum(int(found[1]) for found in counted if found) == 30


def test_a_failed_turn_an_error_and_a_finding_are_shown_however_many_there_are():
    failed = replace(TURN, status="failed", reason="server_error")
    others: list[Notice] = [failed, ErrorSent("sess_1", "invalid_event", "no such"), MistakeFound(FINDING)]
    shown = told_after([(0.1, each) for each in [*[TURN] * (TURNS_PER_S + 1), *others]])
    assert "one more turn was answered: 50 a second are shown, and --log-format json shows all" in shown[-1]
    assert sum("failed" in line for line in shown) == 1
    assert sum("error sent" in line for line in shown) == 1
    assert sum("repeated-write" in line for line in shown) == 1


def test_json_has_every_turn():
    assert len(told_after([(0.1, TURN)] * 300, "json")) == 300
