"""Another trade with the same agent: where is my order? Only the prompt, the tools and the scenario are new.

    realtape serve --scenario examples/orders.yaml
    export XAI_REALTIME_URL=ws://127.0.0.1:8765/v1/realtime XAI_API_KEY=anything
    python examples/orders.py "Where is order 1043?" "Please stop it."

With the key of the live service, and without XAI_REALTIME_URL, the same program calls that.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated

from pydantic import Field

from clinic_agent.call.tool import Arguments, Result, Tool, ToolRefused, Tools
from clinic_agent.clinic.assistant import Assistant, run_call
from clinic_agent.config import environment, from_environment

INSTRUCTIONS = """\
You answer the telephone of Bluebird Books. You tell callers about their orders, and nothing else.
Speak in short sentences. Look an order up with find_order before you say anything about it.
Stop one with stop_order only after the caller said yes.
If a tool answers with an error, say in plain words what is wrong.
If you did not understand, ask the caller to repeat it.
"""

Number = Annotated[int, Field(ge=1000, le=9999, description="the four digits of the order")]


class FindOrder(Arguments):
    """Look up where an order is."""

    number: Number


class StopOrder(Arguments):
    """Stop an order that has not been sent yet. Call it only after the caller said yes."""

    number: Number


@dataclass
class Shop:
    """What has been ordered, and where it is."""

    orders: dict[int, str] = field(default_factory=lambda: {1042: "sent", 1043: "being packed"})

    def find(self, asked: FindOrder, _: str) -> Result:
        """Where it is."""
        return {"number": asked.number, "state": self._state(asked.number)}

    def stop(self, asked: StopOrder, _: str) -> Result:
        """Stopping twice is stopping once, so the idempotency key is not needed."""
        if self._state(asked.number) == "sent":
            raise ToolRefused(f"order {asked.number} has been sent already")
        self.orders[asked.number] = "stopped"
        return {"number": asked.number, "state": "stopped"}

    def _state(self, number: int) -> str:
        if number not in self.orders:
            raise ToolRefused(f"there is no order {number}; ask for the number again")
        return self.orders[number]


def assistant(shop: Shop) -> Assistant:
    """Whom the caller talks to."""
    tools = (Tool("find_order", FindOrder, shop.find, reads=True), Tool("stop_order", StopOrder, shop.stop))
    return Assistant(INSTRUCTIONS, Tools({tool.name: tool for tool in tools}))


def main(words: list[str]) -> None:
    """One call, each of `words` a typed turn."""
    config = from_environment(environment())
    call = run_call(config, words, assistant(Shop()), priced_on=date.today())  # noqa: TID251  # a program's own day
    print(asyncio.run(call).as_text())


if __name__ == "__main__":
    main(sys.argv[1:] or ["Where is order 1043?", "Please stop it."])
