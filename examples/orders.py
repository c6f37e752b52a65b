"""The agent in another trade: callers ask about their orders. Only the prompt, the tools and the scenario are new.

    realtape serve --scenario examples/orders.yaml
    export XAI_REALTIME_URL=ws://127.0.0.1:8765/v1/realtime XAI_API_KEY=anything
    python examples/orders.py "Where is order 1043?" "Please stop it."

With a key of the live service and without XAI_REALTIME_URL, the program calls the live service.
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
    """The orders and their states."""

    orders: dict[int, str] = field(default_factory=lambda: {1042: "sent", 1043: "being packed"})

    def find(self, request: FindOrder, _: str) -> Result:
        """The state of an order."""
        return {"number": request.number, "state": self._state(request.number)}

    def stop(self, request: StopOrder, _: str) -> Result:
        """Stop an order. A second stop changes nothing, so the idempotency key is not needed."""
        if self._state(request.number) == "sent":
            raise ToolRefused(f"order {request.number} has been sent already")
        self.orders[request.number] = "stopped"
        return {"number": request.number, "state": "stopped"}

    def _state(self, number: int) -> str:
        if number not in self.orders:
            raise ToolRefused(f"there is no order {number}; ask for the number again")
        return self.orders[number]


def assistant(shop: Shop) -> Assistant:
    """The assistant of one call."""
    tools = (Tool("find_order", FindOrder, shop.find, reads=True), Tool("stop_order", StopOrder, shop.stop))
    return Assistant(INSTRUCTIONS, Tools({tool.name: tool for tool in tools}))


def main(words: list[str]) -> None:
    """Make one call; each of `words` is a typed turn."""
    config = from_environment(environment())
    call = run_call(config, words, assistant(Shop()), priced_on=date.today())  # noqa: TID251  # the date of this machine
    print(asyncio.run(call).as_text())


if __name__ == "__main__":
    main(sys.argv[1:] or ["Where is order 1043?", "Please stop it."])
