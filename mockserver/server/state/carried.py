"""Requests that servers with a shared state refuse, each with its reason: one server alone would answer wrong."""

from __future__ import annotations

import re

_ONE_SERVER = "this server shares its state with others (--state, --workers), and "
_ANSWERED = re.compile(
    r"GET /_mock(/?|/health|/metrics|/openapi\.json|/faults(/kinds)?|/scenario)$"
    r"|GET /_mock/(sessions(/[^/]+(/(call|sound|tape|scenario))?)?|journal|wait|ledger|findings|refusals|unused)$"
    r"|GET /_mock/(limits|report)$"
    r"|(GET|POST) /_mock/calls$|(GET|DELETE) /_mock/calls/[^/]+$|GET /_mock/calls/[^/]+/audio$"
    r"|(PUT|DELETE) /_mock/scenario$|POST /_mock/(reset|clock/advance)$"
    r"|(PUT|POST|DELETE) /_mock/faults$|DELETE /_mock/faults/[^/]+$"
)
"""What one server of a fleet can answer for all."""


def not_carried(method: str, path: str) -> str | None:
    """Why a request is refused; None if it is carried."""
    if path.startswith("/_mock/namespaces") or path.startswith("/_mock/workbench"):
        return _ONE_SERVER + "a namespace is known to one of them alone: use a server without"
    if path.startswith("/_mock") and not _ANSWERED.match(f"{method} {path}"):
        return _ONE_SERVER + f"{method} {path} would see or change one of them alone: use a server without"
    return None
