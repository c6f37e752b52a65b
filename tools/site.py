"""Hooks of mkdocs for the site: pages that are made from the code, and files outside of docs/ that its pages link to.

The options of each command come from click, the reference of Python from docstrings. Pages elsewhere in the repository,
such as CONTRIBUTING.md, and linked programs become pages under `project/`, and links to them are rewritten.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
from mkdocs.structure.files import File, Files

import realtape

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)\s#]+)((?:#[^)\s]*)?\))")
KINDS = {
    "": "text",
    ".py": "python",
    ".ts": "ts",
    ".mjs": "js",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".json": "json",
}
"""Languages of the files that a page may show, by suffix; LICENSE and Dockerfile have none."""


def place(path: str) -> str:
    """The page of the site for a path of the repository. Pages in docs/ are where they are; others get one."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    name = path.removeprefix(".")  # folders with a dot are left out of a site
    return f"project/{name}" if name.endswith(".md") else f"project/{name}.md"


def relinked(text: str, path: str) -> tuple[str, list[str]]:
    """Markdown of a file of the repository, with links as the site has them, and the files outside of docs/ it names.

    A link to a folder, or to a file that no page can show, becomes plain text.
    """
    here, outside = posixpath.dirname(place(path)), []

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), found[2]))
        is_page = target.endswith(".md") or Path(target).suffix in KINDS
        if not target.startswith("docs/"):
            if not is_page or not (ROOT / target).is_file():
                return found[0]
            outside.append(target)
        return found[1] + posixpath.relpath(place(target), here or ".") + found[3]

    return LINK.sub(link, text), outside


def shown(path: str) -> str:
    """The Markdown of a file outside of docs/: of a page itself, of a program its text in a block."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return text if path.endswith(".md") else f"# {path}\n\n```{KINDS[Path(path).suffix]}\n{text}```\n"


def commands(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    """The name and the help page of each command, depth first."""
    with click.Context(command, info_name=name, terminal_width=100, max_content_width=100) as context:
        if isinstance(command, click.Group):
            for each in command.list_commands(context):
                found = command.get_command(context, each)
                assert found is not None
                yield from commands(found, f"{name} {each}")
        else:
            yield name, command.get_help(context)


def command_page() -> str:
    """The page with the options of each command, as `--help` prints them."""
    assert isinstance(realtape.main, click.Command)
    parts = [f"## {name}\n\n```text\n{text}\n```\n" for name, text in commands(realtape.main, "realtape")]
    lead = (
        "For those who look an option up: what `--help` prints, for each command. [Command line](cli.md) explains them."
    )
    return "\n".join(["# Options of each command\n", f"{lead}\n", *parts])


def name_page() -> str:
    """The page with each name that `from realtape import …` gives, for mkdocstrings to fill."""
    parts = []
    for name in sorted({*dir(realtape)} - {"main"}):  # the command line has its own page
        value: Any = getattr(realtape, name)
        where = value.__name__ if isinstance(value, ModuleType) else f"{value.__module__}.{value.__qualname__}"
        parts.append(f"::: {where}\n    options: {{heading: {name}}}\n")
    lead = (
        "For those who read signatures: each name of `from realtape import …`. [Python API](python.md) explains them."
    )
    return "\n".join(["# Python, from docstrings\n", f"{lead}\n", *parts])


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages, and a page for each file outside of docs/ that a page leads to."""
    for name, text in (("commands", command_page()), ("api", name_page())):
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    pending = [f"docs/{file.src_uri}" for file in files.documentation_pages() if file.generated_by is None]
    seen = set(pending)
    while pending:
        path = pending.pop()
        text, outside = relinked(
            shown(path) if not path.startswith("docs/") else (ROOT / path).read_text("utf-8"), path
        )
        if not path.startswith("docs/"):
            files.append(File.generated(config, place(path), content=text))
        pending += {each for each in outside if each not in seen}
        seen.update(outside)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Rewrite the links of a page in docs/; those of the others are rewritten already."""
    return markdown if page.file.generated_by else relinked(markdown, f"docs/{page.file.src_uri}")[0]
