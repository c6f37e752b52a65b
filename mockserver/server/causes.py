"""Likely causes of refused requests, in words: what the server tells its user, not what it answers the client."""

from __future__ import annotations

FAULT = "a fault of this server's fault file"
CROWD = "this process may open no more files: raise `ulimit -n` for more sessions at the same time"
STATE_LOST = "the store of --state does not answer: new sessions are refused until it does, open ones go on"
OWNER_LOST = "the server of the fleet that has the call does not answer at its own port"
CROSS_SITE = "a web page of another origin asks; allow it with --allow-origin ORIGIN"
NO_CALL = "no call of that id rings or goes on for this key; GET /_mock/calls lists the calls"
CALL_BODY = "the body of the request is not as the service takes it, or a limit is reached; see the answer"
LARGE = "the body of the request is larger than the server takes; the answer says how large it may be"
_REALTIME = ("/realtime", "/realtime/client_secrets")


def of_route(method: str, path: str, authority: str) -> str:
    """Why a request to `path` finds nothing, or no WebSocket, and what to do. `authority`: host and port."""
    base = f"http://{authority}/v1"
    match path.rstrip("/"):
        case "/v1/realtime" | "/openai/v1/realtime":
            return f"this address speaks WebSocket: connect to ws://{authority}{path}, not to http://"
        case "/metrics" | "/health":
            return f"the mock's own routes begin with /_mock/: GET http://{authority}/_mock{path.rstrip('/')}"
        case "" | "/v1":
            return f"clients connect to ws://{authority}/v1/realtime; the inspector is at http://{authority}/_mock/"
        case bare if bare in _REALTIME or bare.startswith("/realtime/"):
            return f"the base URL lacks /v1: use {base}, or ws://{authority}/v1{path}"
        case twice if "/v1/v1/" in f"{twice}/" or "/realtime/realtime" in twice:
            return f"the base URL has a part of the path already: use {base}"
        case "/v1/realtime/sessions" | "/v1/realtime/transcription_sessions":
            return "this route belonged to the beta; client secrets come from POST /v1/realtime/client_secrets"
        case other if other.startswith("/v1/realtime"):
            return (
                "this route is not served; the mock has WS /v1/realtime, POST /v1/realtime/client_secrets and"
                " POST /v1/realtime/calls/ID/accept, reject, refer, hangup"
            )
        case other if other.startswith("/_mock"):
            return f"the control plane has no such route; http://{authority}/_mock/openapi.json lists them"
        case _:
            return f"the mock serves the realtime API only; {method} {path[:60]} belongs to the service itself"


def of_handshake(status: int, *, credential: bool, keys: bool, fault: bool = False) -> str:
    """Why a client was not let in, and what to do. `credential`: it sent a key. `keys`: only some keys are accepted.
    `fault`: a fault file asks for the refusal."""
    if fault:
        return FAULT
    if status == 503:
        return CROWD
    if not credential:
        return "no key came: send the header Authorization: Bearer KEY; this server accepts " + (
            "the keys of --api-key" if keys else "any KEY"
        )
    match status:
        case 401 | 400 if keys:
            return "the client's key is none of those given with --api-key or --accounts; start without to accept any"
        case 403:
            return "the key belongs to a team without credits: --blocked-key, or blocked in the accounts file"
        case 429:
            return "a limit of the team is reached: --max-sessions, --requests-per-minute, or the accounts file"
        case 404:
            return "the client asks for what is not here; see the error"
        case _:
            return "the client's request is not as the service takes it; see the error"
