"""Sends a webhook, and tries again for as long as the phone rings. Redirects are not followed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    TCPConnector,
)
from typing_extensions import assert_never

from mockserver.calls.webhook import Webhook, key_of, secret_of
from mockserver.faults.fault_set import FaultSet
from mockserver.faults.injection_points import WEBHOOK
from mockserver.faults.kinds import Drop, Duplicate, Forge, Slow, WebhookFault
from mockserver.server.clock import Clock, wall_clock
from mockserver.server.counted_faults import triggered
from mockserver.server.state.port import State, StateLost
from replay.addresses import is_loopback_url

ATTEMPT_S = 15.0
"""How long the receiver may take to answer."""
RETRIES_S = (5.0, 300.0)
"""Seconds until the next attempt, after each that failed: the beginning of the schedule of Standard Webhooks."""
GONE = 410
"""The status of a receiver that wants no more."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver a webhook. at: seconds of the server's clock. status: of the receiver's answer, None
    without one. problem: why there is none, for people. forged: it was signed with another secret."""

    at: float
    status: int | None = None
    problem: str = ""
    forged: bool = False

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def failure(self) -> str:
        """Why it was not delivered and what to do, for people."""
        match self.status:
            case None:
                return self.problem
            case 400 | 401 | 403 if self.forged:
                advice = "the receiver noticed the signature of the fault 'forge'"
            case 301 | 302 | 303 | 307 | 308:
                advice = "redirects are not followed; give the address that it names"
            case 400 | 401 | 403:
                advice = "the receiver refuses it; check that it has the secret that signs the webhook"
            case 404 | 405:
                advice = "the receiver takes no POST there; check the path of the webhook"
            case 410:
                advice = "the receiver wants no more, so it is not sent again"
            case _:
                advice = "the receiver failed; see its log"
        return f"HTTP {self.status}: {advice}"


class WebhookSender:
    """Delivers webhooks by a namespace's clock. The timestamp that is signed is of the computer's clock, with which the
    receiver compares it."""

    def __init__(self, clock: Clock, faults: FaultSet, state: State, unix: Callable[[], float] = wall_clock) -> None:
        """`state` counts the faults."""
        self._clock = clock
        self._faults = faults
        self._state = state
        self._unix = unix

    async def deliver(
        self, webhook: Webhook, url: str, note: Callable[[Attempt], None], rings: Callable[[], bool]
    ) -> None:
        """Deliver a webhook; `note` gets each attempt. It is tried again for as long as the phone `rings`."""
        timeout = ClientTimeout(total=ATTEMPT_S)
        # A receiver may close an idle connection just when the next attempt is due: uvicorn does so after 5 s.
        one_each = TCPConnector(force_close=True)
        async with ClientSession(timeout=timeout, trust_env=not is_loopback_url(url), connector=one_each) as http:
            for wait_s in (*RETRIES_S, None):
                attempt = await self._attempt(http, webhook, url)
                note(attempt)
                if attempt.delivered or attempt.status == GONE or wait_s is None:
                    return
                await self._wait(wait_s)
                if not rings():
                    return

    async def _attempt(self, http: ClientSession, webhook: Webhook, url: str) -> Attempt:
        """One attempt, with the faults that it triggers."""
        sent, secret = 1, None
        try:
            found = await triggered(self._faults, self._state, WEBHOOK, self._clock.now())
        except StateLost:  # nobody knows which attempt of the fleet it is
            found = []
        for fault in (each for each in found if isinstance(each, WebhookFault)):
            match fault:
                case Slow(seconds=seconds):
                    await self._wait(seconds)
                case Drop():
                    sent = 0
                case Duplicate():
                    sent = 2
                case Forge():
                    secret = secret_of(bytes(255 - byte for byte in key_of(webhook.secret)))
                case _:
                    assert_never(fault)
        attempt = Attempt(self._clock.now(), problem="lost: the fault 'drop'")
        for _ in range(sent):
            attempt = await self._post(http, webhook, url, secret)
        return attempt

    async def _post(self, http: ClientSession, webhook: Webhook, url: str, secret: str | None) -> Attempt:
        at = Attempt(self._clock.now(), forged=secret is not None)
        headers = webhook.headers(int(self._unix()), secret=secret)
        try:
            async with http.post(url, data=webhook.body, headers=headers, allow_redirects=False) as response:
                return replace(at, status=response.status)
        except asyncio.TimeoutError:
            return replace(at, problem=f"no answer within {ATTEMPT_S:g} s; the receiver has to answer before it works")
        except ClientConnectorCertificateError as problem:
            refused = f"the certificate of {problem.host}:{problem.port} is refused: {problem.certificate_error}"
            said = f"{refused}; set SSL_CERT_FILE to a file with its authority"
            return replace(at, problem=said)
        except ClientSSLError as problem:
            said = f"no TLS with {problem.host}:{problem.port}; use http:// if the receiver has none"
            return replace(at, problem=said)
        except ClientConnectorError as problem:
            why = problem.os_error.strerror or problem.os_error
            said = f"{problem.host}:{problem.port} cannot be reached: {why}; start the receiver there"
            return replace(at, problem=said)
        except (ClientError, OSError, ValueError) as problem:
            return replace(at, problem=f"{type(problem).__name__}: {problem}")

    async def _wait(self, seconds: float) -> None:
        passed = asyncio.Event()
        alarm = self._clock.call_at(self._clock.now() + seconds, passed.set)
        try:
            await passed.wait()
        finally:
            alarm.cancel()
