"""The playground, a Streamlit page: type, upload or record a turn; see transcript, tools, bookings, events and cost.

Run it with `realtape clinic ui`. It sends one turn at a time; the call page in `web/` has an open microphone.
"""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, TypeVar

import streamlit as st

from clinic_agent.app import control_plane
from clinic_agent.app.call_store import Frame, call_record
from clinic_agent.app.control_plane import NotChanged
from clinic_agent.app.held_calls import HeldCalls, NotContinued
from clinic_agent.app.settings import AppSettings, settings_from, today
from clinic_agent.call.connection import CallFailed
from clinic_agent.call.cost import Cost
from clinic_agent.call.pcm import SAMPLE_RATE_HZ, wav_file, wav_samples
from clinic_agent.call.report import CallReport
from clinic_agent.call.tool import Unavailable
from clinic_agent.call.tracing import export_spans
from clinic_agent.call.turn import Event, Turn
from clinic_agent.clinic.assistant import clinic_assistant
from clinic_agent.clinic.clinic import NAME, Clinic
from clinic_agent.clinic.safety import CallLock
from clinic_agent.clinic.schedule import Booking
from clinic_agent.clinic.schedule_sqlite import BadDatabase, SqliteSchedule
from clinic_agent.config import ConfigError, environment

CALENDAR_TOOLS = ("check_availability", "book_appointment", "reschedule_appointment", "cancel_appointment")
FAILING_TOOLS: dict[str, tuple[str, ...]] = {"none": (), "all tools of the calendar": CALENDAR_TOOLS} | {
    name: (name,) for name in CALENDAR_TOOLS
}
FAULTS = {
    "none": "faults: []",
    "HTTP 429, once": "faults: [{at: handshake, do: {status: 429, retry_after: 2}, times: 1}]",
    "HTTP 401": "faults: [{at: handshake, do: {status: 401}}]",
    "drop the third audio delta": "faults: [{at: response.output_audio.delta, nth: 3, do: drop}]",
    "close with 1011 in an answer": "faults: [{at: response.output_audio.delta, nth: 5, do: {close: 1011}, times: 1}]",
    "error instead of an answer": "faults: [{at: response.created, do: {error: {message: The model is overloaded.}}}]",
}

ICON = Path(__file__).parent / "web" / "icon.svg"
DEFAULT = "default"
File = TypeVar("File")
_AUDIO_FILE = re.compile(r"""(\baudio:\s*)(["']?)([^\s"',{}]+\.wav)\2""")


@dataclass
class DemoCall:
    """The conversation in this browser window."""

    conversation_id: str | None = None
    turns: list[Turn] = field(default_factory=list)
    spoken: list[bytes] = field(default_factory=list)
    """What the caller said in each turn, as sent: PCM16 mono 24 kHz; empty for a typed turn."""
    costs: list[Cost] = field(default_factory=list)
    events: list[tuple[str, float, str, str]] = field(default_factory=list)
    """Turn, ms since its beginning, direction and type."""
    failure: str | None = None
    lock: CallLock | None = None

    @property
    def usd(self) -> str:
        """The cost of all turns as text."""
        prices = [cost.exact_usd for cost in self.costs]
        known = [price for price in prices if price is not None]
        return f"${float(sum(known, Fraction())):.4f}" if len(known) == len(prices) else "not known"


