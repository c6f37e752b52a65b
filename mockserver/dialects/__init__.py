"""Services on the wire, one module each. `DIALECTS` is the one place where their names are looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a server that is not yet talked to loads neither numpy nor pydantic
    from collections.abc import Callable

    from mockserver.dialect import Dialect, Opening


def _xai_2026_07(opening: Opening) -> Dialect:
    from mockserver.dialects.xai import XAI_2026_07, Xai

    return Xai(XAI_2026_07, opening)


def _xai_2026_09(opening: Opening) -> Dialect:
    from mockserver.dialects.xai import XAI_2026_09, Xai

    return Xai(XAI_2026_09, opening)


DIALECTS: dict[str, Callable[[Opening], Dialect]] = {
    "xai@2026-07": _xai_2026_07,
    "xai@2026-09": _xai_2026_09,
}
ALIASES = {"xai": "xai@2026-07"}


def dialect_name(name: str) -> str:
    """The full, dated name. Raises ValueError with the known names."""
    full = ALIASES.get(name, name)
    if full not in DIALECTS:
        raise ValueError(f"unknown dialect {name!r}; known are {', '.join([*ALIASES, *DIALECTS])}")
    return full
