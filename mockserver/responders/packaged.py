"""The scenarios that come with realtape, by name."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from mockserver.documents.problems import quoted
from mockserver.responders.conditions import ScenarioError

FOLDER = Path(__file__).resolve().parents[2] / "cassettes" / "scenarios"
"""In a checkout the folder `cassettes` is beside `mockserver`; so it is in an installed `realtape`."""


def names() -> list[str]:
    """The names of the packaged scenarios."""
    return sorted(path.stem for path in FOLDER.rglob("*.yaml"))


def is_name(given: str | Path) -> bool:
    """Whether a text can be a name, and not a path: it has neither a folder nor a suffix."""
    return bool(str(given)) and Path(given).name == str(given) and not Path(given).suffix


def find(given: str | Path) -> Path:
    """The scenario file of a path or name; a path that exists wins.

    Raises ScenarioError for a name that is unknown. A path is not looked at.
    """
    path = Path(given)
    if not is_name(given) or path.exists():
        return path
    for packaged in FOLDER.rglob("*.yaml"):
        if packaged.stem == path.name:
            return packaged
    near = get_close_matches(path.name.lower(), names(), n=1)
    hint = f"did you mean {quoted(near[0])}? " if near else ""
    raise ScenarioError(
        f"{path}: there is no such file, and no packaged scenario of that name; {hint}Packaged are {', '.join(names())}"
    )