class CallThread:
    """A thread with an event loop that holds the calls of all pages while the pages do not run."""

    def __init__(self, hold_s: float) -> None:
        self.held_calls = HeldCalls(hold_s)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="held calls", daemon=True)
        self._thread.start()

    def wait_for(self, work: Coroutine[Any, Any, CallReport]) -> CallReport:
        """Run the work in the thread and wait for its report."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def end(self) -> None:
        """Close all calls and end the thread."""
        asyncio.run_coroutine_threadsafe(self.held_calls.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@st.cache_resource(show_spinner=False)
def _call_thread(hold_s: float) -> CallThread:
    export_spans()
    return CallThread(hold_s)


def take_turn(settings: AppSettings, talk: DemoCall, words: str | bytes, failing: tuple[str, ...]) -> None:
    """Run one turn and add its result to `talk`; a failure is added as well."""
    began_s, number = perf_counter(), str(len(talk.turns) + 1)
    store, frames = settings.store(), list[Frame]()
    began, kept = store.now(), store.watcher(frames)

    def watch(way: Literal["sent", "received"], event: Event) -> None:
        talk.events.append((number, (perf_counter() - began_s) * 1000, way, str(event["type"])))
        kept(way, event)

    thread = _call_thread(settings.hold_s)
    talk.failure = None
    talk.lock = talk.lock or CallLock(settings.day)
    try:
        with SqliteSchedule(settings.database) as schedule:
            assistant = clinic_assistant(Clinic(settings.day, schedule), lock=talk.lock)
            assistant = replace(assistant, tools=assistant.tools.failing(failing))
            said = thread.held_calls.say(
                settings.config, [words], assistant, talk.conversation_id, priced_on=today(), watch=watch
            )
            report = thread.wait_for(said)
    except (CallFailed, NotContinued, Unavailable) as failed:
        talk.failure = str(failed)
        return
    talk.conversation_id = report.conversation_id
    talk.turns += report.turns
    talk.spoken += [words if isinstance(words, bytes) else b""] * len(report.turns)
    talk.costs.append(report.cost)
    talk.failure = report.failure
    if report.conversation_id is not None:
        record = call_record(report, "playground", began, store.now(), talk.lock)
        try:
            store.add(record, frames)
        except (OSError, sqlite3.Error) as error:
            talk.failure = f"the call could not be written to {store.path}: {error}"


def page() -> None:
    """The page. Streamlit runs it at each interaction."""
    # An icon by name would be loaded from another site.
    st.set_page_config(page_title=NAME, page_icon=str(ICON), layout="wide")
    settings = _settings()
    talk: DemoCall = st.session_state.setdefault("talk", DemoCall())
    failing = _sidebar(settings)
    st.title(NAME, anchor=False)
    st.caption(f"The telephone assistant of the clinic, one turn at a time. {settings.store().notice}")
    words = _words()
    left, right = st.columns([3, 2], gap="large")
    with left:
        if words is not None:
            with st.spinner("Waiting for the answer …"):
                take_turn(settings, talk, words, failing)
            if isinstance(words, bytes):
                st.rerun()  # with empty widgets, so that the page does not offer to send the same audio again
        _conversation(talk)
    with right:
        _state(settings, talk)


def _settings() -> AppSettings:
    try:
        settings = settings_from(environment())
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with SqliteSchedule(settings.database):
            return settings
    except (ConfigError, BadDatabase, Unavailable, OSError) as problem:
        st.error(str(problem), icon=":material/error:")
        st.stop()


def _sidebar(settings: AppSettings) -> tuple[str, ...]:
    """The sidebar; gives the names of the tools that are to fail."""
    with st.sidebar:
        st.subheader("Service", anchor=False)
        st.markdown(f"`{settings.config.shown_url}`  \n{settings.config.model}")
        st.caption(f"The clinic's date is {settings.day:%A}, {settings.day}.")
        if st.button("New call", icon=":material/call_end:", width="stretch"):
            ended: DemoCall = st.session_state.talk
            if ended.turns:
                st.session_state.setdefault("ended", []).append(ended)
            st.session_state.talk = DemoCall()
            _forget_audio()
            st.rerun()
        _ended(st.session_state.get("ended", []))
        st.subheader("Disable tools", anchor=False)
        chosen = st.selectbox("Tools", list(FAILING_TOOLS), key="broken", help="A disabled tool returns an error.")
        if settings.control_url is not None:
            st.caption(control_plane.hearing(settings.control_url))
            _switches(settings.control_url, settings.scenarios)
    return FAILING_TOOLS[str(chosen)]


def _ended(calls: list[DemoCall]) -> None:
    """The calls that were ended in this browser window, the last one first. All calls are in the records."""
    if not calls:
        return
    st.subheader("Ended calls", anchor=False)
    for call in reversed(calls):
        with st.expander(f"{call.conversation_id or 'no id'}", icon=":material/call_end:"):
            for turn in call.turns:
                st.text(f"Caller: {turn.heard or '…'}\nAssistant: {turn.said or '…'}")
            turns = f"{len(call.turns)} turns" if len(call.turns) > 1 else "1 turn"
            st.caption(f"{turns} · {call.usd}".replace("$", r"\$"))


def _switches(control_url: str, scenarios: Path | None) -> None:
    """Scenario and faults of the mock. They apply to new connections, which means from the next turn on."""
    st.subheader("Mock scenario and faults", anchor=False)
    for label, what, choices in (("Scenario", "scenario", _texts(scenarios)), ("Faults", "faults", FAULTS)):
        if choices:
            _switch(control_url, label, what, choices)


def _texts(folder: Path | None) -> dict[str, str]:
    """The scenarios of a folder as text, with absolute paths of audio files, since the mock gets only the text."""

    def absolute(audio: re.Match[str]) -> str:
        assert folder is not None
        return audio[1] + json.dumps(str((folder / audio[3]).resolve()))

    files = sorted(folder.glob("*.yaml")) if folder is not None else []
    return {path.stem: _AUDIO_FILE.sub(absolute, path.read_text(encoding="utf-8")) for path in files}


def _switch(control_url: str, label: str, what: str, choices: Mapping[str, str]) -> None:
    applied: dict[str, str] = st.session_state.setdefault("applied", {})
    name = str(st.selectbox(label, [DEFAULT, *choices] if what not in applied else list(choices), key=what))
    if applied.get(what, DEFAULT) == name:
        return
    try:
        control_plane.put(control_url, what, choices[name])
    except NotChanged as problem:
        st.error(f"The {what} did not change: {problem}", icon=":material/error:")
        return
    applied[what] = name
    st.toast(f"{label} from the next turn on: {name}")


def _words() -> str | bytes | None:
    """The caller's turn: typed text, or the audio that was sent; None: neither."""
    typed = st.chat_input("Type the caller's words", key="typed", max_chars=2000)
    # Widgets with new keys are empty: what was sent once is not sent again.
    recorded, uploaded = (f"{name}-{st.session_state.setdefault('sent', 0)}" for name in ("recorded", "uploaded"))
    with st.expander("Speak instead", icon=":material/mic:"):
        recording = st.audio_input(
            "Record", sample_rate=SAMPLE_RATE_HZ, key=recorded, on_change=_newest, args=(recorded,)
        )
        upload = st.file_uploader(
            "or upload a WAV file, 24 kHz mono 16-bit", type="wav", key=uploaded, on_change=_newest, args=(uploaded,)
        )
        file = newest(upload, recording, str(st.session_state.get("newest") or "").partition("-")[0])
        if file is not None:
            st.caption("This is sent:")
            st.audio(file.getvalue(), format="audio/wav")
        sent = st.button("Send", icon=":material/send:", key="send", disabled=file is None)
    if typed:
        return str(typed)
    if not sent or file is None:
        return None
    try:
        words = wav_samples(file.getvalue(), Path(file.name))
    except ValueError as problem:
        st.error(str(problem), icon=":material/error:")
        return None
    _forget_audio()
    return words


