"""An agent of openai-agents that tells callers about their orders: `pip install openai-agents`.

    realtape serve --dialect openai --scenario examples/agents/orders.yaml
    OPENAI_WEBSOCKET_BASE_URL=ws://127.0.0.1:8765/v1 OPENAI_API_KEY=anything python examples/agents/openai_agents.py

Without OPENAI_WEBSOCKET_BASE_URL it calls the live service.
"""

from __future__ import annotations

import asyncio
import os
import sys

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner

MODEL = "gpt-realtime-2.1"
ORDERS = {1042: "sent", 1043: "being packed"}


@function_tool
def find_order(number: int) -> dict[str, object]:
    """Look up where an order is."""
    if number not in ORDERS:
        return {"error": f"there is no order {number}"}
    return {"number": number, "state": ORDERS[number]}


async def ask(words: str) -> str:
    """One typed turn. Gives the words of the answer that follows the tool's result."""
    base = os.environ.get("OPENAI_WEBSOCKET_BASE_URL", "wss://api.openai.com/v1")
    address = {"url": f"{base}/realtime?model={MODEL}", "api_key": os.environ["OPENAI_API_KEY"]}
    agent = RealtimeAgent(name="orders", instructions="You tell callers about their orders.", tools=[find_order])
    runner = RealtimeRunner(agent, config={"tracing_disabled": True})
    said = ""
    async with await runner.run(model_config=address) as session:
        await session.send_message(words)
        answered = False
        async for event in session:
            answered = answered or event.type == "tool_end"
            if event.type == "error":
                raise RuntimeError(str(event.error))
            if event.type != "raw_model_event" or event.data.type != "raw_server_event":
                continue
            raw = event.data.data
            if raw["type"] == "response.output_audio_transcript.done":
                said = raw["transcript"]
            if raw["type"] == "response.done" and answered and said:
                break
    return said


if __name__ == "__main__":
    print(asyncio.run(ask(sys.argv[1] if len(sys.argv) > 1 else "Where is order 1043?")))
