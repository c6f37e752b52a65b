"""An agent that answers typed questions about orders over xAI's realtime API. Replace it by yours."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from websockets.asyncio.client import connect

STATES = {"1042": "sent", "1043": "being packed"}
NUMBER = {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]}
TOOL = {"type": "function", "name": "look_up", "description": "The state of an order.", "parameters": NUMBER}
SESSION = {"instructions": "You answer questions about orders.", "turn_detection": None, "tools": [TOOL]}


async def answer(question: str) -> str:
    """What the agent says to a typed question."""
    url = os.environ.get("XAI_REALTIME_URL", "wss://api.x.ai/v1/realtime")
    key = {"Authorization": f"Bearer {os.environ['XAI_API_KEY']}"}
    async with connect(f"{url}?model=grok-voice-3.0", additional_headers=key) as service:

        async def send(type: str, **fields: object) -> None:
            await service.send(json.dumps({"type": type, **fields}))

        await send("session.update", session=SESSION)
        content = [{"type": "input_text", "text": question}]
        await send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await send("response.create")
        said, results = [], []
        async for frame in service:
            event = json.loads(frame)
            if event["type"] == "error":
                raise RuntimeError(event["error"]["message"])
            if event["type"] == "response.output_audio_transcript.done":
                said.append(event["transcript"])
            if event["type"] == "response.function_call_arguments.done":
                output = json.dumps({"state": STATES.get(json.loads(event["arguments"])["number"], "unknown")})
                results.append({"type": "function_call_output", "call_id": event["call_id"], "output": output})
            if event["type"] == "response.done":
                if not results:
                    break
                while results:  # results go out once the response that asked for them is over
                    await send("conversation.item.create", item=results.pop())
                await send("response.create")
    return " ".join(said)


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(answer(" ".join(sys.argv[1:]))) + "\n")
