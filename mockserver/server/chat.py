"""A language model behind an OpenAI-compatible `/chat/completions` endpoint, such as Ollama, llama.cpp or vLLM.

The answer is streamed (server-sent events). The key goes to this endpoint alone, never into a log: redirects are not
followed. Loopback is never reached through a proxy; other hosts are, if the environment names one.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout

from mockserver.protocol.requests import ChatCall, ChatEnded, ChatText, Complete
from replay.addresses import is_loopback_url

CONNECT_S, SILENCE_S = 10.0, 120.0
"""How long a connection may take, and how long the model may send nothing."""
LONGEST_LINE = 1 << 20
"""Bytes of one event of the stream."""
MOST_CALLS = 64
"""Functions that one answer may call."""
SHOWN = 300
"""Characters of a refusal that are shown."""


class ChatFailed(Exception):
    """The endpoint did not answer as it should; says what it did."""


class ChatEndpoint:
    """A model at an endpoint. `url` is its base, such as `http://127.0.0.1:11434/v1`, or the whole address."""

    def __init__(self, url: str, model: str, key: str | None = None) -> None:
        url = url.rstrip("/")
        self._url = url if url.endswith("/chat/completions") else f"{url}/chat/completions"
        self._model = model
        self._key = key
        self._http: ClientSession | None = None

    async def answer(self, work: Complete) -> AsyncIterator[ChatText | ChatCall | ChatEnded]:
        """The answer, as it comes. Raises ChatFailed."""
        body: dict[str, object] = {"model": self._model, "messages": list(work.messages), "stream": True}
        if work.tools:
            body["tools"] = list(work.tools)
            if work.tool_choice is not None:
                body["tool_choice"] = work.tool_choice
        if work.max_tokens is not None:
            body["max_tokens"] = work.max_tokens
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            async with self._client().post(self._url, json=body, headers=headers, allow_redirects=False) as response:
                if response.status != 200:
                    raise ChatFailed(f"{self._url} answered {response.status}: {await self._shown(response)}")
                async for each in _results(work.id, _events(response)):
                    yield each
        except (ClientError, TimeoutError, OSError) as problem:
            raise ChatFailed(f"{self._url}: {str(problem) or type(problem).__name__}") from problem

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()

    def _client(self) -> ClientSession:
        if self._http is None:
            timeout = ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
            self._http = ClientSession(timeout=timeout, trust_env=not is_loopback_url(self._url))
        return self._http

    async def _shown(self, response: ClientResponse) -> str:
        text = (await response.content.read(4 * SHOWN)).decode(errors="replace")
        text = text.replace(self._key, "(key)") if self._key else text
        return " ".join(text.split())[:SHOWN]


async def _events(response: ClientResponse) -> AsyncIterator[Mapping[str, Any]]:
    """The JSON objects of a stream; of an endpoint that does not stream, the one answer."""
    if response.content_type == "application/json":
        yield _object(await response.content.read(16 * LONGEST_LINE))
        return
    rest = b""
    async for piece in response.content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise ChatFailed(f"an event of the stream is longer than {LONGEST_LINE} bytes")
        for line in lines:
            name, _, data = line.partition(b":")
            if name != b"data" or not data.strip():
                continue
            if data.strip() == b"[DONE]":
                return
            yield _object(data)
    raise ChatFailed("the stream ended before the answer did")


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ChatFailed(f"expected a JSON object, got {data[:80]!r}")
    if found.get("error"):
        raise ChatFailed(f"the model reports an error: {json.dumps(found['error'])[:SHOWN]}")
    return found


async def _results(id: str, events: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[ChatText | ChatCall | ChatEnded]:
    calls: dict[int, tuple[str, str]] = {}
    cut = False
    async for event in events:
        for choice in event.get("choices") or ():
            said = choice.get("delta") or choice.get("message") or {}
            if text := said.get("content"):
                yield ChatText(id, str(text))
            for at, call in enumerate(said.get("tool_calls") or ()):
                place, function = call.get("index", at), call.get("function") or {}
                if place not in calls and len(calls) >= MOST_CALLS:
                    raise ChatFailed(f"the model calls more than {MOST_CALLS} functions")
                name, arguments = calls.get(place, ("", ""))
                calls[place] = (name + (function.get("name") or ""), arguments + (function.get("arguments") or ""))
            cut |= choice.get("finish_reason") == "length"
    for _, (name, arguments) in sorted(calls.items()):
        yield ChatCall(id, name, arguments or "{}")
    yield ChatEnded(id, cut)
