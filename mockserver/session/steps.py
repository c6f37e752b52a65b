"""The steps of a response on their way from the responder to the session: which, in what order, and what is joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

from typing_extensions import assert_never

from mockserver.protocol.commands import ToolChoice
from mockserver.responders.base import Call, Chat, Fail, Hosted, Pause, Say, Step


class Agenda(Iterator[Step]):
    """The steps that are left of a response, made as they are needed: a later one may depend on a result before it."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = iter(steps)
        self._seen: list[Step] = []

    def __next__(self) -> Step:
        return self._seen.pop() if self._seen else next(self._steps)

    def following(self) -> Step | None:
        """The step that comes next, without taking it; None at the end."""
        if not self._seen and (step := next(self._steps, None)) is not None:
            self._seen.append(step)
        return self._seen[-1] if self._seen else None

    def put_first(self, steps: Iterable[Step]) -> None:
        """Let these steps come before the others."""
        self._steps, self._seen = chain(steps, reversed(self._seen), self._steps), []


def allowed(steps: Iterable[Step], choice: ToolChoice) -> Iterable[Step]:
    """The steps without the calls that the client does not allow. A call that it requires is not made up."""

    def fits(step: Step) -> bool:
        match step:
            case Call():
                return choice.kind == "function" and choice.name == step.name
            case Hosted():
                fitting = choice.server == step.server and choice.name in ("", step.name)
                return choice.kind == "server" and fitting
            case Say() | Pause() | Fail() | Chat():
                return True
            case _:
                assert_never(step)

    return steps if choice.kind == "any" else filter(fits, steps)


def joined(steps: Iterable[Step], separate: bool) -> Iterator[Step]:
    """The steps; texts of one message that follow each other in one voice become one text. With `separate`, each text
    is a message unless its step says otherwise."""

    def fit(one: Say, other: Say) -> bool:
        generated = one.audio is other.audio is None and not (one.segments or other.segments)
        together = other.item == "same" or (other.item == "" and not separate)
        return generated and together and (one.voice, one.speed) == (other.voice, other.speed)

    held: Say | None = None
    for step in steps:
        if isinstance(step, Say) and held is not None and fit(held, step):
            held = replace(held, text=f"{held.text.rstrip()} {step.text.lstrip()}")
            continue
        if held is not None:
            yield held
        held = step if isinstance(step, Say) else None
        if held is None:
            yield step
    if held is not None:
        yield held
