"""An agent on a plain WebSocket that tells callers about their orders: `pip install websockets`. For xAI and OpenAI.

    realtape serve --scenario examples/agents/orders.yaml
    XAI_REALTIME_URL=ws://127.0.0.1:8765/v1/realtime XAI_API_KEY=anything python examples/agents/websocket.py

Without XAI_REALTIME_URL it calls the live service.
"""

from __future__ import annotations

import json
import os
import sys

from websockets.sync.client import connect

MODEL = "grok-voice-think-fast-1.0"
ORDERS = {1042: "sent", 1043: "being packed"}
NUMBER = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
TOOL = {"type": "function", "name": "find_order", "description": "Look up where an order is.", "parameters": NUMBER}


def find_order(number: int) -> dict[str, object]:
    """Look up where an order is."""
    if number not in ORDERS:
        return {"error": f"there is no order {number}"}
    return {"number": number, "state": ORDERS[number]}


def ask(words: str) -> str:
    """One typed turn. Gives the words of the answer that follows the tool's result."""
    url = os.environ.get("XAI_REALTIME_URL", "wss://api.x.ai/v1/realtime")
    key = {"Authorization": f"Bearer {os.environ['XAI_API_KEY']}"}
    said: list[str] = []
    with connect(f"{url}?model={MODEL}", additional_headers=key, max_size=None) as service:

        def send(event: dict[str, object]) -> None:
            service.send(json.dumps(event))

        send({"type": "session.update", "session": {"tools": [TOOL], "instructions": "You tell callers about orders."}})
        content = [{"type": "input_text", "text": words}]
        send({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}})
        send({"type": "response.create"})
        results: list[dict[str, object]] = []
        while True:
            event = json.loads(service.recv())
            if event["type"] == "error":
                raise RuntimeError(event["error"]["message"])
            if event["type"] == "response.output_audio_transcript.done":
                said.append(event["transcript"])
            if event["type"] == "response.function_call_arguments.done":
                output = json.dumps(find_order(**json.loads(event["arguments"])))
                results.append({"type": "function_call_output", "call_id": event["call_id"], "output": output})
            if event["type"] == "response.done":
                if not results:
                    return said[-1]
                for item in results:
                    send({"type": "conversation.item.create", "item": item})
                results = []
                send({"type": "response.create"})


if __name__ == "__main__":
    print(ask(sys.argv[1] if len(sys.argv) > 1 else "Where is order 1043?"))
