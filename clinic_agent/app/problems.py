"""Errors as `application/problem+json` (RFC 9457). Each one says what to do.

A problem does not quote the request, nor the service's message about a key: both may contain a secret.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from websockets.exceptions import InvalidStatus

from clinic_agent.call.connection import CallFailed, advice
from clinic_agent.call.retry import retry_after_s

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)  # noqa: TID251  # realtape's command prints it without secrets

_ADVICE = {
    404: "there is no such route; GET /docs lists the routes",
    405: "this route has other methods; GET /docs lists them",
}


class Problem(Exception):
    """An error answer. `more` are further members of its JSON."""

    def __init__(self, status: int, detail: str, *, retry_after: str | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = {"Retry-After": retry_after} if retry_after is not None else {}
        self.more = more

    def as_json(self) -> dict[str, Any]:
        """The body: title, status, detail and the further members."""
        return {"title": HTTPStatus(self.status).phrase, "status": self.status, "detail": self.detail, **self.more}

    def response(self) -> Response:
        """The HTTP response."""
        return JSONResponse(self.as_json(), self.status, self.headers, MEDIA_TYPE)


def upstream_refused(status: int, retry_after: str | None = None) -> Problem:
    """The answer if the voice service refused a request. It omits the service's message, which may quote the key."""
    answer = {429: 429}.get(status, 503 if status >= 500 else 502)
    kept = retry_after if answer in (429, 503) else None
    why = advice(status, retry_after_s({"Retry-After": retry_after or ""}))
    detail = f"the voice service refused with HTTP {status}: {why}"
    return Problem(answer, detail, retry_after=kept, upstream_status=status)


def call_failed(failed: CallFailed, **so_far: Any) -> Problem:
    """The answer if a call cannot start or breaks off; `so_far` are members for the turns so far."""
    match failed.__cause__:
        case InvalidStatus(response=refusal):
            return upstream_refused(refusal.status_code, refusal.headers.get("Retry-After"))
        case TimeoutError() | asyncio.TimeoutError():
            return Problem(504, str(failed), **so_far)
        case _:
            return Problem(502, str(failed), **so_far)


def first_mistake(error: ValidationError | RequestValidationError) -> str:
    """The place and kind of the first mistake in the input, without the input itself."""
    problem = error.errors()[0]
    where = ".".join(str(step) for step in problem["loc"] if step != "body")
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def install(app: FastAPI) -> None:
    """Register the handlers that answer each exception in `app` as a problem."""

    async def problem_answer(request: Request, problem: Exception) -> Response:
        assert isinstance(problem, Problem)
        return problem.response()

    async def invalid_request(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return Problem(422, f"{first_mistake(error)}; GET /docs shows examples").response()

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        answer = Problem(error.status_code, _ADVICE.get(error.status_code, str(error.detail))).response()
        answer.headers.update(error.headers or {})
        return answer

    async def internal_error(request: Request, error: Exception) -> Response:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return Problem(
            500, "internal error; the log of this server has the details. Try again, or report it"
        ).response()

    app.add_exception_handler(Problem, problem_answer)
    app.add_exception_handler(RequestValidationError, invalid_request)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, internal_error)
