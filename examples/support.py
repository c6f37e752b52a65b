"""The agent in another trade: an internet provider's support desk. Only the prompt, the tools and the scenario are new.

    realtape serve --scenario examples/support.yaml
    export XAI_REALTIME_URL=ws://127.0.0.1:8765/v1/realtime XAI_API_KEY=anything
    python examples/support.py "My internet is down." "Yes, send somebody."

With a key of the live service and without XAI_REALTIME_URL, the program calls the live service.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from clinic_agent.call.tool import Arguments, Result, Tool, Tools
from clinic_agent.clinic.assistant import Assistant, run_call
from clinic_agent.config import environment, from_environment

INSTRUCTIONS = """\
You answer the support desk of Northline, an internet provider. Speak in short sentences.
Check the line with check_line before you say what is wrong.
Open a ticket with open_ticket only after the caller said yes. Say its number.
If a tool answers with an error, say in plain words what is wrong.
"""


class CheckLine(Arguments):
    """Measure the caller's line."""


class OpenTicket(Arguments):
    """Send a technician. Call it only after the caller said yes."""

    problem: Annotated[Literal["no signal", "slow", "telephone"], Field(description="what is wrong")]


@dataclass
class Desk:
    """The line of one caller, and the tickets that were opened for it."""

    signal: str = "no signal"
    tickets: dict[str, str] = field(default_factory=dict)
    """The problem of each ticket by its idempotency key: a repeated request opens no second one."""

    def check(self, request: CheckLine, _: str) -> Result:
        """What the measurement found."""
        return {"line": self.signal}

    def open(self, request: OpenTicket, key: str) -> Result:
        """Open a ticket, and give its number."""
        self.tickets.setdefault(key, request.problem)
        return {"ticket": 7000 + list(self.tickets).index(key) + 1, "problem": request.problem}


def assistant(desk: Desk) -> Assistant:
    """The assistant of one call."""
    tools = (Tool("check_line", CheckLine, desk.check, reads=True), Tool("open_ticket", OpenTicket, desk.open))
    return Assistant(INSTRUCTIONS, Tools({tool.name: tool for tool in tools}))


def main(words: list[str]) -> None:
    """Make one call; each of `words` is a typed turn."""
    config = from_environment(environment())
    call = run_call(config, words, assistant(Desk()), priced_on=date.today())  # noqa: TID251  # the date of this machine
    print(asyncio.run(call).as_text())


if __name__ == "__main__":
    main(sys.argv[1:] or ["My internet is down.", "Yes, send somebody."])
