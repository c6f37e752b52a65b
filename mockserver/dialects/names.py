"""The names of the dialects that the mock server can speak, and how a connection chooses one.

Names alone: they are needed before the first connection, and what they stand for is slow to load. See registry.py.
"""

from __future__ import annotations

from typing import Literal, get_args

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
ALIASES: dict[str, DialectName] = {"xai": "xai@2026-07", "openai": "openai@2026-10", "azure": "azure@2026-10"}
"""The dialect that a name without a date stands for."""
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
    """The dated name of a dialect, or `auto`. Raises ValueError, with the known names, for an unknown name."""
    full = ALIASES.get(name, name)
    if full in (*DIALECT_NAMES, AUTO):
        return full
    raise ValueError(f"unknown dialect {name!r}; known are {', '.join([*ALIASES, AUTO, *DIALECT_NAMES])}")


def dialect_for(
    model: str | None, credential: str | None, subprotocols: str | None, query: dict[str, str], *, azure: bool = False
) -> str:
    """The dialect that a connection chooses by its model's name, else its key, else its subprotocols, else a parameter
    that one service alone has in its query. Without any of these it is that of `xai`. `azure`: the path or a header is
    one that only Azure has."""
    if azure:
        return ALIASES["azure"]
    for value in (model or "", credential or ""):
        for prefix, name in _MODEL_OR_KEY:
            if value.startswith(prefix):
                return ALIASES[name]
    for offered in (subprotocols or "").split(","):
        for prefix, name in _SUBPROTOCOLS:
            if offered.strip().startswith(prefix):
                return ALIASES[name]
    return ALIASES["openai" if "intent" in query or "call_id" in query else "xai"]
