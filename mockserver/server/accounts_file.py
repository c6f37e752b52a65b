"""Accounts files: teams, their keys and their limits, in YAML or JSON.

An error names places in the file, and no key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_type_hints

from pydantic import Field, GetCoreSchemaHandler, create_model, field_validator, model_validator
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function
from typing_extensions import Self

from mockserver.documents.reader import read_document, read_text
from mockserver.documents.validation import Section, check, refusal
from mockserver.protocol.limits import Limits
from mockserver.server.options import Account, AccountsFile


def load(path: str | os.PathLike[str]) -> AccountsFile:
    """Read a file. Raises DocumentError, a ValueError reading `accounts.yaml:3: teams[0].keys: …`."""
    return parse(read_text(Path(path)), str(path))


def parse(text: str, source: str = "<text>") -> AccountsFile:
    """Read a text. `source` names it in errors. Raises DocumentError."""
    file = check(read_document(text, source), AccountsSection, quotes=False)
    accounts = tuple(Account(tuple(team.keys), team.name, team.blocked, team.limits) for team in file.teams)
    return AccountsFile(accounts, file.limits)


_LimitsSection = create_model(  # type: ignore[call-overload]
    "_LimitsSection", __base__=Section, **{name: (type_, None) for name, type_ in get_type_hints(Limits).items()}
)
"""A mapping with the fields of Limits, which alone lists and checks them."""


class _AsSection:
    """Has pydantic read a Limits from a `_LimitsSection`."""

    def __get_pydantic_core_schema__(self, _: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._limits, handler.generate_schema(_LimitsSection))

    @staticmethod
    def _limits(section: Section) -> Limits:
        try:
            return Limits(**section.model_dump())
        except ValueError as problem:
            raise refusal(str(problem), str(problem).split(" ", 1)[0]) from problem


TeamLimits = Annotated[Limits, _AsSection()]
"""Limits as a mapping of a file has them."""


class _Team(Section):
    synonyms: ClassVar[Mapping[str, str]] = {"key": "keys", "api_keys": "keys", "api_key": "keys"}
    keys: list[str] = Field(examples=[["xai-one"]], description="API keys of the team.")
    name: str = Field(default="", description="A name for reports.")
    blocked: bool = Field(default=False, description="Whether the team has no credits left.")
    limits: TeamLimits = Field(default_factory=Limits)

    @field_validator("keys", mode="before")
    @classmethod
    def _check_keys_unseen(cls, keys: Any) -> Any:
        """Runs before the types are checked: the error about a wrong type would quote the key."""
        if not isinstance(keys, list) or not keys or not all(isinstance(key, str) and key.strip() for key in keys):
            raise refusal("expected a list of texts, none of them empty; put quotes around a key that looks otherwise")
        return keys


class AccountsSection(Section):
    """What an accounts file may contain."""

    synonyms: ClassVar[Mapping[str, str]] = {"accounts": "teams", "organizations": "teams"}
    teams: list[_Team] = Field(default_factory=list, description="Teams, each with keys and limits of its own.")
    limits: TeamLimits = Field(default_factory=Limits, description="Limits of teams that have none of their own.")

    @model_validator(mode="after")
    def _check_owners(self) -> Self:
        owners: dict[str, int] = {}
        for number, team in enumerate(self.teams):
            for key in team.keys:
                if owners.setdefault(key, number) != number:
                    raise refusal(f"a key of teams[{number}] is one of teams[{owners[key]}] as well", "teams")
        return self
