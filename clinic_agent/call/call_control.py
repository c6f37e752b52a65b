"""The HTTP commands of a telephone call: accept, reject, refer, hang up.

xAI documents `refer` and `hangup`; attaching to the call answers it, so there is no accept. OpenAI documents all four.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import aiohttp

from clinic_agent.call.connection import CallFailed, advice
from clinic_agent.call.retry import RetryPolicy, retry_after_s
from clinic_agent.config import Config, is_loopback_url

TIMEOUT_S = 5.0
"""Timeout of a command, in s; a caller hears it ring meanwhile."""
REFER_S = 60.0
"""Timeout of a transfer, in s: xAI answers when the other side has picked up, or has refused."""


class CallGone(CallFailed):
    """The call is over: the service does not know it any more."""


class NotTransferred(Exception):
    """The transfer failed, and the call goes on; the message is the reason."""


class CallControl:
    """The commands for one call."""

    def __init__(self, config: Config, call_id: str) -> None:
        self._config = config
        self._url = f"{config.http_url}/realtime/calls/{quote(call_id, safe='')}"

    async def accept(self, session: dict[str, Any], retry: RetryPolicy) -> None:
        """Answer the call with a session. A busy service is asked again as `retry` says, while it rings.

        Raises CallGone if the caller has given up, and CallFailed if the service refuses.
        """
        for attempt in range(1, retry.attempts + 1):
            status, answer, after_s = await self._post("accept", session)
            if status < 300:
                return
            if (status != 429 and status < 500) or attempt == retry.attempts:
                raise _refused("accept", status, answer, after_s)
            await asyncio.sleep(min(after_s or retry.backoff_s * 2.0 ** (attempt - 1), TIMEOUT_S))

    async def reject(self, sip_status: int) -> None:
        """Decline a call that rings, with a SIP status such as 486 (busy). Raises CallFailed."""
        await self._command("reject", {"status_code": sip_status})

    async def hang_up(self) -> None:
        """End the call. A call that is over already is no error. Raises CallFailed if the service refuses."""
        await self._command("hangup", None)

    async def refer(self, target_uri: str) -> None:
        """Transfer the caller to a `sip:` or `tel:` address.

        Raises NotTransferred if the other side does not answer, and CallGone if the caller has hung up.
        """
        try:
            status, answer, _ = await self._post("refer", {"target_uri": target_uri}, REFER_S)
        except CallFailed as failed:
            raise NotTransferred(str(failed)) from failed
        if status == 404:
            raise CallGone("the caller has hung up")
        if status >= 300:
            raise NotTransferred(answer or f"the service refused with HTTP {status}")

    async def _command(self, name: str, body: dict[str, Any] | None) -> None:
        status, answer, after_s = await self._post(name, body)
        if status >= 300 and status != 404:
            raise _refused(name, status, answer, after_s)

    async def _post(
        self, command: str, body: dict[str, Any] | None, timeout_s: float = TIMEOUT_S
    ) -> tuple[int, str, float | None]:
        """The status, the service's message, and its `Retry-After` in s."""
        key = {"Authorization": f"Bearer {self._config.key}"}
        direct = is_loopback_url(self._config.http_url)
        try:
            async with (
                aiohttp.ClientSession(trust_env=not direct, timeout=aiohttp.ClientTimeout(total=timeout_s)) as http,
                http.post(f"{self._url}/{command}", json=body, headers=key, allow_redirects=False) as answer,
            ):
                return answer.status, _message(await answer.content.read(65_536)), retry_after_s(answer.headers)
        except asyncio.TimeoutError as error:
            raise CallFailed(f"{command}: the service gave no answer within {timeout_s:g} s") from error
        except aiohttp.ClientError as error:
            kind = type(error).__name__
            raise CallFailed(
                f"{command}: the service cannot be reached ({kind}); check XAI_HTTP_URL and the network"
            ) from error


def _refused(command: str, status: int, answer: str, after_s: float | None) -> CallFailed:
    if status == 404:
        return CallGone(f"{command}: the call is over, or another program has answered it")
    # The message about a key may quote it.
    told = f" ({answer})" if answer and status not in (400, 401, 403) else ""
    return CallFailed(f"{command}: the service refused with HTTP {status}{told}: {advice(status, after_s)}")


def _message(body: bytes) -> str:
    """The message of an error answer: xAI's `error` is a text, OpenAI's an object."""
    try:
        error = json.loads(body).get("error")
    except (ValueError, AttributeError, RecursionError):
        return ""
    text = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(text)[:200].split()).rstrip(".") if text else ""
