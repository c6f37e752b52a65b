"""The clinic's call page in headless Chromium: a caller speaks into its microphone, and things come of it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from clinic_agent.app.call_store import CallStore
from mockserver.responders.scenario import Scenario
from mockserver.testing.mock_server import MockServer
from tests.clients.call_site import VOICES, call_site, microphone
from tests.clients.devtools import BROWSER, MICROPHONE, Page, browsing

pytestmark = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
CLINIC = Scenario.load(VOICES.parent / "scenarios" / "clinic.yaml")
ASK = "I would like a dental cleaning on July sixth."
CHOOSE = "The nine thirty slot, please. My name is Maria Lopez."
SPEECH = Scenario.parse(f"""
turns:
  - when: {{says: cleaning}}
    heard: {ASK}
    reply: [{{say: "{"And in another hour somebody came in, sat down and opened wide. " * 12}"}}]
  - when: {{says: nine thirty}}
    heard: {CHOOSE}
    reply: [{{say: "Nine thirty, then."}}]
""")


def shows(text: str) -> str:
    return f"document.querySelector('main').innerText.includes({json.dumps(text)})"


def hang_up(page: Page) -> None:
    page.click("#call")
    page.until("document.querySelector('#status').dataset.state === 'idle'")


def bookings(data: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(data / "clinic.sqlite3")) as db:
        return db.execute("SELECT service, day, start, name FROM bookings").fetchall()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_who_speaks_into_the_page_has_a_booking_in_the_end(data: Path, tmp_path: Path):
    heard = microphone(tmp_path / "mic.wav", 1.0, "booking-1", 10.0, "booking-2", 60.0)
    with (
        MockServer(CLINIC, voice="tone") as mock,
        call_site(mock, data) as url,
        browsing(url, tmp_path / "profile", *MICROPHONE, heard) as page,
    ):
        page.click("#call")
        page.until(f"{shows('zero. See you then!')} && document.querySelector('#state').innerText === 'Listening'")
        hang_up(page)
        page.until("performance.getEntriesByName(new URL('session/end', location), 'resource').length === 1")
        errors = page.errors
        charged = mock.ledger.total_usd
        said = page.text("#transcript")
    assert errors == []
    assert bookings(data) == [("dental cleaning", "2026-07-06", "09:30", "Maria Lopez")]
    assert [line for line in (ASK, CHOOSE) if line not in said] == []
    (kept,) = CallStore(data).calls()
    assert [turn["heard"] for turn in kept.turns] == [ASK, CHOOSE]
    assert float(kept.usd or 0) == pytest.approx(float(charged), abs=0.0002)  # a piece of sound may be on its way
    frames = CallStore(data).frames(kept.id)
    assert [at_s for at_s, _, _ in frames] == sorted(at_s for at_s, _, _ in frames)
    types = [event["type"] for _, _, event in frames]
    assert types[:2] == ["session.created", "session.update"]
    assert types.count("response.done") == 4, "two answers, each after a tool"
    assert {event.get("audio", event.get("delta")) for _, _, event in frames if "audio.delta" in event["type"]} == {""}
    assert kept.frames_left_out == 0


def test_who_speaks_over_an_answer_is_heard_and_the_service_is_told_how_much_was(data: Path, tmp_path: Path):
    heard = microphone(tmp_path / "mic.wav", 1.0, "booking-1", 3.5, "booking-2", 60.0)
    with (
        MockServer(SPEECH, voice="tone") as mock,
        call_site(mock, data) as url,
        browsing(url, tmp_path / "profile", *MICROPHONE, heard) as page,
    ):
        page.click("#call")
        page.until(shows("Nine thirty, then."))
        said, errors = page.text("#transcript"), page.errors
        hang_up(page)
    session = mock.sessions[0]
    (cut,) = session.received("conversation.item.truncate")
    first, *_ = session.sent("response.done")
    assert errors == []
    assert 500 < cut["audio_end_ms"] < 5000
    assert first["response"]["status"] == "cancelled"
    assert f"interrupted after {cut['audio_end_ms'] / 1000:.1f} s" in said


def test_without_leave_to_use_the_microphone_one_is_told_and_may_type(data: Path, tmp_path: Path):
    refusing = [MICROPHONE[0], f"{MICROPHONE[1]}=deny"]
    with (
        MockServer(CLINIC, voice="tone", pacing="burst") as mock,
        call_site(mock, data) as url,
        browsing(url, tmp_path / "profile", *refusing) as page,
    ):
        page.click("#call")
        page.until(shows("The microphone is blocked. Allow it"))
        for words, answer in ((ASK, "I have half past nine, eleven o'clock"), (CHOOSE, "zero. See you then!")):
            page.run(f"document.querySelector('#words').value = {json.dumps(words)}")
            page.click("#typed button")
            page.until(shows(answer))
        hang_up(page)
        errors = page.errors
    assert errors == []
    assert bookings(data) == [("dental cleaning", "2026-07-06", "09:30", "Maria Lopez")]


def test_what_is_typed_before_the_call_is_answered_is_said_once_it_is(data: Path, tmp_path: Path):
    with (
        MockServer(CLINIC, voice="tone", pacing="burst") as mock,
        call_site(mock, data) as url,
        browsing(url, tmp_path / "profile", *MICROPHONE, microphone(tmp_path / "mic.wav", 60.0)) as page,
    ):
        page.run(f"""document.querySelector('#call').click();
            document.querySelector('#words').value = {json.dumps(ASK)};
            document.querySelector('#typed button').click();""")
        page.until(shows("I have half past nine, eleven o'clock or half past two"))
        errors = page.errors
    assert errors == []


def test_who_hangs_up_before_the_call_is_answered_leaves_nothing_open(data: Path, tmp_path: Path):
    with (
        MockServer(CLINIC, voice="tone") as mock,
        call_site(mock, data) as url,
        browsing(url, tmp_path / "profile", *MICROPHONE, microphone(tmp_path / "mic.wav", 60.0)) as page,
    ):
        page.run("document.querySelector('#call').click(); document.querySelector('#call').click();")
        page.until(shows("The call ended before the service answered."))
        page.until("performance.getEntriesByName(new URL('session/end', location), 'resource').length === 1")
        assert page.errors == []
        assert list(mock.sessions) == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"blocked_keys": ["mock-api-key"]}, "HTTP 403: the team of the key has no credit or no permission"),
        ({"requests_per_minute": 1}, "The service refused the call: the secret has expired, the service is busy"),
    ],
    ids=["no secret", "no socket"],
)
def test_a_call_that_does_not_come_about_says_why(settings: dict[str, Any], told: str, data: Path, tmp_path: Path):
    heard = microphone(tmp_path / "mic.wav", 60.0)
    with (
        MockServer(CLINIC, voice="tone", **settings) as mock,
        call_site(mock, data) as url,
        browsing(url, tmp_path / "profile", *MICROPHONE, heard) as page,
    ):
        page.click("#call")
        page.until(shows(told))
        state, button = page.run("document.querySelector('#status').dataset.state"), page.text("#call")
    assert (state, button.strip()) == ("failed", "Call")


def test_sound_is_resampled_alike_however_it_comes(data: Path, tmp_path: Path):
    script = """(async () => {
      const { Resampler } = await import("/web/resampler.js");
      const tone = (rate, hz) =>
        Float32Array.from({ length: rate }, (_, at) => Math.sin((2 * Math.PI * hz * at) / rate));
      const through = (rate, hz, size) => {
        const resampler = new Resampler(rate, 24000), out = [];
        const sound = tone(rate, hz);
        for (let at = 0; at < sound.length; at += size) out.push(...resampler.feed(sound.subarray(at, at + size)));
        return out;
      };
      return [48000, 44100, 24000, 16000].map((rate) => {
        const [small, large] = [through(rate, 1000, 128), through(rate, 1000, 5000)];
        const wanted = tone(24000, 1000);
        const off = small.slice(100, -100).map((value, at) => Math.abs(value - wanted[at + 100]));
        const high = rate > 24000 ? through(rate, 15000, 128).slice(100, -100).map(Math.abs) : [0];
        return {
          alike: large.every((value, at) => at >= small.length || value === small[at]),
          missing: 24000 - small.length, off: Math.max(...off), alias: Math.max(...high),
        };
      });
    })()"""
    with (
        MockServer(CLINIC, voice="tone") as mock,
        call_site(mock, data) as url,
        browsing(url, tmp_path / "profile") as page,
    ):
        found = page.run(script)
    for of in found:
        assert of["alike"] and 0 <= of["missing"] < 60
        assert of["off"] < 0.002 and of["alias"] < 0.01


@pytest.mark.parametrize("nth", [1, 3], ids=["early", "late"])
@pytest.mark.parametrize("response", [1, 2])
def test_a_connection_lost_in_an_answer_is_replaced_and_no_word_is_lost_or_said_twice(
    response: int, nth: int, data: Path, tmp_path: Path
):
    def said(mock: MockServer, folder: str) -> tuple[list[str], float, str]:
        heard = microphone(tmp_path / f"{folder}.wav", 1.0, "booking-1", 60.0)
        with call_site(mock, data) as url, browsing(url, tmp_path / folder, *MICROPHONE, heard) as page:
            page.click("#call")
            done = "document.querySelector('#state').innerText === 'Listening'"
            page.until(f"{shows('which one suits you')} && {done}".replace("which one", "Which one"))
            lines = page.run(
                "[...document.querySelectorAll('#transcript li')].map((line) => line.firstChild.textContent)"
            )
            alert = page.text("#alert")
            hang_up(page)
            assert page.errors == []
        return lines, float(sum((session.ledger.audio_out_s for session in mock.sessions), Fraction(0))), alert

    with MockServer(CLINIC, voice="tone", pacing="live") as mock:
        lines, seconds, _ = said(mock, "whole")
    lost = {"at": "response.output_audio.delta", "nth": nth, "response": response, "do": {"close": 1011}, "times": 1}
    with MockServer(CLINIC, voice="tone", pacing="live", faults=[lost | {"session": 1}]) as mock:
        again, longer, alert = said(mock, "lost")
        assert len(mock.sessions) == 2
        assert len({session.sent("conversation.created")[0]["conversation"]["id"] for session in mock.sessions}) == 1
    assert again == lines
    assert longer > seconds
    assert "The call goes on where it was." in alert


@pytest.mark.parametrize(
    "leave", ["", "document.querySelector('#call').click();"], ids=["leaves", "hangs up and leaves"]
)
def test_who_leaves_the_page_leaves_the_words_and_the_count_of_what_did_not_arrive(
    leave: str, data: Path, tmp_path: Path
):
    with (
        MockServer(CLINIC, voice="tone", pacing="burst") as mock,
        call_site(mock, data) as url,
        browsing(url, tmp_path / "profile") as page,
    ):
        page.run("""
            const fetch = window.fetch;
            window.fetch = (to, how) => (to === "session/frames" ? new Promise(() => {}) : fetch(to, how));""")
        page.run(f"document.querySelector('#words').value = {json.dumps(ASK)}")
        page.click("#typed button")
        page.until(shows("Which one suits you"))
        page.run(leave + "location.href = 'calls'")
        page.until("!document.querySelector('#call')")
        ended = CallStore(data)
        while not ended.calls():  # the last message is on its way
            assert page.errors == []
    (kept,) = ended.calls()
    assert [turn["heard"] for turn in kept.turns] == [ASK]
    assert kept.frames_left_out + len(ended.frames(kept.id)) > 10, "kept, or counted"
