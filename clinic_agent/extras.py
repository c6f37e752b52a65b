"""How an extra of the package that contains this agent is installed."""

from __future__ import annotations


def install_command(extra: str) -> str:
    """The command that installs an extra. The agent does not know where it came from, so it names both."""
    return f"pip install 'realtape[{extra}]' (in a checkout: pip install -e '.[{extra}]')"
