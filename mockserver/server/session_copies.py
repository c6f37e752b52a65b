"""The copy of a server's sessions in the store of a fleet: what is left of them when the server is killed.

A server adds to its copy a few times a second, beside its connections: a turn does not wait for it. Audio is cut as in
the short form of the journal. Another server reads the copy of one that is gone, and answers for it.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from fractions import Fraction
from itertools import islice
from typing import Any

import orjson
from typing_extensions import assert_never

from mockserver.billing.ledger import Ledger
from mockserver.protocol.peer import FaultNote
from mockserver.server.journal import Journal, JournalEntry, SessionLog, UsageTotals, Way, presentable
from mockserver.server.notices import RouteRefused
from mockserver.server.service import MockService
from mockserver.server.state import conversations
from mockserver.server.state.port import Copied, Copy, CopyUpdate
from mockserver.server.waiting import Wanted
from mockserver.session.ears import HeardTurn
from replay.billing.prices import PriceTable
from replay.cassette.frames import Binary, Close, Reset, Text
from replay.findings import Finding
from replay.outlets import clean

AGAIN_S = 1.0
"""Seconds between two copies of what a session used, and of its conversation, unless it ends or has another finding."""
ITEMS_A_SECOND = 50
"""Items of a conversation that are copied in a second: a longer one is copied less often."""
MOST_ENTRIES, RECORD = 256, 8
"""Entries of the journal in one update, about 3 ms of work, of which a record is worth several. The rest follows at
once, but others have their turn before."""
LONGEST = 64 << 10
"""Characters of a frame in the copy."""
LONGEST_AUDIO = 64
KILLED = "the server ended without closing the session: it was killed, or lost its host or the store"
"""The reason at a session that was open when its server ended."""
_SUMS = ("audio_in_s", "audio_out_s", "text_items", "telephony_s", "exact_usd")
_AUDIO = re.compile(r'"(?:audio|delta)"\s*:\s*"')
_RESPONSE, _MADE_UP = '{"type":"response.', (".delta", ".done")
"""The beginning of events of a response, and the ends of types whose text the server makes up: words, sound, items."""
_NAMES = (
    *(
        f'{end}"'
        for end in """key keys token secret secrets password passwords passwd passphrase passcode passwort kennwort
        wachtwoord contrasena contrase\xf1a senha passe word words authorization auth credential credentials cred creds
        pass pwd pswd pw bearer cookie cookies sid sessid sessionid dsn jwt signature sig sas hmac headers
        pem""".split()
    ),
    *(f"{begin}_" for begin in ("key", "keys", "secret", "secrets", "password", "auth")),
)
"""How the names of credentials end, quoted or with a suffix such as `_prod`; see replay/secrets/names.py."""
_AUDIO_TYPE = re.compile(r"audio\.delta|input_audio")


@dataclass(slots=True, eq=False)
class _Place:
    """How much of a session is copied. taken: entries. frames: those in them. used, spoken: the second from which its
    record and its conversation are copied again. findings: how many it had. stale: frames came since the record."""

    taken: int = 0
    frames: int = 0
    used: float = 0.0
    spoken: float = 0.0
    findings: int = 0
    stale: bool = False


class SessionCopier:
    """Tells what the copy of a server lacks."""

    def __init__(self, service: MockService) -> None:
        self._service = service
        self._begin()

    def _begin(self) -> None:
        self._sessions = self._service.journal.sessions
        self._places: dict[SessionLog, _Place] = {}
        """Of sessions that are not copied to their end."""
        self._ids: deque[str] = deque()
        """Of sessions in the copy, oldest first."""
        self._known = 0
        """Sessions so far, dropped ones included."""
        self._own_due = 0.0
        self._own: object = None
        """What decides the part of the copy that belongs to no session."""

    def update(self, now: float, *, anew: bool) -> CopyUpdate:
        """What the copy lacks at second `now` of a steady clock. `anew`: there is no copy."""
        journal = self._service.journal
        begins = anew or self._sessions is not journal.sessions
        if begins:
            self._begin()
        known = len(journal.sessions) + journal.dropped_sessions
        for log in [*islice(reversed(journal.sessions), known - self._known)][::-1]:
            self._places[log] = _Place()
            self._ids.append(log.id)
        self._known = known
        dropped = tuple(self._ids.popleft() for _ in range(len(self._ids) - len(journal.sessions)))
        records: dict[str, bytes] = {}
        rows: list[object] = []
        kept: list[Copied] = []
        left = MOST_ENTRIES
        for log, place in list(self._places.items()):
            came = log.forgotten + log.kept_count - place.taken
            if came and left:
                frames = max(place.frames, log.dropped)
                taken, new = log.since(place.taken, left)
                rows.append([log.id, frames, [_row(each) for each in new]])
                left = max(0, left - (taken - place.taken))
                place.taken, place.frames = taken, frames + len(new)
            over = log.closed_s is not None and place.taken == log.forgotten + log.kept_count
            found = 0 if log.watch is None else len(log.watch.findings)
            place.stale |= came > 0
            if left and (over or found != place.findings or (place.stale and now >= place.used)):
                left = max(0, left - RECORD)
                place.used, place.findings, place.stale = now + AGAIN_S, found, False
                records[log.id] = orjson.dumps(self._record(log))
                if not over and now >= place.spoken:
                    kept.extend(self._conversation(log, place, now))
                if over:
                    del self._places[log]
        if now >= self._own_due:
            self._own_due, before = now + AGAIN_S, self._own
            service, refused = self._service, self._service.refusals
            unused = service.unused()
            self._own = journal.dropped_sessions, [*refused][-1:], len(service.watcher.findings), unused
            if self._own != before:
                records[""] = orjson.dumps(self._of_server(unused))
        return CopyUpdate(begins, records, dropped, orjson.dumps(rows) if rows else b"", tuple(kept), done=left > 0)

    def _record(self, log: SessionLog) -> dict[str, object]:
        total = UsageTotals()
        total.count(log.ledger)
        return {
            "session": log.summary(),
            "ledger": log.ledger.as_json(),
            "total": total_as_json(total),
            "findings": [asdict(each) for each in log.findings],
            "seen_s": round(self._service.clock.unix() - log.opened, 6),
        }

    def _of_server(self, unused: list[str]) -> dict[str, object]:
        service = self._service
        return {
            "total": total_as_json(service.journal.gone),
            "findings": [asdict(each) for each in service.watcher.findings if not each.session],
            "refusals": refusals(service),
            "unused": unused,
        }

    def _conversation(self, log: SessionLog, place: _Place, now: float) -> Iterator[Copied]:
        """The conversation of an open session, if it can be resumed."""
        service = self._service
        known = service.open_sessions.get(log.id)
        if known is None or known.session is None or not known.session.settings.resumable:
            return
        place.spoken = now + max(AGAIN_S, len(known.session.conversation) / ITEMS_A_SECOND)
        if (data := conversations.packed(known.session.memory)) is not None:
            kept_s = service.limits(known.team, log.dialect).resumption_s
            yield Copied(known.team, log.conversation_id, data, log.opened, service.clock.unix(), kept_s)


def total_as_json(total: UsageTotals) -> dict[str, object]:
    """Sums without any rounding."""
    sums = {name: str(getattr(total, name)) for name in _SUMS}
    return {"sessions": total.sessions, "hosted_calls": dict(total.hosted_calls), **sums}


def total_of(totals: Iterable[Mapping[str, Any]]) -> UsageTotals:
    """The sum of such sums."""
    total = UsageTotals()
    for each in totals:
        total.sessions += each["sessions"]
        total.hosted_calls.update(each["hosted_calls"])
        for name in _SUMS:
            setattr(total, name, getattr(total, name) + Fraction(each[name]))
    total.text_items = int(total.text_items)
    return total


def refusals(service: MockService) -> list[dict[str, object]]:
    """What was refused, as the control plane shows it."""
    return [
        {
            "at": unix,
            "method": notice.method if isinstance(notice, RouteRefused) else "GET",
            "path": clean(notice.path),
            "status": notice.status,
            "error": "" if isinstance(notice, RouteRefused) else clean(notice.error),
            "cause": clean(notice.cause),
        }
        for unix, notice in service.refusals
    ]


def answers_of(copy: Copy, question: Mapping[str, Any], *, current: bool) -> object:
    """The answer of a server that is gone, from its copy; None to what only a running server answers. `current`: the
    server played what this one plays."""
    own: dict[str, Any] = copy.records.get("", {"total": None, "findings": [], "refusals": [], "unused": []})
    sessions = [(id, each) for id, each in copy.records.items() if id]
    known = dict(sorted(sessions, key=lambda each: float(each[1]["session"]["opened"])))
    one = question.get("session")
    record = known.get(one) if one is not None else None
    match question["what"]:
        case "sessions":
            return [_ended(each) for each in known.values()]
        case "session":
            return None if record is None else {**_ended(record), "ledger": record["ledger"]}
        case "journal" if one is not None:
            return None if record is None else _log(copy, one, record).shown(question["whole"], question["since"])
        case "journal":
            logs = [_log(copy, id, each) for id, each in known.items()]
            return [{"session": log.id, **row} for log in logs for row in log.shown(question["whole"])]
        case "seen":
            return numbered(copy.server, [_log(copy, id, each) for id, each in known.items()], question["wanted"])
        case "frame":
            return None if record is None else frame_of(_log(copy, question["session"], record), question)
        case "came":
            return types_of([_log(copy, id, each) for id, each in known.items()], question["only"])
        case "ledger":
            return None if record is None else record["ledger"]
        case "total":
            totals = [each["total"] for each in (own, *known.values()) if each["total"] is not None]
            return total_as_json(total_of(totals))
        case "findings" if one is not None:
            return None if record is None else [each.as_json() for each in _findings(record)]
        case "findings":
            return [each.as_json() for record in (own, *known.values()) for each in _findings(record)]
        case "refusals":
            return own["refusals"]
        case "unused" if current:
            return own["unused"]
        case _:
            return None


def frame_of(log: SessionLog, question: Mapping[str, Any]) -> dict[str, Any] | None:
    """One of the frames of a session that `numbered` numbers; None if it is no longer kept."""
    kind, left = Wanted(*question["wanted"]), question["number"]
    for entry in log.entries:
        left -= kind.wants(log.id, entry.way, entry.type)
        if not left:
            return {"session": log.id, **entry.shown(question["whole"])}
    return None


def types_of(logs: Iterable[SessionLog], only: str | None) -> dict[str, int]:
    """How many frames of each type are kept, of one session or of all."""
    return Counter(entry.type or "text" for each in logs if only in (None, each.id) for entry in each.entries)


def numbered(server: str, logs: Iterable[SessionLog], wanted: tuple[str, str | None, Way | None]) -> dict[str, object]:
    """The frames of a type and way on one server: the Unix second, the session, and the number among its own, from
    1."""
    kind, frames = Wanted(*wanted), []
    for log in logs:
        found = [entry for entry in log.entries if kind.wants(log.id, entry.way, entry.type)]
        frames += [[log.opened + entry.at, log.id, number] for number, entry in enumerate(found, 1)]
    return {"server": server, "frames": frames}


def _ended(record: Mapping[str, Any]) -> dict[str, Any]:
    """The session of a record, which is over since its server is gone."""
    session: dict[str, Any] = record["session"]
    if not session["open"]:
        return session
    over = {"open": False, "closed_s": record["seen_s"], "close_code": 1006, "close_reason": KILLED}
    return {**session, **over}


def _findings(record: Mapping[str, Any]) -> list[Finding]:
    return [Finding(**each) for each in record["findings"]]


class _CopiedLog(SessionLog):
    """A session that another server served."""

    copied: list[Finding]

    @property
    def findings(self) -> list[Finding]:
        return self.copied


def _log(copy: Copy, id: str, record: Mapping[str, Any]) -> SessionLog:
    session = record["session"]
    nothing = Ledger(PriceTable("", date.min, ""), "")
    log = _CopiedLog(Journal(), id, session["conversation_id"], session["opened"], nothing)
    log.copied, log.heard, first = _findings(record), [HeardTurn(**each) for each in session["heard"]], None
    for session_id, frames, rows in copy.rows:
        if session_id == id:
            first = frames if first is None else first
            log.recall([_entry(*row) for row in rows], first)
    return log


def _row(entry: JournalEntry) -> list[object]:
    """An entry as JSON has it: direction and kind, second, and content."""
    way, at = "<" if entry.way == "in" else ">", round(entry.at, 6)
    match entry.data:
        case str() as text:
            return [way + "t", at, _without_credentials(_cut(text), entry.way)]
        case Text(data):
            return [way + "T", at, _without_credentials(_cut(data.decode(errors="replace")), entry.way)]
        case Binary(data):
            return [way + "B", at, len(data)]
        case bytes() as data:
            return [way + "b", at, len(data)]
        case Close(code, reason):
            return [way + "c", at, [code, clean(reason)]]
        case Reset():
            return [way + "r", at, None]
        case FaultNote(fault, event):
            return [way + "f", at, [fault, event]]
        case _:
            assert_never(entry.data)


def _cut(text: str) -> str:
    if len(text) > 4 * LONGEST_AUDIO and _AUDIO_TYPE.search(text, 0, 4 * LONGEST_AUDIO):
        if (audio := _AUDIO.search(text)) is not None:
            end = text.find('"', audio.end())
            if (length := end - audio.end()) > LONGEST_AUDIO:
                text = f"{text[: audio.end() + LONGEST_AUDIO]}… ({length} characters){text[end:]}"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters, too long to be copied)"


def _without_credentials(text: str, way: Way) -> str:
    """The text as the journal shows it, if a name in it may be that of a credential. In what the server makes up,
    nothing is looked for."""
    if way == "out" and text.startswith(_RESPONSE):
        if text[len(_RESPONSE) : 64].partition('"')[0].endswith(_MADE_UP):
            return text
    names = text.lower()
    if not any(map(names.__contains__, _NAMES)) and names.count("token_") == names.count("token_details"):
        return clean(text)
    try:
        return orjson.dumps(presentable(orjson.loads(text))).decode()
    except orjson.JSONDecodeError:
        return clean(text)


def _entry(kind: str, at: float, data: Any) -> JournalEntry:
    return JournalEntry(at, "in" if kind[0] == "<" else "out", _data(kind[1], data))


def _data(kind: str, data: Any) -> str | Text | Binary | bytes | Close | Reset | FaultNote:
    match kind:
        case "t":
            return str(data)
        case "T":
            return Text(data.encode())
        case "B":
            return Binary(bytes(data))
        case "b":
            return bytes(data)
        case "c":
            return Close(*data)
        case "r":
            return Reset()
        case _:
            return FaultNote(*data)
