"""Bad usage, as every command reports it."""

from __future__ import annotations

from difflib import get_close_matches

import click

from replay.outlets import clean


class Unusable(click.ClickException):
    """Bad input; the message is one line that says what to do, without secrets."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(clean(message))


class SuggestingGroup(click.Group):
    """A group that names the nearest command for one that it does not have."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As in click, with a suggestion."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            near = get_close_matches(args[0].lower(), known, 1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known are {', '.join(known)}."
            ctx.fail(f"No such command '{args[0]}'. {hint}")
        return super().resolve_command(ctx, args)


class SuggestingChoice(click.Choice[str]):
    """A choice that names the nearest value for one that it does not have."""

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:
        """As in click, with a suggestion."""
        near = get_close_matches(str(value).lower(), list(self.choices), 1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        return f"'{value}' is not one of {', '.join(map(repr, self.choices))}.{hint}"
