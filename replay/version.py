"""The version of realtape, for the files it writes, and how it is installed.

Most commands never ask. Reading what is installed loads 60 modules, the e-mail parser among them, so they are imported
when somebody does.
"""

from __future__ import annotations

import json
from urllib.parse import unquote, urlsplit


def tool_version() -> str:
    """The version of the installed package; `unknown` if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("realtape")
    except PackageNotFoundError:
        return "unknown"


def install_command(extra: str) -> str:
    """The command that installs an extra of realtape from where realtape came: a checkout, or the package index.

    The installer leaves the source in `direct_url.json` (PEP 610) unless it was an index.
    """
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.request import url2pathname

    try:
        source = json.loads(distribution("realtape").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        source = {}
    url = source.get("url", "")
    if not url.startswith("file:") or "dir_info" not in source:
        return f"pip install 'realtape[{extra}]'"
    editable = "-e " if source["dir_info"].get("editable") else ""
    return f"pip install {editable}'{url2pathname(urlsplit(url).path)}[{extra}]'"


def own_requirement() -> str:
    """realtape as a line of requirements.txt, from where it was installed: an address, a folder, or a version."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        installed = distribution("realtape")
    except PackageNotFoundError:
        return "realtape"
    source = json.loads(installed.read_text("direct_url.json") or "{}")
    url = str(source.get("url", ""))
    if vcs := source.get("vcs_info"):
        return f"realtape @ {vcs['vcs']}+{url}@{vcs['commit_id']}"
    if url.startswith("file:"):
        return f"# A folder of this machine. For CI, name an address that it can reach.\n{unquote(urlsplit(url).path)}"
    return f"realtape @ {url}" if url else f"realtape=={installed.version}"
