"""The build hook that puts every package under `realtape`: `mockserver` is built as `realtape.mockserver`.

A wheel installs one import package, so that a folder with a `mockserver.py` or `replay/` of its own can use it. The
folders are moved by `sources` in pyproject.toml; this hook adapts the text of the modules in them:

- import statements: `from mockserver.x import y` becomes `from realtape.mockserver.x import y`;
- string literals that are the dotted name of a module of the checkout, such as those of the table in realtape/cli.py.

An editable installation is left as it is: there the checkout's folders are imported under their own names.

With `REALTAPE_COMPILE=1` in the environment, tools/compiled.py compiles the modules that pyproject.toml lists. Such a
wheel fits this Python and platform alone. Without it, no compiler is needed and the wheel fits every Python.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HOME = "realtape"
MOVED = ("mockserver", "replay", "clinic_agent")
COMPILE = "REALTAPE_COMPILE"
COMPILER = ("mypy[mypyc]>=1.19", "setuptools>=77")


class NotRelocatable(Exception):
    """A statement that cannot be adapted. The message says where it stands and what to write."""


class NotCompiled(Exception):
    """The compiler failed, and has said why. The message says what it needs."""


class Relocation(BuildHookInterface[Any]):
    """Gives the wheel the adapted modules in place of the checkout's, and extension modules if that is asked for."""

    def dependencies(self) -> list[str]:
        """See hatchling. The compiler reads the types of the packages that realtape uses."""
        return [*self.metadata.core.dependencies, *COMPILER] if os.environ.get(COMPILE) == "1" else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling. `version` is `standard` or `editable`."""
        if version != "standard":
            return
        self._texts = tempfile.TemporaryDirectory()
        for number, (path, text) in enumerate(relocated(Path(self.root)).items()):
            adapted = Path(self._texts.name, str(number))
            adapted.write_bytes(text)
            build_data["force_include"][str(adapted)] = path  # hatchling moves it as `sources` says
        if os.environ.get(COMPILE) == "1":
            self._compile(Path(self._texts.name, "compiled"), build_data)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """See hatchling."""
        if version == "standard":
            self._texts.cleanup()

    def _compile(self, folder: Path, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        sources = write_package(root, folder)
        modules = [sources[place].relative_to(folder) for place in compiled(root, self.config["compiled"])]
        if subprocess.run([sys.executable, root / "tools" / "compiled.py", folder, *modules], check=False).returncode:
            raise NotCompiled(f"See above. {COMPILE}=1 needs a C compiler; without it, the wheel is pure Python.")
        build_data["pure_python"], build_data["infer_tag"] = False, True
        for path in sorted({each for each in folder.rglob("*") if each.is_file()}.difference(sources.values())):
            build_data["force_include"][str(path)] = path.relative_to(folder).as_posix()


def write_package(root: Path, folder: Path) -> dict[str, Path]:
    """Write the modules of `root` into `folder` as a wheel has them; returns their new paths by the old ones."""
    texts, written = relocated(root), {}
    for package in (*MOVED, HOME):
        for _, path in _modules(root, package):
            place = path.relative_to(root).as_posix()
            copy = written[place] = folder / place if package == HOME else folder / HOME / place
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(texts.get(place) or path.read_bytes())
    return written


def compiled(root: Path, patterns: Iterable[str]) -> list[str]:
    """The modules that these patterns name, as paths from `root` with `/` between the parts; no `__init__.py`."""
    paths = {path for pattern in patterns for path in root.glob(pattern) if path.name != "__init__.py"}
    return sorted(path.relative_to(root).as_posix() for path in paths)


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
