"""What clients that send plain JSON ask for: the session with its tool, a typed line, the tool's result."""

from __future__ import annotations

from typing import Any

TOOL = {
    "type": "function",
    "name": "check_availability",
    "description": "Which slots are free.",
    "parameters": {
        "type": "object",
        "properties": {"service": {"type": "string"}, "date": {"type": "string"}},
        "required": ["service", "date"],
    },
}
SLOTS = '{"slots": ["10:00", "14:30"]}'


def session(dialect: str) -> dict[str, Any]:
    """Server VAD, PCM at 24 kHz, input transcribed: in the service's own words."""
    vad = {"type": "server_vad", "silence_duration_ms": 500}
    pcm = {"format": {"type": "audio/pcm", "rate": 24000}}
    both: dict[str, Any] = {"instructions": "You book appointments.", "tools": [TOOL]}
    if dialect == "xai":
        return {**both, "voice": "eve", "turn_detection": vad, "audio": {"input": pcm, "output": pcm}}
    heard = {**pcm, "turn_detection": vad, "transcription": {"model": "gpt-4o-mini-transcribe"}}
    return {**both, "type": "realtime", "audio": {"input": heard, "output": {**pcm, "voice": "marin"}}}


def asks(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def tool_result(call_id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": SLOTS}
