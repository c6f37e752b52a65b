"""The version of realtape, for the files it writes, and the command that adds an extra to it."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution, version
from urllib.parse import urlsplit
from urllib.request import url2pathname


def tool_version() -> str:
    """The version of the installed package; `unknown` if it is not installed."""
    try:
        return version("realtape")
    except PackageNotFoundError:
        return "unknown"


def install_command(extra: str) -> str:
    """The command that installs an extra of realtape from where realtape came: a checkout, or the package index.

    The installer leaves the source in `direct_url.json` (PEP 610) unless it was an index.
    """
    try:
        source = json.loads(distribution("realtape").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        source = {}
    url = source.get("url", "")
    if not url.startswith("file:") or "dir_info" not in source:
        return f"pip install 'realtape[{extra}]'"
    editable = "-e " if source["dir_info"].get("editable") else ""
    return f"pip install {editable}'{url2pathname(urlsplit(url).path)}[{extra}]'"
