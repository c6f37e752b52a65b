"""A service's requests over HTTP about calls: which it has, how it reads their bodies, and how it answers.

Pure functions over bodies. No sockets and no calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from mockserver.dialects.handshake import Refusal

CallAction = Literal["accept", "reject", "refer", "hangup"]
"""What a client may request of a call: `POST /v1/realtime/calls/ID/` and this word."""

LONGEST_URI = 2_000
"""Characters of an address that a caller is handed over to. The services' own bounds are unknown."""
Credential = Literal["key", "secret"]
"""An API key, or a client secret."""


class CallControl(Protocol):
    """How one service takes and refuses requests about calls."""

    @property
    def actions(self) -> frozenset[CallAction]:
        """The requests that the service has."""

    @property
    def done(self) -> bytes:
        """The body of the answer to a request that was obeyed."""

    @property
    def answers_by_socket(self) -> bool:
        """Whether a WebSocket with the id of a call that rings accepts it. The call then ends when the client closes
        its last WebSocket."""

    @property
    def offers_by(self) -> frozenset[Credential]:
        """The credentials with which an offer of WebRTC comes; none if the service has no WebRTC."""

    def new_id(self, seed: str, unix: float) -> str:
        """The id of a new call, which came at that Unix second."""

    def no_call(self, call_id: str, *, socket: bool = False) -> Refusal:
        """There is no such call, or not in a state that allows the request. `socket`: the request is a handshake."""

    def session(self, body: bytes) -> Mapping[str, Any] | Refusal:
        """The session that a call is accepted with."""

    def invalid_offer(self, error: str, advice: str) -> Refusal:
        """The refusal of an offer of WebRTC, in these words. `advice`: what is wrong with the offer, for the log."""

    def wrong_credential(self) -> Refusal:
        """An offer of WebRTC came with a credential that is not in `offers_by`."""

    def reject_status(self, body: bytes) -> int | Refusal:
        """The SIP status with which a call is rejected."""

    def target(self, body: bytes) -> str | Refusal:
        """The address that a caller is handed over to."""

    def not_transferred(self, status: int) -> Refusal:
        """The destination refused the caller, with that SIP status."""
