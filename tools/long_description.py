"""The build hook that makes the README the long description: its relative links and images become absolute.

They point to the tag of the version, so that the page of a release shows what was released.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_FENCE = re.compile(r"(?ms)(^```.*?^```)")
_LINK = re.compile(r"(?P<head>(?P<image>!)?\[[^\]]*\]\(|(?P<source>src)=\"|href=\")(?![a-z]+:|#)(?P<path>[^)\s\"]+)")


class LongDescription(MetadataHookInterface):
    """Gives the metadata the README with absolute links."""

    def update(self, metadata: dict[str, Any]) -> None:
        """See hatchling."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        absolute_text = absolute(text, metadata["urls"]["Repository"], f"v{metadata['version']}")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute_text}


def absolute(text: str, repository: str, tag: str) -> str:
    """Markdown whose relative links lead to a tag of a repository on GitHub. Code blocks stay as they are."""
    pages = f"{repository}/blob/{tag}"
    files = f"{repository.replace('//github.com/', '//raw.githubusercontent.com/')}/{tag}"

    def link(found: re.Match[str]) -> str:
        path = found["path"]
        if found["image"] or found["source"]:
            return f"{found['head']}{files}/{path}{'?sanitize=true' if path.endswith('.svg') else ''}"
        return f"{found['head']}{pages}/{path}"

    return "".join(part if part.startswith("```") else _LINK.sub(link, part) for part in _FENCE.split(text))
