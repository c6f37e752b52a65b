"""Compiles modules of a wheel with mypyc.

    python tools/compiled.py FOLDER MODULE.py ...

FOLDER has the package `realtape` as a wheel has it, and modules are named from there. Each gets an extension module
beside it, which Python prefers to the source. tools/relocate.py calls this program. It needs a C compiler, mypy[mypyc]
and setuptools. The packages that realtape uses must be installed, since mypyc reads their types.

mypyc compiles the methods that it sees. A dataclass makes its `__init__` when it is imported, and that stays
interpreted: making a value would cost more than in pure Python. So `native` writes these methods out first. The files
in FOLDER are overwritten. No line moves, so tracebacks fit the sources that a wheel installs.
"""

from __future__ import annotations

import ast
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

OPTIONS = ("--config-file=", "--ignore-missing-imports", "--follow-imports=silent", "--explicit-package-bases")
"""Of mypy. The checks of the project are not repeated here."""
GENERATED: dict[str, Any] = {"opt_level": "2", "debug_level": "0", "multi_file": True}
"""Of mypyc. One C file a module compiles faster than one file for all."""
LIBRARY = "realtape.compiled"
"""The extension module with the code of all others is named so, with `__mypyc` added."""


def main(folder: Path, modules: Sequence[str]) -> None:
    """Compile these modules of the package in `folder`."""
    from mypyc.build import mypycify
    from setuptools import setup

    os.chdir(folder)
    for path in map(Path, modules):
        path.write_bytes(native(path.read_text(encoding="utf-8")).encode())
    with tempfile.TemporaryDirectory() as scratch:
        extensions = mypycify([*OPTIONS, *modules], **GENERATED, group_name=LIBRARY, target_dir=scratch)
        for each in extensions:  # headers lie where the dots of the library's name lead
            each.include_dirs.append(str(Path(scratch, *LIBRARY.split(".")[:-1])))
        arguments = ["--quiet", "build_ext", "--build-lib", ".", "--build-temp", scratch]
        setup(name="realtape", packages=[], ext_modules=extensions, script_args=arguments)


def native(source: str) -> str:
    """The text of a module in which each dataclass, and each `value` of replay/values.py, has its `__init__` written.

    A class with bases, or with an `__init__` of its own, stays as it is.
    """
    lines = source.split("\n")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and not node.bases and (made := _decorated(node)) is not None:
            decorator, keyword_only = made
            (old,) = node.decorator_list
            assert node.end_lineno is not None and old.lineno == old.end_lineno
            lines[old.lineno - 1] = f"{' ' * node.col_offset}@{decorator}"
            behind = node.end_lineno  # a blank line, or the end of the file
            assert not "".join(lines[behind : behind + 1])
            lines[behind : behind + 1] = [" " * (node.col_offset + 4) + _init(node, keyword_only)]
    future = next((at for at, line in enumerate(lines) if line == "from __future__ import annotations"), None)
    if future is not None and lines != source.split("\n"):
        lines[future] += "; from dataclasses import dataclass"
    return "\n".join(lines)


def _decorated(node: ast.ClassDef) -> tuple[str, bool] | None:
    """The decorator under which the class keeps a written `__init__`, and whether its arguments are named; or None."""
    if len(node.decorator_list) != 1 or any(getattr(each, "name", "") == "__init__" for each in node.body):
        return None
    match node.decorator_list[0]:
        case ast.Name("value"):
            return "dataclass(init=False, unsafe_hash=True)", False
        case ast.Name("dataclass"):
            return "dataclass(init=False)", False
        case ast.Call(ast.Name("dataclass"), [], keywords):
            given = {each.arg: ast.unparse(each.value) for each in keywords if each.arg is not None}
            if "config" in given:  # pydantic's
                return None
            keyword_only = given.pop("kw_only", "False") == "True"
            kept = "".join(f", {name}={value}" for name, value in given.items() if name != "slots")
            return f"dataclass(init=False{kept})", keyword_only
        case _:
            return None


def _init(node: ast.ClassDef, keyword_only: bool) -> str:
    """The `__init__` that a dataclass would make, in a line."""
    arguments, sets = ["self", *(["*"] if keyword_only else [])], []
    for name, kind, default in _fields(node):
        match default:
            case None:
                arguments.append(f"{name}: {kind}")
                sets.append(f"self.{name} = {name}")
            case ast.Call(ast.Name("field"), [], keywords):
                given = {each.arg: ast.unparse(each.value) for each in keywords if each.arg is not None}
                made = f"({given['default_factory']})()" if "default_factory" in given else given.get("default")
                if given.get("init") == "False":
                    sets += [f"self.{name} = {made}"] if made is not None else []
                elif "default_factory" in given:
                    arguments.append(f"{name}: {kind} | None = None")
                    sets.append(f"self.{name} = {made} if {name} is None else {name}")
                else:
                    arguments.append(f"{name}: {kind}" + (f" = {made}" if made is not None else ""))
                    sets.append(f"self.{name} = {name}")
            case _:
                arguments.append(f"{name}: {kind} = {ast.unparse(default)}")
                sets.append(f"self.{name} = {name}")
    if any(getattr(each, "name", "") == "__post_init__" for each in node.body):
        sets.append("self.__post_init__()")
    return f"def __init__({', '.join(arguments)}) -> None: {'; '.join(sets) or 'pass'}  # type: ignore"


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str, ast.expr | None]]:
    """The name, type and default of each field of a dataclass."""
    for each in node.body:
        match each:
            case ast.AnnAssign(ast.Name(name), kind) if not ast.unparse(kind).startswith("ClassVar"):
                yield name, ast.unparse(kind), each.value
            case _:
                pass


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
