"""The cassettes of tests: where they are, what a record mode does with them, and how they grow.

The record modes have the names and meanings of pytest-recording. What is recorded is a connection, with all its turns.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from replay.cassette.file import SUFFIX, BadCassette, CannotRecord, Cassette
from replay.cassette.records import Header, Origin, Record, Request, Response
from replay.cassette.scrub import Scrubber
from replay.formats import tape
from replay.formats.tape import Tape
from replay.secrets.named import Secrets

RecordMode = Literal["none", "once", "new_episodes", "all", "rewrite"]
Plan = Literal["play", "extend", "add", "record", "refuse"]
"""Play the tape; play it and add what is not on it; add to it and play nothing; record a new one; refuse the test."""
FOLDER = "cassettes"
"""The folder beside a test file that its tapes are in, in a folder of the file's name."""
_PLANS: dict[RecordMode, tuple[Plan, Plan]] = {
    # by mode: with a tape, without one
    "none": ("play", "refuse"),
    "once": ("play", "record"),
    "new_episodes": ("extend", "record"),
    "all": ("add", "record"),
    "rewrite": ("record", "record"),
}
_LONGEST = 100
"""Characters of a file name without its suffix: file systems take 255 bytes."""
_UNSAFE = re.compile(r"[^\w.\[\]+=,@-]", re.ASCII)
_ORIGINS: tuple[Origin, ...] = ("hand", "mock", "live")
_DAY_S = 24 * 3600
_UPGRADED = 101


class SecretInName(ValueError):
    """A test's name holds a secret, and would be the name of a file. The message does not quote it."""


def plan(mode: RecordMode, exists: bool) -> Plan:
    """What a mode does about a test, by whether its tape exists."""
    return _PLANS[mode][not exists]


def file_name(test: str, cls: str | None, secrets: Secrets) -> str:
    """A test's name as the name of a file without suffix; `CLASS.TEST` for a method.

    test: its name with the id of its parameters. Characters that a file system may refuse become `-`. Such a name, one
    that is too long, and one whose parameters have capitals, end with a hash: no two tests have the same name, on file
    systems that ignore case neither. Raises SecretInName.
    """
    name = test if cls is None else f"{cls}.{test}"
    if Scrubber(secrets).text(name) != name:
        raise SecretInName(
            "the test's name holds a secret, which would name its tape; give the parameters ids: pytest.param(…, id=…)"
        )
    safe = _UNSAFE.sub("-", name)
    parameters = safe.partition("[")[2]
    if safe != name or len(safe) > _LONGEST or parameters != parameters.lower():
        return f"{safe[:_LONGEST]}-{digest(name)}"
    return safe


def digest(name: str) -> str:
    """Eight digits for a name."""
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]


def default_path(module: Path, name: str) -> Path:
    """The tape of a test: `cassettes/MODULE/NAME.tape` beside its module. name: see `file_name`."""
    return module.parent / FOLDER / module.stem / f"{name}{SUFFIX}"


def command(mode: RecordMode, nodeid: str, key: str) -> str:
    """The command that records a test's tape. key: the environment variable of the service's key, if it is not set."""
    return f"{f'{key}=... ' if key else ''}pytest --realtime-record={mode} {shlex.quote(nodeid)}"


def calls(path: Path, *, verbatim: bool) -> int:
    """WebSocket connections that a replay of a tape has: all of them verbatim, else those that the service accepted.
    Raises BadCassette and OSError."""
    called: set[int] = set()
    refused: set[int] = set()
    with Cassette.open(path) as cassette:
        for record in cassette:
            match record.content:
                case Request(method="GET"):
                    called.add(record.connection)
                case Response(status) if status != _UPGRADED:
                    refused.add(record.connection)
    return len(called if verbatim else called - refused)


def days_old(path: Path, now: datetime) -> int:
    """Whole days since a tape was recorded. Raises BadCassette, OSError, and ValueError for a header without a date."""
    with Cassette.so_far(path) as cassette:
        recorded = datetime.fromisoformat(cassette.header.recorded_at)
    if recorded.tzinfo is None:
        recorded = recorded.replace(tzinfo=timezone.utc)
    return int((now - recorded).total_seconds() // _DAY_S)


def save(recorded: Tape, path: Path, secrets: Secrets, *, after: bool) -> None:
    """Write a tape beside its place, without secrets, and swap it in when it is complete.

    after: keep what the tape at that place has, and append to it. Otherwise only what may differ from it is kept, the
    `ignore` of its header. Raises BadCassette, CannotRecord and OSError. The old tape then stays as it was.
    """
    recorded = _joined(path, recorded) if after else _with_ignored(path, recorded)
    path.parent.mkdir(parents=True, exist_ok=True)
    tape.write(recorded, path, secrets=secrets, overwrite=True)


def _with_ignored(path: Path, new: Tape) -> Tape:
    try:
        with Cassette.so_far(path) as old:
            return replace(new, header=replace(new.header, ignore=old.header.ignore))
    except (BadCassette, OSError):  # none, or none that can be read
        return new


def growable(path: Path) -> tuple[Header, list[Record], int]:
    """Header and records of a tape to which connections can be added, and its end in µs. Raises BadCassette,
    CannotRecord and OSError for one that cannot grow: damaged, cut short, or without audio."""
    with Cassette.open(path) as old:
        header, records, end_us = old.header, list(old), old.last_us
    if header.audio == "outline":
        raise CannotRecord(f"{path} was recorded without audio, so connections cannot be added")
    return header, records, end_us


def _joined(path: Path, new: Tape) -> Tape:
    """What the file has, and then what is new, with the times and numbers of its connections after those."""
    header, records, end_us = growable(path)
    first = 1 + max((record.connection for record in records), default=-1)
    added = (replace(each, at_us=each.at_us + end_us, connection=each.connection + first) for each in new.records)
    origin = min(header.origin, new.header.origin, key=_ORIGINS.index)
    return Tape(replace(header, origin=origin), (*records, *added), end_us + new.end_us)


def orphans(folders: Iterable[Path], named: Iterable[Path], skipped: Callable[[Path], bool]) -> list[Path]:
    """The tapes `cassettes/MODULE/*.tape` in and below these folders that no test names, in order. skipped: whether a
    folder is left out, with all below it."""
    kept = {path.resolve() for path in named}
    found: set[Path] = set()
    for folder in folders:
        for top, below, _ in os.walk(folder.resolve()):
            below[:] = [name for name in below if not skipped(Path(top, name))]
            if FOLDER in below:
                found.update(Path(top, FOLDER).glob(f"*/*{SUFFIX}"))
    return sorted(path for path in found if path not in kept and not kept.intersection(path.parents))
