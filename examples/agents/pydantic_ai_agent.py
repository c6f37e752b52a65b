"""An agent of pydantic-ai that tells callers about their orders: `pip install "pydantic-ai-slim[openai,realtime]"`.

    realtape serve --dialect openai --scenario examples/agents/orders.yaml
    OPENAI_BASE_URL=http://127.0.0.1:8765/v1 OPENAI_API_KEY=anything python examples/agents/pydantic_ai_agent.py

Without OPENAI_BASE_URL it calls the live service.
"""

from __future__ import annotations

import asyncio
import sys

from pydantic_ai import Agent
from pydantic_ai.messages import PartEndEvent, SpeechPart
from pydantic_ai.realtime import RealtimeSessionErrorEvent, RealtimeTurnCompleteEvent
from pydantic_ai.realtime.openai import OpenAIRealtimeModel

ORDERS = {1042: "sent", 1043: "being packed"}

agent = Agent(instructions="You tell callers about their orders.")


@agent.tool_plain
def find_order(number: int) -> dict[str, object]:
    """Look up where an order is."""
    if number not in ORDERS:
        return {"error": f"there is no order {number}"}
    return {"number": number, "state": ORDERS[number]}


async def ask(words: str) -> str:
    """One typed turn. Gives the words of the answer that follows the tool's result."""
    async with agent.realtime(OpenAIRealtimeModel("gpt-realtime-2.1")).session() as session:
        await session.send(words)
        said = ""
        async for event in session:
            if isinstance(event, RealtimeSessionErrorEvent):
                raise RuntimeError(str(event))
            if isinstance(event, PartEndEvent) and isinstance(event.part, SpeechPart):
                said = event.part.transcript or said
            if isinstance(event, RealtimeTurnCompleteEvent):
                break
    return said


if __name__ == "__main__":
    print(asyncio.run(ask(sys.argv[1] if len(sys.argv) > 1 else "Where is order 1043?")))
