"""Accounts files: teams, their keys and their limits, in YAML or JSON. Who is let in by them is accounts.py's affair.

No key comes up in an error: a wrong file is told by its places alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from mockserver.documents.reader import read_document, read_text
from mockserver.documents.validation import Section, check, refusal
from mockserver.protocol.limits import Limits
from mockserver.server.options import Account, AccountsFile


def load(path: str | os.PathLike[str]) -> AccountsFile:
    """Read a file. Raises DocumentError, a ValueError reading `accounts.yaml:3: teams[0].keys: …`."""
    return parse(read_text(Path(path)), str(path))


def parse(text: str, source: str = "<text>") -> AccountsFile:
    """The same from a text."""
    file = check(read_document(text, source), _File)
    accounts = tuple(Account(tuple(team.keys), team.name, team.blocked, _given(team.limits)) for team in file.teams)
    return AccountsFile(accounts, _given(file.limits))


class _Limits(Section):
    max_sessions: int | None = None
    requests_per_minute: int | None = None
    session_minutes: float | None = None
    idle_minutes: float | None = None
    resumption_minutes: float | None = None
    snapshot_ms: float | None = None
    secret_seconds: int | None = None
    secret_max_seconds: int | None = None

    @model_validator(mode="after")
    def _check(self) -> _Limits:
        try:
            _given(self)
        except ValueError as problem:
            raise refusal(str(problem), str(problem).split(" ", 1)[0]) from problem
        return self


class _Team(Section):
    keys: list[str]
    name: str = ""
    blocked: bool = False
    limits: _Limits = Field(default_factory=_Limits)

    @field_validator("keys", mode="before")
    @classmethod
    def _check_keys_unseen(cls, keys: Any) -> Any:
        """Before the types are checked, for what is said of a wrong type quotes it."""
        if not isinstance(keys, list) or not keys or not all(isinstance(key, str) and key.strip() for key in keys):
            raise refusal("expected a list of texts, none of them empty; put quotes around a key that looks otherwise")
        return keys


class _File(Section):
    teams: list[_Team] = Field(default_factory=list)
    limits: _Limits = Field(default_factory=_Limits)

    @model_validator(mode="after")
    def _check_owners(self) -> _File:
        owners: dict[str, int] = {}
        for number, team in enumerate(self.teams):
            for key in team.keys:
                if owners.setdefault(key, number) != number:
                    raise refusal(f"a key of teams[{number}] is one of teams[{owners[key]}] as well", "teams")
        return self


def _given(limits: _Limits) -> Limits:
    return Limits(**limits.model_dump())
