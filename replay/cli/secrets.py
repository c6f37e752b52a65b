"""The options that name secrets of the user's own: `--secret-env`, `--secret-pattern`, `--secret-path`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from replay.cli.usage import Unusable
from replay.outlets import held
from replay.secrets.named import BadSecret, named

OPTIONS = {
    "--secret-env": ("NAME", "Environment variable whose value is a secret. Repeatable."),
    "--secret-pattern": (
        "REGEX",
        "Regular expression of a secret, or of its place with the secret as group. Repeatable.",
    ),
    "--secret-path": ("PATH", "Place of a secret in JSON, such as session.metadata.patient. Repeatable."),
}
"""The options with their metavar and help."""


def secret_options(
    option: Callable[..., Callable[[Callable[..., None]], Callable[..., None]]] = click.option,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The three options. The command gets what they name as `secrets`, besides the API keys in the environment."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_secrets(
            *args: Any,
            secret_env: tuple[str, ...],
            secret_pattern: tuple[str, ...],
            secret_path: tuple[str, ...],
            **settings: Any,
        ) -> None:
            try:
                secrets = named(secret_env, secret_pattern, secret_path)
            except BadSecret as problem:
                raise Unusable(str(problem)) from problem
            with held(secrets):
                command(*args, secrets=secrets, **settings)

        decorated: Callable[..., None] = with_secrets
        for name, (metavar, text) in reversed(OPTIONS.items()):
            decorated = option(name, multiple=True, metavar=metavar, help=text)(decorated)
        return decorated

    return decorate
