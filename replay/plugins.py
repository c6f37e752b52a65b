"""Parts that other packages add by entry points, by name: voices, transcribers, responders and dialects."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

Group = Literal["realtape.voices", "realtape.transcribers", "realtape.responders", "realtape.dialects"]
_NEEDS: dict[Group, tuple[str, ...]] = {
    "realtape.voices": ("name", "speak"),
    "realtape.transcribers": ("transcribe",),
    "realtape.responders": ("source", "hear", "reply"),
    "realtape.dialects": ("dialect", "handshake", "calls", "schema", "prices", "roots"),
}
"""The attributes of what an entry point makes."""


class PluginError(ImportError):
    """A plugin that cannot be used. The message names its package, and says what to do."""


def plugin_names(group: Group) -> list[str]:
    """The names that installed packages add to a group."""
    return sorted({each.name for each in entry_points(group=group)})


def plugin(group: Group, name: str) -> Any:
    """What the entry point of this name makes; None if no package has that name. Raises as `plugin_maker` does."""
    make = plugin_maker(group, name)
    return None if make is None else make()


def plugin_maker(group: Group, name: str) -> Callable[[], Any] | None:
    """Calls the entry point of this name without arguments, each time; None if no package has that name.

    Raises PluginError, here or in a call, if it cannot be loaded or called, lacks an attribute, or if two packages have
    the name.
    """
    found = list(entry_points(group=group, name=name))
    if not found:
        return None
    if len({each.value for each in found}) > 1:
        owners = " and ".join(sorted(map(_package, found)))
        raise PluginError(f"{group}: {owners} both have the name {name!r}; uninstall one of them")
    entry = found[0]
    place = f"the plugin {name!r} of {_package(entry)} ({entry.value})"

    def call(what: Callable[[], Any]) -> Any:
        try:
            return what()
        except Exception as problem:
            raise PluginError(f"{place} fails: {type(problem).__name__}: {problem}; mend or uninstall it") from problem

    maker = call(entry.load)

    def make() -> Any:
        made = call(maker)
        if missing := [each for each in _NEEDS[group] if not hasattr(made, each)]:
            lacks = f"makes a {type(made).__name__} without {' and '.join(missing)}"
            raise PluginError(f"{place} {lacks}; mend or uninstall it")
        return made

    return make


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unknown package"
