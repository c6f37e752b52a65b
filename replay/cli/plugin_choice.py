"""A choice among names to which installed packages may add."""

from __future__ import annotations

from collections.abc import Iterable

import click

from replay.cli.usage import SuggestingChoice
from replay.plugins import Group, plugin_names


class PluginChoice(SuggestingChoice):
    """A choice to which plugins add values. They are looked up for a value that is not one of realtape's own."""

    def __init__(self, choices: Iterable[str], group: Group) -> None:
        super().__init__(tuple(choices))
        self.group = group

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As in click, with the values of plugins."""
        if value in self.choices:
            return str(super().convert(value, param, ctx))
        return str(SuggestingChoice([*self.choices, *plugin_names(self.group)]).convert(value, param, ctx))
