"""What the tests beside this file are about, in place of an agent: it asks one question and returns the answer."""

from __future__ import annotations

import json

from websockets.sync.client import connect


def ask(url: str, key: str, text: str) -> str:
    """The transcript of the response to a text."""
    with connect(
        f"{url}?model=grok-voice-think-fast-1.0", additional_headers={"Authorization": f"Bearer {key}"}
    ) as call:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        call.send(json.dumps({"type": "conversation.item.create", "item": item}))
        call.send(json.dumps({"type": "response.create"}))
        said = ""
        for message in call:
            event = json.loads(message)
            if event["type"] == "response.output_audio_transcript.done":
                said += event["transcript"]
            elif event["type"] == "response.done":
                break
        return said
