"""Services on the wire, one module each. `DIALECTS` is the one place where their names are looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a server that is not yet talked to loads neither numpy nor pydantic
    from collections.abc import Callable

    from mockserver.dialect import Dialect, Opening
    from mockserver.wire import Events


def _xai(date: str) -> Callable[[Opening], Dialect]:
    def on(opening: Opening) -> Dialect:
        from mockserver.dialects import xai

        return xai.Xai(getattr(xai, f"XAI_{date}"), opening)

    return on


def _openai(date: str) -> Callable[[Opening], Dialect]:
    def on(opening: Opening) -> Dialect:
        from mockserver.dialects import openai

        return openai.OpenAI(getattr(openai, f"OPENAI_{date}"), opening)

    return on


DIALECTS: dict[str, Callable[[Opening], Dialect]] = {
    "xai@2026-04": _xai("2026_04"),
    "xai@2026-07": _xai("2026_07"),
    "xai@2026-08": _xai("2026_08"),
    "xai@2026-09": _xai("2026_09"),
    "openai@2026-08": _openai("2026_08"),
}
ALIASES = {"xai": "xai@2026-07", "openai": "openai@2026-08"}
AUTO = "auto"
"""Each connection in the dialect that it asks for: see `dialect_for`."""

_KINDS = (("grok", "xai"), ("gpt", "openai"), ("xai-", "xai"), ("sk-", "openai"), ("ek_", "openai"))
_SUBPROTOCOLS = (("xai-client-secret.", "xai"), ("openai-insecure-api-key.", "openai"), ("realtime", "openai"))


def dialect_name(name: str) -> str:
    """The full, dated name; `auto` stays. Raises ValueError with the known names."""
    full = ALIASES.get(name, name)
    if full not in (*DIALECTS, AUTO):
        raise ValueError(f"unknown dialect {name!r}; known are {', '.join([*ALIASES, AUTO, *DIALECTS])}")
    return full


def events_of(name: str) -> Events:
    """The shape of every event of a dialect, by its full name."""
    from mockserver.dialects import openai_wire, xai_wire

    return openai_wire.EVENTS if name.startswith("openai") else xai_wire.EVENTS


def dialect_for(model: str | None, credential: str | None, subprotocols: str | None, query: dict[str, str]) -> str:
    """The dialect of a connection by what it brings: its model's name, else its key's, else its subprotocols, else what
    only one service has in a query. Without any of them it is the first of ALIASES."""
    for value in (model or "", credential or ""):
        for prefix, name in _KINDS:
            if value.startswith(prefix):
                return ALIASES[name]
    for offered in (subprotocols or "").split(","):
        for prefix, name in _SUBPROTOCOLS:
            if offered.strip().startswith(prefix):
                return ALIASES[name]
    return ALIASES["openai" if "intent" in query or "call_id" in query else "xai"]
