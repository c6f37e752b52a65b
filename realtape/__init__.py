"""The offline twin of realtime voice APIs: a mock server, record and replay, fault injection, a pytest plugin.

from realtape import MockServer, Scenario, Say, Call

Each name is loaded when it is first used, so `import realtape` itself takes next to no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mockserver.faults import kinds as faults
    from mockserver.protocol.limits import Limits
    from mockserver.responders.base import Call, Fail, Hosted, NotTranscribed, Pause, Say
    from mockserver.responders.scenario import Clip, Rule, Scenario, ScenarioError, When
    from mockserver.server.virtual_time import virtual_time
    from mockserver.testing.mock_server import MockServer
    from realtape.cli import main

_MODULES = {
    "mockserver.protocol.limits": ("Limits",),
    "mockserver.responders.base": ("Call", "Fail", "Hosted", "NotTranscribed", "Pause", "Say"),
    "mockserver.responders.scenario": ("Clip", "Rule", "Scenario", "ScenarioError", "When"),
    "mockserver.server.virtual_time": ("virtual_time",),
    "mockserver.testing.mock_server": ("MockServer",),
    "realtape.cli": ("main",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Call",
    "Clip",
    "Fail",
    "Hosted",
    "Limits",
    "MockServer",
    "NotTranscribed",
    "Pause",
    "Rule",
    "Say",
    "Scenario",
    "ScenarioError",
    "When",
    "faults",
    "main",
    "virtual_time",
]


def __getattr__(name: str) -> object:
    if name == "faults":
        return import_module("mockserver.faults.kinds")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
