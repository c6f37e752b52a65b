"""An agent of LiveKit that tells callers about their orders: `pip install livekit-agents livekit-plugins-openai`.

    realtape serve --dialect openai --scenario examples/agents/orders.yaml
    OPENAI_BASE_URL=http://127.0.0.1:8765/v1 OPENAI_API_KEY=anything python examples/agents/livekit_agent.py

Without OPENAI_BASE_URL it calls the live service. For callers in a room, give `session.start` the room of a job.
"""

from __future__ import annotations

import asyncio
import json
import sys

import aiohttp
from livekit.agents import Agent, AgentSession, ConversationItemAddedEvent, ErrorEvent, function_tool
from livekit.plugins import openai

ORDERS = {1042: "sent", 1043: "being packed"}


class Orders(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You tell callers about their orders.")

    @function_tool
    async def find_order(self, number: int) -> str:
        """Look up where an order is."""
        known = number in ORDERS
        found = {"number": number, "state": ORDERS[number]} if known else {"error": f"there is no order {number}"}
        return json.dumps(found)  # of a dict, LiveKit would send how Python prints it


async def ask(words: str) -> str:
    """One typed turn. Gives the words of the answer that follows the tool's result."""
    async with aiohttp.ClientSession() as http:
        model = openai.realtime.RealtimeModel(model="gpt-realtime-2.1", http_session=http)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        async with AgentSession(llm=model) as session:
            looked_up = False

            @session.on("function_tools_executed")
            def _(_event: object) -> None:
                nonlocal looked_up
                looked_up = True

            @session.on("conversation_item_added")
            def _(event: ConversationItemAddedEvent) -> None:
                said = event.item.type == "message" and event.item.role == "assistant"
                if looked_up and said and not answer.done():
                    answer.set_result(event.item.text_content or "")

            @session.on("error")
            def _(event: ErrorEvent) -> None:
                if not answer.done():
                    answer.set_exception(RuntimeError(str(event.error)))

            await session.start(Orders())
            session.generate_reply(user_input=words)
            return await answer


if __name__ == "__main__":
    print(asyncio.run(ask(sys.argv[1] if len(sys.argv) > 1 else "Where is order 1043?")))
