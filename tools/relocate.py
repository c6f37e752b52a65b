"""The build hook that puts every package under `realtape`: `mockserver` is built as `realtape.mockserver`.

A wheel installs one import package, so that a folder with a `mockserver.py` or `replay/` of its own can use it. The
folders are moved by `sources` in pyproject.toml; this hook adapts the text of the modules in them:

- import statements: `from mockserver.x import y` becomes `from realtape.mockserver.x import y`;
- string literals that are the dotted name of a module of the checkout, such as those of the table in realtape/cli.py.

An editable installation is left as it is: there the checkout's folders are imported under their own names.
"""

from __future__ import annotations

import ast
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HOME = "realtape"
MOVED = ("mockserver", "replay", "clinic_agent")


class NotRelocatable(Exception):
    """A statement that cannot be adapted. The message says where it stands and what to write."""


class Relocation(BuildHookInterface[Any]):
    """Gives the wheel the adapted modules in place of the checkout's."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling. `version` is `standard` or `editable`."""
        if version != "standard":
            return
        self._texts = tempfile.TemporaryDirectory()
        for number, (path, text) in enumerate(relocated(Path(self.root)).items()):
            adapted = Path(self._texts.name, str(number))
            adapted.write_bytes(text)
            build_data["force_include"][str(adapted)] = path  # hatchling moves it as `sources` says

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """See hatchling."""
        if version == "standard":
            self._texts.cleanup()


def relocated(root: Path) -> dict[str, bytes]:
    """The new text of each module whose text changes, by its path in the checkout, `/` between its parts.

    Raises NotRelocatable.
    """
    files = {module: path for package in (*MOVED, HOME) for module, path in _modules(root, package)}
    found = {}
    for path in files.values():
        old = path.read_bytes()
        place = path.relative_to(root).as_posix()
        if (new := adapted(old, files, place)) != old:
            found[place] = new
    return found


def adapted(source: bytes, modules: Mapping[str, object], place: str = "<module>") -> bytes:
    """The text of a module (UTF-8) with the moved packages under `realtape`. `modules` has every dotted name.

    Raises NotRelocatable.
    """
    tree = ast.parse(source)
    lines = source.splitlines(keepends=True)
    for line, column in sorted(_insertions(tree, lines, modules, place), reverse=True):
        text = lines[line - 1]
        lines[line - 1] = text[:column] + f"{HOME}.".encode() + text[column:]
    return b"".join(lines)


def literals(tree: ast.AST, modules: Mapping[str, object]) -> list[ast.Constant]:
    """The string literals that are the dotted name of a moved module, alone or with `:attribute` behind it."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_name(node.value, modules)
    ]


def _is_name(text: str, modules: Mapping[str, object]) -> bool:
    module = text.partition(":")[0]
    return "." in module and module in modules and _is_moved(module)


def _is_moved(module: str) -> bool:
    return module.partition(".")[0] in MOVED


def _modules(root: Path, package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _insertions(
    tree: ast.AST, lines: list[bytes], modules: Mapping[str, object], place: str
) -> Iterator[tuple[int, int]]:
    """Line (from 1) and column (in bytes) of every place where `realtape.` has to go."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str() as module, level=0) if _is_moved(module):
                yield node.lineno, _behind(rb"from[ \t]+(?=[a-z])", node, lines, place)
            case ast.Import():
                for alias in node.names:
                    if _is_moved(alias.name):
                        if alias.asname is None:
                            raise NotRelocatable(f"{place}, line {node.lineno}: write `import {alias.name} as ...`")
                        yield alias.lineno, alias.col_offset
            case _:
                pass
    for literal in literals(tree, modules):
        yield literal.lineno, _behind(rb"[\"'](?=[a-z])", literal, lines, place)


def _behind(opening: bytes, node: ast.stmt | ast.expr, lines: list[bytes], place: str) -> int:
    found = re.compile(opening).match(lines[node.lineno - 1], node.col_offset)
    if found is None:
        raise NotRelocatable(f"{place}, line {node.lineno}: write the module's name on this line, in plain quotes")
    return found.end()
