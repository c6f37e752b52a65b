"""The control plane of an endpoint, over HTTP: changes of scenario and faults, and how it hears.

The live service has no control plane; this module is then not used.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from clinic_agent.extras import install_command

_TIMEOUT_S = 5.0
_INSTALL = install_command("hearing")
HEARING = {
    "recognised": "Spoken words are recognised on this machine.",
    "clips": f"Only known clips are understood when spoken; other words are scripted. {_INSTALL} brings recognition.",
    "scripted": f"Spoken words are not recognised; the scenario has them. {_INSTALL} brings recognition.",
}
"""What a page says about spoken words, by `words` of the control plane's health."""


class NotChanged(Exception):
    """The control plane refused the change or did not answer; the message says why."""


def hearing(control_url: str | None) -> str:
    """How the endpoint finds the words of speech, as a sentence; empty without a control plane, or if it is silent."""
    if control_url is None:
        return ""
    try:
        with urllib.request.urlopen(f"{control_url}/health", timeout=_TIMEOUT_S) as answer:
            health = json.loads(answer.read(65_536))
    except (OSError, ValueError):
        return ""
    return HEARING.get(str(health.get("words")), "") if isinstance(health, dict) else ""


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
