"""The records of the calls, for people of the clinic: a list, each call as a timeline, export, release and deletion.

All routes here need the login token of CLINIC_TOKEN, as a bearer token or, in a browser, as a cookie after a login.
Without the setting there is no access.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from clinic_agent.app import calls_page
from clinic_agent.app.call_store import CallRecord
from clinic_agent.app.problems import Problem
from clinic_agent.app.state import AppState, State

COOKIE = "clinic_login"
LOGIN_S = 12 * 3600
"""Seconds for which a browser stays logged in."""
router = APIRouter()


def _login(state: AppState) -> str:
    """The value of the cookie: it proves the token without containing it."""
    token = state.settings.token or ""
    return hmac.new(token.encode(), b"records of the calls", hashlib.sha256).hexdigest()


def _may_look(request: Request, state: AppState) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = scheme.lower() == "bearer" and _same(token.strip(), state.settings.token or "")
    return bearer or _same(request.cookies.get(COOKIE, ""), _login(state))


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())


def person(request: Request, state: State) -> AppState:
    """The state, for a person who has logged in. Raises Problem for anybody else."""
    if state.settings.token is None:
        raise Problem(403, "nobody may look at the calls of this server; set CLINIC_TOKEN to a random login token")
    if not _may_look(request, state):
        raise Problem(401, "send the login token: Authorization: Bearer <CLINIC_TOKEN>, or log in at GET /calls")
    return state


Person = Annotated[AppState, Depends(person)]


@contextmanager
def _records(state: AppState) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise Problem(503, f"the records cannot be used ({error}); check {state.store.path}") from error


def _found(state: AppState, call_id: str) -> CallRecord:
    with _records(state):
        record = state.store.find(call_id)
    if record is None:
        raise Problem(404, "there is no such call; GET /calls lists them")
    return record


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


@router.get("/calls")
def calls(request: Request, state: State) -> Response:
    """List the calls, the last one first: as JSON, or for a browser as a page. Needs the login token."""
    if state.settings.token is not None and _wants_page(request) and not _may_look(request, state):
        return calls_page.login()
    person(request, state)
    with _records(state):
        records = state.store.calls()
    return calls_page.list_of(records) if _wants_page(request) else JSONResponse([each.summary() for each in records])


@router.post("/calls/login", include_in_schema=False)
def login(request: Request, state: State, token: Annotated[str, Form(max_length=500)] = "") -> Response:
    """Log a browser in."""
    if state.settings.token is None or not _same(token, state.settings.token):
        return calls_page.login("That is not the token.")
    answer = RedirectResponse("../calls", 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, _login(state), LOGIN_S, httponly=True, samesite="strict", secure=secure)
    return answer


@router.post("/calls/logout", include_in_schema=False)
def logout() -> Response:
    """Log a browser out."""
    answer = RedirectResponse("../calls", 303)
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/calls/{call_id}")
def call(call_id: str, request: Request, state: Person) -> Response:
    """Show one call: its turns with tools, latencies and cost; for a browser as a page with a timeline."""
    record = _found(state, call_id)
    if not _wants_page(request):
        return JSONResponse(
            {**record.summary(), "turns": list(record.turns), "frames_left_out": record.frames_left_out}
        )
    with _records(state):
        return calls_page.call(record, state.store.frames(call_id), state.call_page)


@router.get("/calls/{call_id}/export")
def export(call_id: str, state: Person) -> PlainTextResponse:
    """Export the frames of a call as lines of JSON, which `realtape import` makes a cassette of."""
    record = _found(state, call_id)
    with _records(state):
        frames = state.store.frames(call_id)
    if not frames:
        raise Problem(404, "no frames of this call were kept; GET /calls/ID has its transcript")
    began_s = record.began.timestamp()
    lines = [{"dir": way, "t": round(began_s + at_s, 6), "ev": event} for at_s, way, event in frames]
    name = "".join(char for char in call_id if char.isalnum() or char in "-_")[:80]
    headers = {"Content-Disposition": f'attachment; filename="{name}.jsonl"'}
    text = "".join(json.dumps(line) + "\n" for line in lines)
    return PlainTextResponse(text, headers=headers, media_type="application/x-ndjson")


@router.post("/calls/{call_id}/release")
def release(call_id: str, request: Request, state: Person) -> Response:
    """Release a call after an emergency: its tools may write again. Meant for a person who has looked at the call."""
    with _records(state):
        known = state.store.release(call_id)
    if (lock := state.locks.get(call_id)) is not None:
        lock.release()
    elif not known:
        raise Problem(404, "there is no such call; GET /calls lists them")
    return _done(request, {"released": True}, f"../{call_id}")


@router.delete("/calls/{call_id}")
@router.post("/calls/{call_id}/delete", include_in_schema=False)
def delete(call_id: str, request: Request, state: Person) -> Response:
    """Delete the record of a call, by its id or that of its conversation."""
    with _records(state):
        if not state.store.delete(call_id):
            raise Problem(404, "there is no such call; GET /calls lists them")
    return _done(request, {"deleted": True}, "../../calls")


def _done(request: Request, answer: dict[str, Any], page: str) -> Response:
    return RedirectResponse(page, 303) if _wants_page(request) else JSONResponse(answer)
