"""The viewer in headless Chromium, in each of its homes: a click plays an item, and what was said is text."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner
from websockets.sync.client import connect

import realtape
import replay.viewer
from clinic_agent.app.call_store import CallStore
from mockserver.responders.base import Call, Say
from mockserver.responders.scenario import Scenario
from mockserver.testing.mock_server import MockServer
from realtape.clinic_page import call_page
from replay.cassette.file import Writer
from replay.cassette.records import Header, Record
from tests.clients.call_site import call_site
from tests.clients.devtools import BROWSER, Page, browsing
from tests.replay.recordings import line, typed

pytestmark = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
CASSETTES = Path(__file__).parents[2] / "cassettes"
HOSTILE = "<img src=x onerror=\"document.title='undone'\"></script><script>document.title='undone'</script>"
TOKEN = "a-login-token-for-tests"
REFUSED = "Failed to load resource: the server responded with a status of 400 (Bad Request)"
AXE = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


def page_of(tape: Path, folder: Path) -> str:
    """The address of the page of a cassette."""
    done = CliRunner().invoke(realtape.main, ["show", str(tape), "--html", str(folder / "call.html")])
    assert done.exit_code == 0, done.output
    return (folder / "call.html").as_uri()


@pytest.fixture(scope="module")
def booking(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(CASSETTES / "booking.tape", tmp_path_factory.mktemp("page"))


def taped(path: Path, *told: Any) -> Path:
    """A cassette of hand-made frames."""
    header = Header("mock", "ws://127.0.0.1/v1/realtime", "xai", "m", "2026-07-28T09:00:00+00:00", "test")
    writer = Writer(path, header)
    for moment in line(*told).moments:
        writer.write(Record(round(moment.at_s * 1e6), 0, moment.way, moment.frame))
    writer.end(10**8)
    return path


def press(page: Page, key: str, **more: Any) -> None:
    event = json.dumps({"key": key, "bubbles": True, "cancelable": True, **more})
    page.run(f"document.body.dispatchEvent(new KeyboardEvent('keydown', {event}))")


def playing(page: Page) -> float:
    """Where the audio element is."""
    return float(page.run("document.querySelector('audio').currentTime"))


def test_a_click_on_an_item_plays_it_where_it_stands_and_stops_at_its_end(booking: str, tmp_path: Path):
    with browsing(booking, tmp_path / "profile") as page:
        call = json.loads(page.run("document.getElementById('call').textContent"))
        item = next(each for each in call["items"] if each["kind"] == "said" and "Maria" in each["text"])
        page.click(f"[data-item='{item['id']}'] .play")
        page.until(f"document.querySelector('audio').currentTime > {item['start_s'] + 0.05}")
        assert item["start_s"] < playing(page) < item["end_s"]
        assert page.run("document.querySelector('.item.sounds').dataset.item") == str(item["id"])
        page.until("document.querySelector('audio').paused")
        assert playing(page) == pytest.approx(item["end_s"], abs=0.5)
        assert f"turn={item['turn']}" in page.run("location.hash")
        assert page.text(".frame-detail b") == call["frames"][item["frame"]]["type"]
        assert page.errors == []


def test_one_side_can_be_heard_alone_from_where_it_was(booking: str, tmp_path: Path):
    with browsing(booking, tmp_path / "profile") as page:
        page.click("[data-item='4'] .play")
        page.until("document.querySelector('audio').currentTime > 3")
        both = page.run("document.querySelector('audio').src")
        page.click("[data-mode=caller]")
        page.until(
            f"document.querySelector('audio').src !== {json.dumps(both)}"
            " && document.querySelector('audio').currentTime > 3.1"
        )
        assert page.run("document.querySelector('[data-mode=caller]').getAttribute('aria-pressed')") == "true"
        assert page.errors == []


def test_the_wav_of_the_page_is_that_of_the_export(booking: str, tmp_path: Path):
    exported = CliRunner().invoke(
        realtape.main, ["export", str(CASSETTES / "booking.tape"), "--wav", str(tmp_path / "wav")]
    )
    assert exported.exit_code == 0
    with browsing(booking, tmp_path / "profile") as page:
        page.run(
            "{ const made = URL.createObjectURL;"
            " URL.createObjectURL = (it) => { window.saved = it; return made(it); }; }"
        )
        page.run("[...document.querySelectorAll('.actions button')].find((it) => it.innerText === 'WAV').click()")
        page.until("window.saved")
        data = page.run("""saved.arrayBuffer().then((it) => {
          let text = ""; for (const byte of new Uint8Array(it)) text += String.fromCharCode(byte); return btoa(text);
        })""")
    assert b64decode(data) == (tmp_path / "wav" / "call.wav").read_bytes()


def test_the_address_names_a_turn_or_a_frame(booking: str, tmp_path: Path):
    with browsing(f"{booking}#frame=52", tmp_path / "profile") as page:
        assert page.text(".frame-detail b") == "response.function_call_arguments.done"
        assert "check_availability" in page.text(".item.picked")
        page.click(".frame-detail .copy")
        page.until("document.querySelector('.frame-detail .told').innerText === 'copied'")
        page.run("location.hash = 'turn=4'")
        page.until("document.querySelector('.item.picked').innerText.includes('nine thirty slot')")


def test_searching_leaves_what_fits_and_escape_all(booking: str, tmp_path: Path):
    with browsing(booking, tmp_path / "profile") as page:
        search = (
            "{{ const box = document.querySelector('input'); box.value = {}; box.dispatchEvent(new Event('input')); }}"
        )
        page.run(search.format("'Maria'"))
        shown = page.run("[...document.querySelectorAll('.item')].filter((it) => !it.hidden).map((it) => it.innerText)")
        assert shown and all("Maria" in text for text in shown)
        assert set(page.run("[...CSS.highlights.get('found')].map((it) => it.toString())")) == {"Maria"}
        count = re.match(r"(\d+) of 185 frames", page.text(".count"))
        assert count is not None and 0 < int(count[1]) < 30
        press(page, "Escape")
        assert page.text(".count") == "185 frames"
        page.run(search.format("'no such words'"))
        assert "Nothing here fits" in page.text(".talk-pane")


def test_the_keyboard_moves_selects_zooms_and_explains_itself(booking: str, tmp_path: Path):
    with browsing(booking, tmp_path / "profile") as page:
        for key in "jj":
            press(page, key)
        assert "Let me check that" in page.text(".item.picked")
        press(page, "ArrowDown")
        chosen = page.run("document.querySelector('.frame[aria-selected=true]').id")
        press(page, "ArrowDown")
        assert page.run("document.querySelector('.frame[aria-selected=true]').id") != chosen
        press(page, "ArrowRight", shiftKey=True)
        slider = "document.querySelector('[role=slider]').getAttribute('aria-valuenow')"
        page.until(f"{slider} === '5.00'")
        press(page, "?")
        assert "next or previous frame" in page.text("dialog[open]")
        press(page, "?")
        assert page.run("document.querySelector('dialog[open]')") is None
        press(page, " ")
        page.until("!document.querySelector('audio').paused")
        assert page.errors == []


def point(page: Page, kind: str, x: float, y: float, **more: Any) -> None:
    """An event of the pointer on the timeline, at a place within its canvas."""
    event = json.dumps({"bubbles": True, "cancelable": True, "pointerId": 1, **more})
    page.run(f"""{{ const scene = document.querySelector('.timeline-scene'), box = scene.getBoundingClientRect();
      scene.setPointerCapture = () => null;
      const event = {{ ...{event}, clientX: box.left + {x}, clientY: box.top + {y} }};
      scene.dispatchEvent({"new WheelEvent" if kind == "wheel" else "new PointerEvent"}('{kind}', event)); }}""")


def tips(page: Page) -> str:
    """What the timeline says of everything on it, when the pointer is led over it."""
    width, height = page.run(
        "[document.querySelector('.timeline-scene').clientWidth, "
        "document.querySelector('.timeline-scene').clientHeight]"
    )
    found = set()
    for y in range(30, height, 9):
        for x in range(100, width, 9):
            point(page, "pointermove", x, y)
            found.add(
                page.run("document.querySelector('.tip').hidden ? '' : document.querySelector('.tip').textContent")
            )
    return "\n".join(sorted(found))


def test_the_timeline_says_what_is_under_the_pointer(tmp_path: Path):
    called = {"type": "response.function_call_arguments.done", "call_id": "c", "name": "look", "arguments": "{}"}
    output = {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": "c", "output": "1"},
    }
    frames: list[Any] = [
        (">", 0.1, typed("Good morning")),
        (">", 0.2, "response.create"),
        ("<", 0.3, {"type": "response.created", "response": {"id": "r"}}),
        ("<", 0.8, {"type": "response.output_audio.delta", "item_id": "a", "response_id": "r", "delta": "AAAA" * 9000}),
        ("<", 0.9, called),
        (">", 1.1, output),
        ("<", 1.2, {"type": "error", "error": {"message": "too fast"}}),
    ]
    with browsing(
        page_of(taped(tmp_path / "call.tape", *frames), tmp_path), tmp_path / "profile", size=(900, 900)
    ) as page:
        told = tips(page)
        for words in (
            "typed",
            "Good morning",
            "first audio 600 ms after the service's end of speech, or the request",
            "look: 200 ms",
            "error",
            "too fast",
        ):
            assert words in told
        assert page.errors == []


def test_the_timeline_scrubs_zooms_and_moves(booking: str, tmp_path: Path):
    with browsing(booking, tmp_path / "profile") as page:
        at = "Number(document.querySelector('[role=slider]').ariaValueNow)"
        point(page, "pointerdown", 600, 30)
        page.until(f"{at} > 5")
        before = page.run(at)
        point(page, "pointermove", 800, 30)
        page.until(f"{at} > {before + 2}")
        point(page, "pointerup", 800, 30)
        point(page, "pointermove", 300, 30)
        wide = page.run(at)
        point(page, "wheel", 600, 60, deltaY=-300, ctrlKey=True)
        point(page, "pointerdown", 600, 30)
        point(page, "pointermove", 800, 30)
        page.run("new Promise((resolve) => setTimeout(resolve, 100))")
        assert 0 < abs(page.run(at) - before) < wide - before  # 200 pixels are less time than before
        assert page.errors == []


def test_only_frames_in_view_are_elements_however_many_there_are(tmp_path: Path):
    many = [("<", 0.01 * n, {"type": f"event.{n % 7}", "text": f"number {n}"}) for n in range(20_000)]
    with browsing(page_of(taped(tmp_path / "many.tape", *many), tmp_path), tmp_path / "profile") as page:
        assert page.run("document.querySelectorAll('.frame').length") < 80
        page.run("document.querySelector('.frame-list').scrollTop = 1e9")
        page.until("document.querySelector('#frame-19999')")
        assert page.run("document.querySelectorAll('.frame').length") < 80


def test_nothing_that_was_said_acts(tmp_path: Path):
    call = {"type": "response.function_call_arguments.done", "call_id": "c", "name": HOSTILE, "arguments": HOSTILE}
    said = {"type": "response.output_audio_transcript.delta", "item_id": "a", "delta": HOSTILE}
    error = {"type": "error", "error": {"message": HOSTILE}}
    frames = (
        (">", 0.0, typed(HOSTILE)),
        ("<", 0.1, said),
        ("<", 0.2, call),
        ("<", 0.3, error),
        ("<", 0.4, {"type": HOSTILE}),
    )
    with browsing(page_of(taped(tmp_path / "bad.tape", *frames), tmp_path), tmp_path / "profile") as page:
        for _ in range(6):
            press(page, "j")
            press(page, "ArrowDown")
        assert HOSTILE in page.text(".talk")
        assert page.run("[document.title, document.querySelectorAll('img').length]") == ["bad", 0]
        assert page.errors == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1440])
def test_axe_finds_nothing_serious(width: int, dark: bool, booking: str, node_folder: Path, tmp_path: Path):
    axe = (node_folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    with browsing(booking, tmp_path / "profile", size=(width, 900), dark=dark) as page:
        press(page, "j")
        found = violations(page, axe)
        press(page, "?")
        assert (found, violations(page, axe)) == ([], [])
        assert page.run("document.documentElement.scrollWidth") <= width


def violations(page: Page, axe: str) -> list[str]:
    """The serious and critical violations that axe-core finds on the page."""
    page.run(f"{axe}; 0")
    found = page.run(f"axe.run({{runOnly: {json.dumps(AXE)}}}).then((it) => JSON.stringify(it.violations))")
    return [
        f"{each['id']}: {node['html'][:120]}"
        for each in json.loads(found)
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


# --- The inspector ---


@contextmanager
def inspected(tmp_path: Path, reply: Any = None, **settings: Any) -> Iterator[tuple[MockServer, Page, Any]]:
    """A mock with one session that a client keeps open, and its inspector."""
    scenario = Scenario(sequence=[reply or [Say("Good morning. How can I help?"), Call("look", {"day": "Monday"})]] * 9)
    with MockServer(scenario, voice="tone", pacing="burst", **settings) as mock:
        with connect(mock.ws_url, additional_headers={"Authorization": f"Bearer {mock.api_key}"}) as client:
            mock_turn(client, "hello")
            with browsing(f"{mock.control_url}/", tmp_path / "profile", size=(1440, 900)) as page:
                page.until("document.querySelector('.item.service')")
                yield mock, page, client
                assert page.errors == []


def mock_turn(client: Any, text: str) -> None:
    client.send(json.dumps(typed(text)))
    client.send(json.dumps({"type": "response.create"}))
    while json.loads(client.recv(timeout=20))["type"] != "response.done":
        pass


def test_the_inspector_follows_a_session_and_keeps_what_is_selected(tmp_path: Path):
    with inspected(tmp_path) as (mock, page, client):
        page.click(".item.service .play")
        page.until("document.querySelector('audio').currentTime > 0.02")
        picked = page.run("document.querySelector('.item.picked').innerText")
        frames = page.run("document.querySelector('.count').innerText")
        mock_turn(client, "and now?")
        page.until("document.querySelector('.talk').textContent.includes('and now?')")
        assert page.run("document.querySelector('.item.picked').innerText") == picked
        assert page.run("document.querySelector('.count').innerText") != frames
        assert f"session={mock.sessions[0].id}" in page.run("location.hash")


def test_a_download_of_the_inspector_that_fails_says_why(tmp_path: Path):
    with inspected(tmp_path) as (_, page, _):
        page.until("document.querySelector('.actions button')")
        page.run("window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
        page.run("[...document.querySelectorAll('.actions button')].find((it) => it.innerText === 'Tape').click()")
        page.until("document.querySelector('.problem[role=alert]').innerText === 'The mock does not answer.'")


PLAYED = """(async () => {
  MODULES
  let asked = 0;
  const pieces = async () => {
    asked += 1;
    return [{ side: 'service', rate: 8000, encoding: 'pcm16', start_s: 0, data: new Uint8Array(16000) }];
  };
  const player = new Player(pieces, 30);
  const revoke = URL.revokeObjectURL;
  const revoked = [];
  URL.revokeObjectURL = (url) => { revoked.push(url); revoke.call(URL, url); };
  await player.play();
  const first = player.audio.src;
  const playing = player.playing;
  player.lengthened(60);
  await player.pieces();
  const kept = revoked.length === 0;
  player.pause();
  await player.play(0);
  player.pause();
  return { asked, playing, kept, freed: revoked.includes(first), seconds: player.audio.duration };
})()"""
"""A call that grows for the last time while it is played."""


def test_what_is_said_during_playback_is_loaded_afterwards(tmp_path: Path):
    folder = Path(replay.viewer.__file__).parent / "web"
    text = "\n".join((folder / name).read_text("utf-8") for name in ("dom.js", "sound.js"))
    modules = re.sub(r"^import .*$|^export ", "", text, flags=re.MULTILINE)
    with inspected(tmp_path) as (_, page, _):
        found = page.run(PLAYED.replace("MODULES", modules))
    assert found == {"asked": 2, "playing": True, "kept": True, "freed": True, "seconds": 60}


def test_the_inspector_switches_faults_on_and_off(tmp_path: Path):
    with inspected(tmp_path, max_sessions=5) as (mock, page, client):
        assert "1 open of 5" in page.text(".top")
        page.click("#tab-3")
        page.until("document.querySelector('#fault-text').value")
        page.run(
            "{ const kind = document.querySelector('#fault-kind'); kind.value = 'fail';"
            " kind.dispatchEvent(new Event('change')); }"
        )
        page.click(".fault-form [type=submit]")
        page.until("document.querySelector('.faults code')?.textContent.includes('fail')")
        assert [armed.fault.kind for armed in mock.faults] == ["fail"]
        mock_turn(client, "again")
        page.until(
            "document.querySelector('.item.fault')"
            " && document.querySelector('.faults').innerText.includes('triggered 1 time')"
        )
        page.click(".faults button")
        page.until("document.querySelector('.faults').innerText.includes('No fault is on')")
        assert list(mock.faults) == []
        page.run("document.querySelector('#fault-text').value = '{at: nonsense'")
        page.click(".fault-form [type=submit]")
        page.until("document.querySelector('.faults-pane .problem').innerText")
        assert [error.partition(" http")[0] for error in page.errors] == [REFUSED]
        page.errors.clear()


def test_the_inspector_asks_for_the_token_and_enters_namespaces(tmp_path: Path):
    with MockServer(voice="tone", pacing="burst", admin_token="hush") as mock:
        asked = Request(f"{mock.control_url}/namespaces", b"{}", {"Authorization": "Bearer hush"})
        with urlopen(asked, timeout=10) as answer:
            space = json.load(answer)
        with connect(space["ws"], additional_headers={"Authorization": f"Bearer {space['api_key']}"}) as client:
            mock_turn(client, "hello from the namespace")
        with browsing(f"{mock.control_url}/", tmp_path / "profile") as page:
            page.until("!document.querySelector('#token').hidden")
            assert "send the admin token" in page.text(".top")
            page.run("document.querySelector('#token').value = 'hush'")
            page.until(
                "document.querySelector('#token').hidden && document.querySelector('.top select option + option')"
            )
            page.run(
                f"{{ const spaces = document.querySelector('.top select'); spaces.value = {json.dumps(space['id'])};"
                " spaces.dispatchEvent(new Event('change')); }"
            )
            page.until("document.querySelector('.talk')?.textContent.includes('hello from the namespace')")
            assert f"namespace={space['id']}" in page.run("location.hash")


def test_the_inspector_runs_nothing_that_was_said(tmp_path: Path):
    with inspected(tmp_path, [Say(f"Hello. {HOSTILE}"), Call("look", {"city": HOSTILE})]) as (_, page, client):
        client.send(json.dumps({"type": HOSTILE}))
        page.until("document.querySelector('.item.error')")
        page.run("document.querySelector('.frame-list').scrollTop = 1e9")
        assert "onerror=" in page.run("document.querySelector('.talk').textContent")
        assert page.run("[document.title, document.querySelectorAll('img').length]") == ["realtape", 0]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious_in_the_inspector(dark: bool, node_folder: Path, tmp_path: Path):
    axe = (node_folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    with inspected(tmp_path) as (_, page, _client):
        page.order(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": ["light", "dark"][dark]}]
        )
        for tab in ("#tab-3", "#tab-1"):
            page.click(tab)
            assert violations(page, axe) == []


# --- The clinic's records ---


def logged_in(page: Page, call_id: str) -> None:
    """Log in on the list of calls, and open one in the viewer."""
    page.run(f"document.querySelector('#token').value = {json.dumps(TOKEN)}")
    page.click(".login button")
    page.until(f"document.querySelector('a[href$=\\'{call_id}\\']')")
    page.click(f"a[href$='{call_id}']")
    page.until("document.querySelector('.item.service')")


def test_a_call_of_the_clinics_page_is_in_the_viewer_with_its_sound(tmp_path: Path):
    clinic = Scenario.load(CASSETTES / "scenarios" / "clinic.yaml")
    (tmp_path / "data").mkdir()
    with (
        MockServer(clinic, voice="tone", pacing="burst") as mock,
        call_site(mock, tmp_path / "data", call_page, token=TOKEN, keep_audio=True) as url,
        browsing(url, tmp_path / "profile") as page,
    ):
        page.run("document.querySelector('#words').value = 'I would like a dental cleaning on July sixth.'")
        page.click("#typed button")
        page.until("document.querySelector('#transcript').innerText.includes('Which one suits you')")
        page.until("document.querySelector('#state').innerText === 'Listening'")
        page.click("#call")
        page.until("performance.getEntriesByName(new URL('session/end', location), 'resource').length === 1")
        (kept,) = CallStore(tmp_path / "data").calls()
        page.run("location.href = 'calls'")
        page.until("document.querySelector('.login')")
        page.errors.clear()  # the answer to who has not logged in is 401
        logged_in(page, kept.id)
        assert "check_availability" in page.run("document.querySelector('.talk').textContent")
        page.click(".item.service .play")
        page.until("document.querySelector('audio').currentTime > 0.02")
        # Chromium may still fetch the icon of the page before, in the name of this one, whose policy forbids pictures.
        assert [error for error in page.errors if "/web/icon.svg" not in error] == []


@contextmanager
def recorded(tmp_path: Path, words: str, **browser: Any) -> Iterator[Page]:
    """The page of a recorded call of the clinic, for a person who has logged in."""
    clinic = Scenario.load(CASSETTES / "scenarios" / "clinic.yaml")
    (tmp_path / "data").mkdir()
    with (
        MockServer(clinic, voice="tone", pacing="burst") as mock,
        call_site(mock, tmp_path / "data", call_page, token=TOKEN, keep_audio=True) as url,
    ):
        asked = Request(f"{url}appointments/voice", json.dumps({"text": words}).encode())
        asked.add_header("Content-Type", "application/json")
        with urlopen(asked, timeout=30) as answer:
            call_id = json.load(answer)["conversation_id"]
        with browsing(f"{url}calls", tmp_path / "profile", **browser) as page:
            page.errors.clear()  # the answer to who has not logged in is 401
            logged_in(page, call_id)
            yield page
            assert page.errors == []


def test_a_recorded_call_of_the_clinic_is_in_the_viewer_and_plays(tmp_path: Path):
    with recorded(tmp_path, "I would like a dental cleaning on July sixth.") as page:
        assert "check_availability" in page.run("document.querySelector('.talk').textContent")
        page.click(".item.service .play")
        page.until("document.querySelector('audio').currentTime > 0.02")
        page.click(".actions form[action$=delete] button")
        page.until("document.body.innerText.includes('No calls yet.')")


def test_nothing_that_was_said_acts_in_the_clinics_records(tmp_path: Path):
    with recorded(tmp_path, HOSTILE) as page:
        assert HOSTILE in page.run("document.querySelector('.talk').textContent")
        assert page.run("[document.title.slice(0, 7), document.querySelectorAll('img').length]") == ["Call of", 0]


def test_axe_finds_nothing_serious_in_the_clinics_records(node_folder: Path, tmp_path: Path):
    axe = (node_folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    with recorded(tmp_path, "I have chest pain.", size=(390, 844)) as page:
        assert "Emergency" in page.text(".alert")
        assert violations(page, axe) == []


# --- Two calls ---


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("both") / "both.html"
    files = [str(CASSETTES / f"{name}.tape") for name in ("booking", "fully-booked")]
    assert CliRunner().invoke(realtape.main, ["diff", *files, "--html", str(out)]).exit_code == 1
    return out.as_uri()


def test_two_calls_are_side_by_side_and_a_pair_is_selected_in_both(both: str, tmp_path: Path):
    with browsing(both, tmp_path / "profile", size=(1440, 900)) as page:
        assert "the tool book_appointment is no longer called" in page.text(".summary")
        press(page, "d")
        press(page, "d")
        assert "item.content[0].type" in page.text(".pairs .picked")
        assert page.text(".pair-detail").count('"conversation.item.added"') == 2
        times = "[...document.querySelectorAll('[role=slider]')].map((it) => it.getAttribute('aria-valuenow'))"
        page.until(f"new Set({times}).size === 2 && !{times}.includes('0.00')")  # once the sound can be played
        shown = page.run("document.querySelectorAll('.pairs li:not([hidden])').length")
        page.click(".filter-bar .group button:last-child")
        assert page.run("document.querySelectorAll('.pairs li:not([hidden])').length") > shown
        page.click(".calls section:last-child .big")
        page.until(
            "document.querySelectorAll('audio')[1].currentTime > 0 && document.querySelectorAll('audio')[0].paused"
        )
        assert page.errors == []


@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing_serious_in_two_calls(width: int, both: str, node_folder: Path, tmp_path: Path):
    axe = (node_folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    with browsing(both, tmp_path / "profile", size=(width, 900), dark=width == 390) as page:
        press(page, "d")
        assert violations(page, axe) == []
        assert page.run("document.documentElement.scrollWidth") <= width
