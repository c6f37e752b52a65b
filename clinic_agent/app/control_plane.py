"""Changes of scenario and faults through the control plane of an endpoint, over HTTP.

The live service has no control plane; this module is then not used.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request

_TIMEOUT_S = 5.0


class NotChanged(Exception):
    """The control plane refused the change or did not answer; the message says why."""


def put(control_url: str, what: str, text: str) -> None:
    """Replace `what` ("scenario" or "faults") by `text` (YAML or JSON) for new connections. Raises NotChanged."""
    request = urllib.request.Request(
        f"{control_url}/{what}", text.encode(), {"Content-Type": "text/yaml"}, method="PUT"
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            raise NotChanged(_reason(refused.read(65_536)) or f"HTTP {refused.code}") from refused
    except OSError as error:
        raise NotChanged(f"{control_url} does not answer ({type(error).__name__}); is it running?") from error


def _reason(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    return str(answer.get("error", "")) if isinstance(answer, dict) else ""
