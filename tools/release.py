"""Whether a tag may be released: `python tools/release.py v0.2.0 OWNER/NAME`.

It prints the notes of the version, or what is wrong, with exit code 1. The version is in pyproject.toml: a build needs
no git. The tag, the npm package and CHANGELOG.md must name that version, and `[project.urls]` the repository.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def problems(root: Path, tag: str, repository: str) -> Iterator[str]:
    """What keeps a tag of a repository from being released, a line each with what to do."""
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    version = re.findall(r'(?m)^version = "(.*)"$', project)[0]
    if tag != f"v{version}":
        yield f"the tag is {tag}, and pyproject.toml has version {version}: tag v{version}, or change the version"
    npm = json.loads((root / "npm" / "package.json").read_text(encoding="utf-8"))["version"]
    if npm != version:
        yield f"npm/package.json has version {npm}: write {version}"
    if not notes(root, version):
        yield f"CHANGELOG.md has no entries below '## [{version}] - DATE': move those of [Unreleased] there"
    if notes(root, "Unreleased"):
        yield "CHANGELOG.md has entries below [Unreleased]: move them to the version"
    if f'Repository = "https://github.com/{repository}"' not in project:
        yield f"[project.urls] in pyproject.toml does not name https://github.com/{repository}: write it there"


def notes(root: Path, version: str) -> str:
    """The entries of a version in CHANGELOG.md; empty if it has none, or no date."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    dated = "" if version == "Unreleased" else r" - \d{4}-\d\d-\d\d"
    found = re.search(rf"(?ms)^## \[{re.escape(version)}\]{dated}\s*$(.*?)(?=^## |\Z)", text)
    return found[1].strip() if found else ""


def main(tag: str, repository: str) -> int:
    """Print the notes of a tag to stdout, or what is wrong to stderr. Returns the exit code."""
    if wrong := list(problems(ROOT, tag, repository)):
        sys.stderr.write("".join(f"{each}\n" for each in wrong))
        return 1
    sys.stdout.write(f"{notes(ROOT, tag[1:])}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
