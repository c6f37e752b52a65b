"""Questions of a server to the others, over the store: each server has an inbox, a list, for questions and answers.

What is answered at once is answered in the order in which it came. Slow questions are answered beside that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from mockserver.server.state.copies import PREFIX
from mockserver.server.state.port import StateLost

LISTEN_S = 0.5
"""Seconds after which a server that waits for a question or an answer looks around."""
KEPT_MS = 3000
"""How long a message waits for its reader at most, in ms."""
ANSWER_S = 3.0
"""Seconds that another server may take to answer at once."""
_INBOX = f"{PREFIX}inbox:"


class Answers(Protocol):
    """What answers the questions of others."""

    async def reply(self, question: Mapping[str, Any]) -> object:
        """The answer, as JSON has it."""


@dataclass(slots=True, eq=False)
class _Asked:
    """An own question: the servers that have not answered, the answers, and what is done when one comes."""

    waited: set[str]
    found: dict[str, Any] = field(default_factory=dict)
    came: asyncio.Future[None] | None = None


class Questions:
    """The questions of one server. `others`: the names of the others that are alive. `room`: for questions of
    clients."""

    def __init__(
        self,
        redis: Any,
        server: str,
        others: Callable[[], Awaitable[set[str]]],
        answers: Answers,
        room: asyncio.Semaphore,
    ) -> None:
        self._redis = redis
        self._server = server
        self._others = others
        self._answers = answers
        self._room = room
        self._number = 0
        self._asked: dict[int, _Asked] = {}
        self._slow: dict[tuple[str, int], asyncio.Task[None]] = {}
        """Questions of others that take a while."""

    async def ask(self, question: Mapping[str, Any], *, slow_s: float = 0.0, one: bool = False) -> dict[str, Any]:
        """The answers by server. `slow_s`: how long one may take, in s; 0 is at once. `one`: only until the first
        answer that is not None, and without those that do not come. Raises StateLost."""
        loop = asyncio.get_running_loop()
        self._number += 1
        number = self._number
        async with self._room:
            asked = _Asked(await self._others())
        self._asked[number] = asked
        until = loop.time() + slow_s + ANSWER_S
        try:
            servers = set(asked.waited)
            message = {"by": self._server, "number": number, "question": question, "slow": slow_s > 0}
            async with self._room:
                await self._send({each: message for each in servers})
            while asked.waited and not (one and any(each is not None for each in asked.found.values())):
                asked.came = loop.create_future()
                await asyncio.wait([asked.came], timeout=LISTEN_S)
                if asked.came.done():
                    continue
                async with self._room:
                    asked.waited &= await self._others()
                if loop.time() > until:
                    if not one:
                        raise StateLost
                    break
            return asked.found
        finally:
            del self._asked[number]
            if asked.waited and slow_s > 0:
                await self._send({each: {"by": self._server, "number": number, "over": True} for each in asked.waited})

    async def _send(self, messages: Mapping[str, Mapping[str, Any]]) -> None:
        told = self._redis.pipeline(transaction=False)
        for to, message in messages.items():
            told.rpush(_INBOX + to, orjson.dumps(message))
            told.pexpire(_INBOX + to, KEPT_MS)
        if messages:
            await told.execute()

    async def hear(self) -> None:
        """Read the next message, if one comes within `LISTEN_S`. Raises what the client does."""
        if (came := await self._redis.blpop([_INBOX + self._server], timeout=LISTEN_S)) is None:
            return
        message = orjson.loads(came[1])
        by, number = message["by"], message["number"]
        if "answer" in message:
            if (asked := self._asked.get(number)) is not None:
                asked.waited.discard(by)
                asked.found[by] = message["answer"]
                if asked.came is not None and not asked.came.done():
                    asked.came.set_result(None)
        elif "over" in message:
            if (task := self._slow.get((by, number))) is not None:
                task.cancel()
        elif message["slow"]:
            task = asyncio.get_running_loop().create_task(self._reply(by, number, message["question"]))
            self._slow[by, number] = task
            task.add_done_callback(lambda _: self._slow.pop((by, number)))
        else:
            await self._reply(by, number, message["question"])

    async def _reply(self, by: str, number: int, question: Mapping[str, Any]) -> None:
        answer = await self._answers.reply(question)
        await self._send({by: {"by": self._server, "number": number, "answer": answer}})

    def stop(self) -> None:
        """Answer nothing any more."""
        for each in self._slow.values():
            each.cancel()
