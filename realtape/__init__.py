"""A local mock server for the xAI Grok Voice Agent API and the OpenAI Realtime API, with recording, replay and more.

    from realtape import MockServer, Scenario, Say, Call

realtape/api.py has the names. It is loaded when the first of them is used, so `import realtape` alone is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realtape.api import *  # noqa: F403 - for type checkers; at run time see `__getattr__`


def __getattr__(name: str) -> object:
    if name == "__all__":
        return __dir__()
    if name in __dir__():
        return getattr(import_module("realtape.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    names = vars(import_module("realtape.api"))
    return sorted(name for name in names if name[0].isalpha() and name != "annotations")
