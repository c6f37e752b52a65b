"""The call of a failed test as files to look at: the tape, both sides in one WAV, and a page that plays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

from mockserver.protocol.peer import FaultNote
from mockserver.server.journal import SessionLog
from replay.cassette.file import Cassette
from replay.cassette.frames import Binary, Close, Frame, Reset, Text
from replay.cassette.json_values import text_at
from replay.cassette.recording import Recording, connections
from replay.cassette.records import Content, Header, Record, Request, Response
from replay.findings import Finding
from replay.formats import page, tape, wav
from replay.formats.tape import Tape
from replay.report.soundtrack import TooLong, soundtrack
from replay.secrets.named import Secrets
from replay.version import tool_version
from replay.viewer.of_recording import document, reader_of

TAPE, SOUND, PAGE = "call.tape", wav.CALL, "call.html"
_PATH = "/v1/realtime"
_UPGRADED = 101


@dataclass(frozen=True, slots=True)
class FailedCall:
    """A call that was written. `tape`, `page`: the files. `sound`: the WAV, or None for more audio than one can hold.
    `turn`: the turn at which the first of the findings was made, else the last one, counted from 1 as the page does;
    None without a turn.
    """

    tape: Path
    page: Path
    sound: Path | None
    turn: int | None


def taped(sessions: Sequence[SessionLog], url: str) -> Tape | None:
    """The sessions of a mock as one tape, oldest first; None without any. url: the address that clients used. The
    journal has no handshakes: the request is what the session makes probable."""
    if not sessions:
        return None
    opened = sessions[0].opened
    models = [text_at(event, "session", "model") for log in sessions for event in log.sent("session.created")[:1]]
    model = next((name for name in models if name), None)
    at = datetime.fromtimestamp(opened, timezone.utc).isoformat(timespec="seconds")
    header = Header("mock", url, sessions[0].dialect or "unknown", model, at, f"realtape {tool_version()}")
    asked = Request("GET", f"{_PATH}?model={quote(model)}" if model else _PATH, (("upgrade", "websocket"),))
    records: list[Record] = []
    for number, log in enumerate(sessions):
        since_us = max(0, round((log.opened - opened) * 1e6))
        records += [
            Record(since_us, number, "sent", asked),
            Record(since_us, number, "received", Response(_UPGRADED, ())),
            *(replace(each, at_us=each.at_us + since_us, connection=number) for each in _records(log)),
        ]
    records.sort(key=lambda each: each.at_us)  # of equals, the order stays
    return Tape(header, tuple(records), records[-1].at_us)


def write(call: Tape, folder: Path, title: str, secrets: Secrets, findings: Iterable[Finding]) -> FailedCall:
    """Write the files of a call into a folder, without secrets. Raises CannotRecord and OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / TAPE
    tape.write(call, path, secrets=secrets, overwrite=True)
    cassette = Cassette.open(path)
    header, recording = cassette.header, Recording(path.stem, *_made_by(cassette.header), connections(cassette))
    shown = folder / PAGE
    content = page.render(header, recording, title=title, tape=path.read_bytes())
    shown.write_text(content, encoding="utf-8")
    sound: Path | None = folder / SOUND
    try:
        wav.write_call(soundtrack(recording), folder / SOUND)
    except TooLong:
        sound = None
    return FailedCall(path, shown, sound, _turn(header, recording, {each.rule for each in findings}))


def remove(folder: Path) -> None:
    """Remove the files of an earlier run, if there are any."""
    with contextlib.suppress(OSError):
        for name in (TAPE, SOUND, PAGE):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def _made_by(header: Header) -> tuple[str, str]:
    return header.dialect, header.origin


def _turn(header: Header, recording: Recording, rules: set[str]) -> int | None:
    turn: int | None = None
    for item in document(header, recording, reader_of(recording), "")["items"]:
        turn = item.get("turn", turn)
        if item["kind"] == "finding" and item["rule"] in rules:
            break
    return turn


def _records(log: SessionLog) -> Iterator[Record]:
    over = False
    for entry in log.entries:
        content = _content(entry.data)
        if content is None:
            continue
        over = over or isinstance(content, Close | Reset)
        yield Record(max(0, round(entry.at * 1e6)), 0, "sent" if entry.way == "in" else "received", content)
    if log.closed_s is not None and not over:
        lost = log.close_code == 1006
        end: Frame = Reset() if lost else Close(log.close_code or 1005, log.close_reason)
        yield Record(max(0, round(log.closed_s * 1e6)), 0, "sent" if lost else "received", end)


def _content(data: str | Frame | bytes | FaultNote) -> Content | None:
    match data:
        case FaultNote():
            return None
        case str():
            return Text(data.encode(errors="surrogatepass"))
        case bytes():
            return Binary(data)
        case _:
            return data
