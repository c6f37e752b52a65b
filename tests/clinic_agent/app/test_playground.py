"""The Streamlit demo, run by Streamlit's own AppTest on a mock over loopback."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
import wave
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from clinic_agent.app import playground as app_streamlit
from clinic_agent.app.call_store import CallStore
from realtape import MockServer
from tests.clinic_agent.app_server import ASK, CASSETTES, CHOOSE, SCENARIO, VOICES

pytestmark = pytest.mark.slow
PARROT = "turns: [{reply: [{say: 'You said: {{ says }}'}]}]"


@pytest.fixture
def mock() -> Iterator[MockServer]:
    with MockServer(SCENARIO, voice="tone", pacing="burst") as server:
        yield server
        app_streamlit._call_thread(1800.0).end()
        app_streamlit._call_thread.clear()


@pytest.fixture
def demo(mock: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page as it opens, pointed at the mock; in a folder where no .env is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parrot.yaml").write_text(PARROT, encoding="utf-8")
    shown = {
        "XAI_API_KEY": mock.api_key,
        "XAI_REALTIME_URL": mock.ws_url,
        "CLINIC_DATA": str(tmp_path),
        "CLINIC_TODAY": "2026-07-01",
        "CLINIC_CONTROL_URL": f"{mock.http_url.removesuffix('/v1')}/_mock",
        "CLINIC_SCENARIOS": str(tmp_path),
    }
    for name, value in shown.items():
        monkeypatch.setenv(name, value)
    return AppTest.from_file(app_streamlit.__file__, default_timeout=30).run()


def say(demo: AppTest, words: str) -> AppTest:
    demo.chat_input[0].set_value(words).run()
    assert not demo.exception
    return demo


def shown(demo: AppTest) -> str:
    return "\n".join(
        str(each.value) for each in [*demo.text, *demo.markdown, *demo.caption, *demo.error, *demo.warning]
    )


def test_two_typed_turns_book_and_everything_of_it_is_shown(demo: AppTest, mock: MockServer, tmp_path: Path):
    say(say(demo, ASK), CHOOSE)
    assert "zero, nine, three, zero. See you then!" in shown(demo)
    bookings, events = (table.value for table in demo.dataframe)
    assert bookings.to_dict("records")[0]["reference"] == "DC-0706-0930"
    assert {"conversation.item.create", "response.create", "response.done"} <= set(events["event"])
    assert [metric.value for metric in demo.metric][-1] == f"${float(mock.ledger.total_usd):.4f}"
    with closing(sqlite3.connect(tmp_path / "clinic.sqlite3")) as db:
        assert db.execute("SELECT name FROM bookings").fetchall() == [("Maria Lopez",)]


def test_both_turns_are_one_call_on_one_connection(demo: AppTest, mock: MockServer):
    say(say(demo, ASK), CHOOSE)
    with urllib.request.urlopen(f"{mock.http_url.removesuffix('/v1')}/_mock/sessions") as answer:
        sessions = json.load(answer)
    assert len(sessions) == 1


def test_an_uploaded_recording_is_a_turn(demo: AppTest):
    demo.file_uploader[0].upload("booking-1.wav", (VOICES / "booking-1.wav").read_bytes(), "audio/wav").run()
    demo.button(key="send").click().run()
    assert ASK in shown(demo)
    assert next(metric.value for metric in demo.metric) == "2.2 s"  # the clip's length


def test_one_recording_follows_another(demo: AppTest):
    for name in ("booking-1", "booking-2"):
        demo.file_uploader[0].upload(f"{name}.wav", (VOICES / f"{name}.wav").read_bytes(), "audio/wav").run()
        demo.button(key="send").click().run()
    assert ASK in shown(demo)
    assert CHOOSE in shown(demo)


def test_a_recording_in_another_form_is_answered_with_the_way_out(demo: AppTest):
    demo.file_uploader[0].upload("mine.wav", b"no sound", "audio/wav").run()
    demo.button(key="send").click().run()
    assert "mine.wav: not a PCM WAV file" in demo.error[0].value


def test_tools_can_be_put_out_of_order(demo: AppTest):
    demo.selectbox(key="broken").select("all tools of the calendar").run()
    assert "I cannot look into the calendar" in shown(say(demo, ASK))


def test_another_scenario_counts_from_the_next_turn_on(demo: AppTest):
    demo.selectbox(key="scenario").select("parrot").run()
    assert "You said: Is anybody there?" in shown(say(demo, "Is anybody there?"))


def test_a_fault_breaks_the_next_turn_and_the_page_says_what_to_do(demo: AppTest):
    demo.selectbox(key="faults").select("HTTP 401").run()
    assert not demo.error
    assert "refused the call with HTTP 401: the key is missing or wrong" in shown(say(demo, ASK))
    demo.selectbox(key="faults").select("none").run()
    assert "I have half past nine" in shown(say(demo, ASK))


@pytest.mark.parametrize("path", sorted((CASSETTES / "scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_scenario_is_on_offer_with_its_sound_files(path: Path, demo: AppTest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLINIC_SCENARIOS", str(path.parent))
    demo.run().selectbox(key="scenario").select(path.stem).run()
    assert [error.value for error in demo.error] == []


def test_what_was_said_is_no_markdown(demo: AppTest):
    demo.selectbox(key="scenario").select("parrot").run()
    words = "From $20 to $30, *really*? ![](http://127.0.0.1:9/a.png)"
    say(demo, words)
    assert [text.value for text in demo.text] == [words, f"You said: {words}"]


@pytest.mark.parametrize("name", app_streamlit.FAULTS)
def test_every_fault_on_offer_is_one_that_the_mock_takes(name: str, demo: AppTest):
    demo.selectbox(key="faults").select(name).run()
    assert [error.value for error in demo.error] == []


def test_a_new_call_forgets_the_conversation_and_keeps_the_bookings(demo: AppTest):
    say(say(demo, ASK), CHOOSE)
    next(button for button in demo.button if button.label == "New call").click().run()
    assert [metric.value for metric in demo.metric][-1] == "$0.0000"
    assert len(demo.dataframe) == 1


def test_after_an_upload_and_a_new_call_the_old_recording_is_not_sent_again(demo: AppTest, mock: MockServer):
    demo.file_uploader[0].upload("booking-1.wav", (VOICES / "booking-1.wav").read_bytes(), "audio/wav").run()
    assert not demo.button(key="send").disabled
    next(button for button in demo.button if button.label == "New call").click().run()
    assert demo.button(key="send").disabled
    assert "This is sent:" not in shown(demo)
    demo.file_uploader[0].upload("booking-2.wav", (VOICES / "booking-2.wav").read_bytes(), "audio/wav").run()
    demo.button(key="send").click().run()
    assert mock.ledger.audio_in_s == pytest.approx(wave_s("booking-2"), abs=0.01)
    assert demo.button(key="send").disabled  # what was sent once is not sent again


def test_a_new_call_begins_empty(demo: AppTest):
    say(demo, ASK)
    next(button for button in demo.button if button.label == "New call").click().run()
    assert len(demo.chat_message) == 0
    assert len(demo.dataframe) == 0
    assert [metric.value for metric in demo.metric] == ["0.0 s", "0.0 s", "$0.0000"]


def test_ended_calls_are_listed(demo: AppTest):
    for words in (ASK, "What are your opening hours?"):
        say(demo, words)
        next(button for button in demo.button if button.label == "New call").click().run()
    last, first = (text.value for text in demo.text)
    assert last.startswith("Caller: What are your opening hours?\nAssistant: We are open")
    assert first.startswith(f"Caller: {ASK}\nAssistant: Let me check")
    assert len([caption for caption in demo.caption if caption.value.startswith("1 turn · ")]) == 2


def wave_s(name: str) -> float:
    """The length of a clip, in s."""
    with wave.open(str(VOICES / f"{name}.wav")) as clip:
        return float(clip.getnframes() / clip.getframerate())


def test_the_page_says_how_spoken_words_are_found(demo: AppTest):
    (said,) = [caption.value for caption in demo.caption if "Spoken words" in caption.value or "clips" in caption.value]
    assert "pip install 'realtape[hearing]'" in said


def test_without_a_control_plane_the_switches_are_absent_and_the_rest_is_the_same(
    demo: AppTest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("CLINIC_CONTROL_URL")
    live = AppTest.from_file(app_streamlit.__file__, default_timeout=30).run()
    assert [box.label for box in live.selectbox] == ["Tools"]
    assert "I have half past nine" in shown(say(live, ASK))


def test_without_a_key_the_page_says_so_and_stops(demo: AppTest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("XAI_API_KEY")
    ill = AppTest.from_file(app_streamlit.__file__, default_timeout=30).run()
    assert "XAI_API_KEY is not set" in ill.error[0].value
    assert len(ill.chat_input) == 0


def test_a_recording_after_an_upload_is_what_is_sent_and_once_sent_neither_comes_again(tmp_path: Path):
    newest = app_streamlit.newest
    assert newest(None, None, "") is None
    assert newest("upload", None, "") == "upload"
    assert newest("upload", "recording", "recorded") == "recording"
    assert newest("upload", "recording", "uploaded") == "upload"
    assert newest(None, "recording", "uploaded") == "recording"


def test_each_turn_leaves_a_record(demo: AppTest, tmp_path: Path):
    say(say(demo, ASK), CHOOSE)
    (kept,) = CallStore(tmp_path).calls()
    assert (kept.front, [turn["heard"] for turn in kept.turns]) == ("playground", [ASK, CHOOSE])
    assert "This call is recorded" in shown(demo)
