"""The names of the dialects that the mock server can speak, and how a connection chooses one.

Names alone: they are needed before the first connection, and what they stand for is slow to load. See registry.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from difflib import get_close_matches
from typing import Literal, get_args

from replay.plugins import plugin_names
from replay.xai_models import VOICE

DialectName = Literal[
    "xai@2026-04",
    "xai@2026-07",
    "xai@2026-08",
    "xai@2026-09",
    "xai@2026-10",
    "openai@2026-08",
    "openai@2026-10",
    "azure@2026-10",
]
"""A service and a date. A name without its row in registry.py fails type checking."""
Vendor = Literal["xai", "openai", "azure"]

DIALECT_NAMES: tuple[DialectName, ...] = get_args(DialectName)
ALIASES: dict[str, DialectName] = {"xai": "xai@2026-10", "openai": "openai@2026-10", "azure": "azure@2026-10"}
"""The newest dialect of each service."""
BEGINS: Mapping[DialectName, date] = {
    "xai@2026-04": date(2026, 4, 1),
    "xai@2026-07": date(2026, 7, 1),
    "xai@2026-08": date(2026, 8, 5),
    "xai@2026-09": date(2026, 9, 1),
    "xai@2026-10": date(2026, 10, 14),
    "openai@2026-08": date(2026, 8, 1),
    "openai@2026-10": date(2026, 10, 1),
    "azure@2026-10": date(2026, 10, 1),
}
"""The first day of each dialect. Where only the month is known, its first day is a guess."""
AUTO = "auto"
"""The option by which each connection chooses its dialect: see `dialect_for`."""

_MODEL_OR_KEY: tuple[tuple[str, Vendor], ...] = (
    ("grok", "xai"),
    ("gpt", "openai"),
    ("xai-", "xai"),
    ("sk-", "openai"),
    ("ek_", "openai"),
)
_SUBPROTOCOLS: tuple[tuple[str, Vendor], ...] = (
    ("xai-client-secret.", "xai"),
    ("openai-insecure-api-key.", "openai"),
    ("realtime", "openai"),
)


def dialect_name(name: str) -> str:
    """The dated name of a dialect, `auto`, or the name of a plugin. Raises ValueError, with the known names, for an
    unknown name."""
    full = ALIASES.get(name, name)
    if full in (*DIALECT_NAMES, AUTO) or name in (added := plugin_names("realtape.dialects")):
        return full
    known = [*ALIASES, AUTO, *DIALECT_NAMES, *added]
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"unknown dialect {name!r}; {hint}known are {', '.join(known)}")


def dialect_on(service: str, day: date) -> DialectName:
    """The dialect that a service spoke on a day; for a day before all of them, the oldest one."""
    dated = [name for name in DIALECT_NAMES if name.partition("@")[0] == service]
    return max((name for name in dated if BEGINS[name] <= day), key=BEGINS.__getitem__, default=dated[0])


def dialect_of(service: str, model: str | None) -> DialectName:
    """The dialect of a name without a date, if a connection asks for a model: the newest, or the last one at which
    the model was the service's default, if another has replaced it."""
    known = VOICE.get(model or "") if service == "xai" else None
    if known is None or known.replaced is None:
        return ALIASES[service]
    return dialect_on(service, known.replaced - timedelta(days=1))


def dialect_for(
    model: str | None, credential: str | None, subprotocols: str | None, query: dict[str, str], *, azure: bool = False
) -> str:
    """The dialect that a connection chooses by its model's name, else its key, else its subprotocols, else a parameter
    that one service alone has in its query. Without any of these it is that of `xai`. `azure`: the path or a header is
    one that only Azure has. The date is that of `dialect_of`."""
    if azure:
        return dialect_of("azure", model)
    for value in (model or "", credential or ""):
        for prefix, name in _MODEL_OR_KEY:
            if value.startswith(prefix):
                return dialect_of(name, model)
    for offered in (subprotocols or "").split(","):
        for prefix, name in _SUBPROTOCOLS:
            if offered.strip().startswith(prefix):
                return dialect_of(name, model)
    of_openai = "intent" in query or query.get("call_id", "").startswith("rtc_")
    return dialect_of("openai" if of_openai else "xai", model)
