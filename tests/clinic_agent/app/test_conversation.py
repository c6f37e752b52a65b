"""The call page's conversation, run by Node without a page: what is played after a lost connection."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "clinic_agent" / "app" / "web" / "conversation.js"
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js is not installed")
HARNESS = """
import { readFileSync } from "node:fs";
import { Conversation } from "./conversation.mjs";
const played = [];
const speaker = { busy: false, play: (item, pcm) => played.push([item, pcm.length]), cut: async () => [] };
const none = () => {};
const talk = new Conversation({
  send: none, speaker, decode: (delta) => new Int16Array(delta), runTool: none, show: none, end: none,
});
for (const event of JSON.parse(readFileSync(0, "utf8"))) event === "resumed" ? talk.resumed() : talk.take(event);
console.log(JSON.stringify(played));
"""


def played(folder: Path, *events: dict[str, Any] | str) -> list[list[Any]]:
    """Items and numbers of samples that the loudspeaker got."""
    (folder / "conversation.mjs").write_bytes(SCRIPT.read_bytes())
    (folder / "run.mjs").write_text(HARNESS, encoding="utf-8")
    told = subprocess.run(
        [str(NODE), "run.mjs"],
        cwd=folder,
        input=json.dumps(events),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return list(json.loads(told.stdout))


def answer(response: str, samples: int, text: str) -> list[dict[str, Any]]:
    """The beginning of a spoken answer."""
    item = {"response_id": response, "item_id": f"{response}-item"}
    return [
        {"type": "response.created", "response": {"id": response}},
        {"type": "response.output_audio.delta", **item, "delta": samples},
        {"type": "response.output_audio_transcript.delta", **item, "delta": text},
    ]


def caller(item: str, text: str) -> list[dict[str, Any]]:
    kind = "conversation.item.input_audio_transcription.completed"
    return [
        {"type": "input_audio_buffer.speech_started", "item_id": item},
        {"type": "input_audio_buffer.speech_stopped", "item_id": item},
        {"type": kind, "item_id": item, "transcript": text, "status": "completed"},
    ]


def test_of_an_answer_that_is_given_again_only_the_rest_is_played(tmp_path: Path):
    first, again = answer("r1", 2000, "I have nine"), answer("r2", 5000, "I have nine thirty.")
    assert played(tmp_path, *caller("u1", "Free?"), *first, "resumed", *again) == [["r1-item", 2000], ["r2-item", 3000]]


def test_an_answer_that_the_caller_interrupted_is_not_taken_for_the_beginning_of_the_next(tmp_path: Path):
    cut = {"type": "response.done", "response": {"id": "r1", "status": "cancelled"}}
    first, again = answer("r1", 2000, "I have nine"), answer("r2", 5000, "I have nine thirty.")
    begun = [*caller("u1", "Free?"), *first, *caller("u2", "Say it again."), cut]
    assert played(tmp_path, *begun, "resumed", *again) == [["r1-item", 2000], ["r2-item", 5000]]
