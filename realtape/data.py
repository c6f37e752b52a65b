"""The packaged data: recorded conversations, scenarios and spoken clips."""

from __future__ import annotations

from pathlib import Path


def cassettes() -> Path:
    """The folder `cassettes`: inside this package where it is installed, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "cassettes"
    return installed if installed.is_dir() else package.parent / "cassettes"
