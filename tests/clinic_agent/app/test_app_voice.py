"""POST /appointments/voice and its stream, on the mock over loopback."""

from __future__ import annotations

import base64
import io
import json
import os
import wave
from pathlib import Path
from typing import Any

import httpx2
import pytest

from clinic_agent.app.routes import create_app
from clinic_agent.app.settings import AppSettings
from clinic_agent.app.state import MAX_CALLS
from clinic_agent.app.voice import VoiceRequest, schema
from clinic_agent.call.pcm import samples, wav_file
from clinic_agent.clinic.schedule import MemorySchedule
from clinic_agent.clinic.schedule_sqlite import SqliteSchedule
from tests.clinic_agent.app_server import ASK, CHOOSE, SLOTS, VOICES, asking, clinic_server

CLIP = (VOICES / "booking-1.wav").read_bytes()


def tools_of(answer: httpx2.Response) -> list[tuple[str, dict[str, Any]]]:
    return [(call["name"], call["result"]) for call in answer.json()["tool_calls"]]


def events_of(stream: httpx2.Response) -> list[tuple[str, dict[str, Any]]]:
    blocks = [block.split("\n") for block in stream.text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


async def test_a_conversation_goes_on_by_its_id_and_its_booking_outlives_the_server(tmp_path: Path):
    with SqliteSchedule(tmp_path / "clinic.sqlite3") as schedule:
        async with clinic_server(tmp_path, schedule=schedule) as app_server:
            first = (await app_server.say(text=ASK)).json()
            second = (await app_server.say(text=CHOOSE, conversation_id=first["conversation_id"])).json()
    assert second["conversation_id"] == first["conversation_id"]
    assert second["transcript"].endswith("zero, nine, three, zero. See you then!")
    with SqliteSchedule(tmp_path / "clinic.sqlite3") as reopened:
        assert [(booking.reference, booking.name) for booking in reopened.bookings()] == [
            ("DC-0706-0930", "Maria Lopez")
        ]


@pytest.mark.parametrize(
    "request_",
    [
        {"json": {"audio_path": "booking-1.wav"}},
        {"files": {"audio": ("mine.wav", CLIP, "audio/wav")}},
        {"files": {"whatever": ("mine", CLIP)}},
        {"files": {"audio_path": (None, "booking-1.wav")}},
        {"data": {"audio_path": "booking-1.wav"}},
        {"content": CLIP, "headers": {"Content-Type": "audio/wav"}},
    ],
    ids=["path", "form", "form, other names", "form, path", "plain form", "body"],
)
async def test_a_recording_may_come_by_path_as_a_form_or_as_the_body(request_: dict[str, Any], tmp_path: Path):
    async with clinic_server(tmp_path, audio=VOICES) as app_server:
        answer = await app_server.post("/appointments/voice", **request_)
    assert tools_of(answer) == [("check_availability", SLOTS)]
    assert answer.json()["audio_sent_seconds"] == pytest.approx((len(CLIP) - 44) / 48_000, abs=1e-4)


async def test_a_request_that_is_repeated_because_its_answer_was_lost_does_nothing_twice(tmp_path: Path):
    async with clinic_server(tmp_path) as app_server:
        known = (await app_server.say(text=ASK)).json()["conversation_id"]
        first, again = [await app_server.say(text="A real person, please.", conversation_id=known) for _ in range(2)]
        assert tools_of(first) == tools_of(again) == [("transfer_to_human", {"transferred_to": "the nurse on duty"})]
        assert len(app_server.schedule.transfers()) == 1


async def test_the_turns_of_a_form_are_spoken_and_typed_in_its_order(tmp_path: Path):
    async with clinic_server(tmp_path) as app_server:
        answer = await app_server.post("/appointments/voice", files=[("a", ("1.wav", CLIP)), ("text", (None, CHOOSE))])
    assert [turn["heard"] for turn in answer.json()["turns"]] == [ASK, CHOOSE]


async def test_the_answer_holds_its_sound_its_times_and_a_cost_that_is_the_mock_s_own(tmp_path: Path):
    async with clinic_server(tmp_path) as app_server:
        shown = (await app_server.say(turns=[{"text": ASK}, {"text": CHOOSE}])).json()
        charged = app_server.mock.ledger.total_usd
    assert shown["estimated_cost_usd"] == float(charged)
    with wave.open(io.BytesIO(base64.b64decode(shown["audio_wav_base64"]))) as sound:
        assert sound.getframerate() == 24_000
        assert sound.getnframes() / 24_000 == pytest.approx(shown["audio_received_seconds"], abs=1e-4)
    assert shown["audio_seconds"] == round(sound.getnframes() / 24_000, 2)  # nothing was spoken to the service
    assert 0 < shown["first_audio_seconds"] < shown["latency_seconds"]
    assert "recorded" in shown["recording_notice"]


async def test_the_answer_has_numbers_and_text_under_the_names_that_clients_use(tmp_path: Path):
    async with clinic_server(tmp_path, audio=VOICES) as app_server:
        shown = (await app_server.say(audio_path="booking-1.wav", voice="ara", telephony=False)).json()
        assert app_server.mock.findings == []
    for name, digits in {"latency_seconds": 3, "estimated_cost_usd": 6, "audio_seconds": 2}.items():
        assert isinstance(shown[name], float)
        assert shown[name] == round(shown[name], digits) > 0
    assert shown["transcript"] == "\n".join(turn["said"] for turn in shown["turns"])
    assert base64.b64decode(shown["audio_wav_base64"]).startswith(b"RIFF")
    assert [call["name"] for call in shown["tool_calls"]] == ["check_availability"]
    assert isinstance(shown["conversation_id"], str)


async def test_a_call_over_a_number_of_the_service_costs_a_cent_more_a_minute(tmp_path: Path):
    async with clinic_server(tmp_path) as app_server:
        first = (await app_server.say(text=ASK, telephony=True)).json()
        usual = (await app_server.say(text=CHOOSE, conversation_id=first["conversation_id"])).json()
    for answer, per_minute in ((first, 0.06), (usual, 0.05)):
        audio = answer["audio_received_seconds"] / 60 * per_minute
        assert answer["estimated_cost_usd"] == pytest.approx(audio + 0.004, abs=1e-6)


async def test_a_request_chooses_the_voice_and_may_change_it_in_the_conversation(tmp_path: Path):
    async with clinic_server(tmp_path) as app_server:
        first = (await app_server.say(text=ASK, voice="eve")).json()
        await app_server.say(text=CHOOSE, conversation_id=first["conversation_id"])
        (session,) = app_server.mock.sessions
        assert [update["session"]["voice"] for update in session.received("session.update")] == ["eve", "ara"]


@pytest.mark.parametrize(
    ("requested", "fails"), [(True, True), ("check_availability", True), ("book_appointment", False)]
)
async def test_a_tool_can_be_out_of_order_and_the_call_goes_on(requested: bool | str, fails: bool, tmp_path: Path):
    async with clinic_server(tmp_path) as app_server:
        answer = await app_server.say(text=ASK, simulate_tool_failure=requested)
    ((_, result),) = tools_of(answer)
    assert ("error" in result) is fails
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("request_", "status", "advice"),
    [
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "not JSON"),
        ({"content": b"hello"}, 415, "send application/json, multipart/form-data or audio/wav"),
        ({"json": {}}, 422, "give one of text, audio_path and turns"),
        ({"json": {"text": "a", "audio_path": "b"}}, 422, "give one of"),
        ({"json": {"text": "  "}}, 422, "text: String should have at least 1 character"),
        ({"json": {"text": "x" * 2001}}, 422, "text: String should have at most 2000"),
        ({"json": {"txt": "hello"}}, 422, "txt: Extra inputs are not permitted"),
        ({"json": {"turns": [{}]}}, 422, "turns.0: give either text or audio_path"),
        ({"json": {"turns": [{"text": "a"}] * 11}}, 422, "turns: List should have at most 10"),
        ({"json": {"text": "a", "conversation_id": "a&model=b"}}, 422, "conversation_id: String should match"),
        ({"json": {"text": "a", "simulate_tool_failure": "dig"}}, 422, "give true, false or one of check_availability"),
        ({"json": {"audio_path": "../scenarios/clinic.yaml"}}, 422, "without leading / and without .."),
        ({"json": {"audio_path": "/etc/passwd"}}, 422, "without leading / and without .."),
        ({"json": {"audio_path": "a\0b"}}, 422, "name a file inside the folder"),
        ({"json": {"audio_path": "a" * 400}}, 400, "cannot be a file"),
        ({"json": {"audio_path": "ä" * 200}}, 400, "cannot be a file"),
        ({"json": {"audio_path": "nobody.wav"}}, 404, "there is no file 'nobody.wav'"),
        ({"files": {"a": ("a.wav", b"no sound")}}, 422, "a.wav: not a PCM WAV file"),
        ({"files": {"a": ("a.wav", wav_file(b""))}}, 422, "a.wav: contains no audio"),
        ({"files": {"text": (None, " ")}}, 422, "text: String should have at least 1"),
        ({"files": {"conversation_id": (None, "c")}}, 422, "send 1 to 10 turns"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_what_to_do(
    request_: dict[str, Any], status: int, advice: str, tmp_path: Path
):
    async with clinic_server(tmp_path, audio=VOICES) as app_server:
        answer = await app_server.post("/appointments/voice", **request_)
        assert app_server.mock.sessions == []
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert advice in answer.json()["detail"]


async def test_a_recording_at_another_rate_is_answered_with_the_command_that_converts_it(tmp_path: Path):
    file = io.BytesIO()
    with wave.open(file, "wb") as clip:
        clip.setparams((2, 2, 44_100, 0, "NONE", ""))
        clip.writeframes(bytes(400))
    async with clinic_server(tmp_path) as app_server:
        answer = await app_server.post("/appointments/voice", files={"a": ("../my turn.wav", file.getvalue())})
    assert answer.json()["detail"].startswith("my turn.wav: 44100 Hz, 2 channel(s), 16 bit; convert it with: ffmpeg")


@pytest.mark.skipif(os.name == "nt", reason="making links needs a privilege there")
async def test_a_link_out_of_the_folder_leads_nowhere(tmp_path: Path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "link.wav").symlink_to(VOICES / "booking-1.wav")
    async with clinic_server(tmp_path, audio=tmp_path / "open") as app_server:
        answer = await app_server.say(audio_path="link.wav")
    assert answer.status_code == 422


async def test_without_a_folder_no_path_may_be_named(tmp_path: Path):
    async with clinic_server(tmp_path) as app_server:
        answer = await app_server.say(audio_path="booking-1.wav")
    assert "set CLINIC_AUDIO, or upload the file" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("key", "mock", "status", "upstream"),
    [
        ("not-the-key", {"api_keys": ["right"], "dialect": "xai@2026-07"}, 502, 401),
        ("not-the-key", {"api_keys": ["right"], "dialect": "xai@2026-09"}, 502, 400),
        ("poor", {"blocked_keys": ["poor"]}, 502, 403),
        ("eager", {"requests_per_minute": 1}, 429, 429),
    ],
)
@pytest.mark.parametrize("path", ["/appointments/voice", "/appointments/voice/stream", "/session"])
async def test_a_refusal_of_the_service_says_whose_mistake_it_is_and_tells_no_key(
    key: str,
    mock: dict[str, Any],
    status: int,
    upstream: int,
    path: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    async with clinic_server(tmp_path, key=key, mock=mock) as app_server:
        if upstream == 429:
            await app_server.say(text=ASK)
        answer = await app_server.post(path, json={"text": ASK})
    assert (answer.status_code, answer.json()["upstream_status"]) == (status, upstream)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert ("Retry-After" in answer.headers) is (upstream == 429)
    assert key not in answer.text + caplog.text


@pytest.mark.parametrize("path", ["/appointments/voice", "/session"])
async def test_a_service_that_cannot_be_reached_is_named(path: str, tmp_path: Path):
    async with clinic_server(tmp_path) as app_server:
        gone = app_server.state.settings.config
    async with asking(create_app(AppSettings(gone, tmp_path), MemorySchedule())) as http:
        answer = await http.post(path, json={"text": ASK})
    assert answer.status_code == 502
    assert "reach" in answer.json()["detail"]


async def test_a_call_that_breaks_off_keeps_what_was_said_until_then(serving: Any, tmp_path: Path):
    async def script(side: Any) -> None:
        await side.greet()
        await side.until("response.create")
        await side.speaks("Let me check.")
        await side.done("failed")
        await side.hung_up()

    async with serving(script) as config, asking(create_app(AppSettings(config, tmp_path), MemorySchedule())) as http:
        answer = await http.post("/appointments/voice", json={"text": ASK})
    assert answer.status_code == 502
    assert [(turn["heard"], turn["said"]) for turn in answer.json()["turns"]] == [(ASK, "Let me check.")]
    assert "call again" in answer.json()["detail"]


async def test_a_stream_tells_words_sound_and_tools_as_they_come_and_ends_with_the_whole(tmp_path: Path):
    async with clinic_server(tmp_path, audio=VOICES) as app_server:
        stream = await app_server.post("/appointments/voice/stream", json={"audio_path": "booking-1.wav"})
    assert stream.headers["Content-Type"].startswith("text/event-stream")
    events = events_of(stream)
    names = [name for name, _ in events]
    assert names.index("tool_call") < names.index("tool_result") < len(names) - 1 - names[::-1].index("audio")
    assert names[-1] == "done"
    done = events[-1][1]
    sound = b"".join(base64.b64decode(data["pcm16_base64"]) for name, data in events if name == "audio")
    assert samples(sound) / 24_000 == pytest.approx(done["audio_received_seconds"], abs=1e-4)
    words = "".join(data["delta"] for name, data in events if name == "transcript" and data["role"] == "assistant")
    assert words.replace(" ", "") == done["transcript"].replace(" ", "")
    assert {"role": "caller", "text": ASK, "final": True} in [data for name, data in events if name == "transcript"]


async def test_a_stream_that_breaks_off_ends_with_the_problem(serving: Any, tmp_path: Path):
    async def script(side: Any) -> None:
        await side.greet()
        await side.until("response.create")
        await side.speaks("Let me check.")
        await side.done("failed")
        await side.hung_up()

    async with serving(script) as config, asking(create_app(AppSettings(config, tmp_path), MemorySchedule())) as http:
        events = events_of(await http.post("/appointments/voice/stream", json={"text": ASK}))
    assert [name for name, _ in events] == ["audio", "transcript", "problem"]
    assert events[-1][1]["transcript"] == "Let me check."


async def test_when_all_lines_are_in_use_one_is_told_when_to_come_back(tmp_path: Path):
    async with clinic_server(tmp_path) as app_server:
        app_server.state.in_progress = MAX_CALLS
        answers = [await app_server.post(f"/appointments/voice{end}", json={"text": ASK}) for end in ("", "/stream")]
    assert [(answer.status_code, answer.headers["Retry-After"]) for answer in answers] == [(429, "5")] * 2


def test_every_example_of_the_description_is_a_request():
    assert [VoiceRequest.model_validate(example).caller_turns() for example in schema()["examples"]]