def newest(upload: File | None, recording: File | None, last: str) -> File | None:
    """The audio to send: that of the widget that changed last, `uploaded` or `recorded`, else the other one."""
    return (upload or recording) if last == "uploaded" else (recording or upload)


def _newest(key: str) -> None:
    """Remember whether the caller recorded or uploaded last."""
    st.session_state.newest = key


def _forget_audio() -> None:
    st.session_state.sent = st.session_state.get("sent", 0) + 1
    st.session_state.newest = None


def _conversation(talk: DemoCall) -> None:
    if not (talk.turns or talk.failure):
        st.info("For example: *I would like a dental cleaning on July sixth.*", icon=":material/lightbulb:")
    for turn, spoken in zip(talk.turns, talk.spoken, strict=True):
        with st.chat_message("user", avatar=":material/person:"):
            st.text(turn.heard or "…")  # not Markdown
            if spoken:
                st.audio(wav_file(spoken), format="audio/wav")
        with st.chat_message("assistant", avatar=":material/support_agent:"):
            for run in turn.tools:
                icon = "error" if "error" in run.result else "check_circle"
                with st.expander(f"{run.name} · {run.ms:.1f} ms", icon=f":material/{icon}:"):
                    st.json({"arguments": run.arguments, "result": run.result})
            st.text(turn.said or "…")
            if turn.audio:
                st.audio(wav_file(turn.audio), format="audio/wav")
            st.caption(_figures(turn))
    if talk.failure:
        st.error(talk.failure, icon=":material/call_end:")


def _figures(turn: Turn) -> str:
    first = "no audio" if turn.first_audio_ms is None else f"first audio after {turn.first_audio_ms:.0f} ms"
    return f"{first} · {float(turn.cost.output_s):.1f} s of audio · {turn.cost.shown}".replace("$", r"\$")


def _state(settings: AppSettings, talk: DemoCall) -> None:
    """The state after this turn: cost, bookings, events."""
    with st.container(horizontal=True, gap="small"):  # figures that do not fit go to the next line
        st.metric("Sent", f"{float(sum(each.input_s for each in talk.costs)):.1f} s", width="content")
        st.metric("Received", f"{float(sum(each.output_s for each in talk.costs)):.1f} s", width="content")
        st.metric("Cost so far", talk.usd, width="content")
    st.subheader("Bookings", anchor=False)
    with SqliteSchedule(settings.database) as schedule:
        rows = [_booking_row(booking) for booking in schedule.bookings()]
        transfers = schedule.transfers()
    if rows:
        st.dataframe(rows, hide_index=True)
    else:
        st.caption("None yet.")
    for reason in transfers:
        st.warning(f"Transferred to a person: {reason}", icon=":material/support_agent:")
    st.subheader("Events", anchor=False)
    if talk.events:
        st.dataframe(_event_rows(talk.events), hide_index=True, height=320)
    else:
        st.caption("The frames of the call in both directions appear here.")


def _booking_row(booking: Booking) -> dict[str, str]:
    return {
        "reference": booking.reference,
        "when": f"{booking.date:%a} {booking.date}, {booking.time:%H:%M}",
        "name": booking.name,
        "service": booking.service,
    }


def _event_rows(events: list[tuple[str, float, str, str]]) -> list[dict[str, str]]:
    """One row for each run of events of one type."""
    rows = []
    for (turn, way, type_), run in groupby(events, key=lambda each: (each[0], each[2], each[3])):
        times = [each[1] for each in run]
        many = f" × {len(times)}" if len(times) > 1 else ""
        arrow = "→" if way == "sent" else "←"
        rows.append({"turn": turn, "ms": f"{times[0]:.0f}", "": arrow, "event": f"{type_}{many}"})
    return rows


if __name__ == "__main__":
    page()
