"""What a compiled wheel is made of: values with a written `__init__`, and classes from which only compiled ones derive.

`python -m tools.compiled_tests` runs the tests of the core against such a wheel.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.compiled import native

ROOT = Path(__file__).resolve().parent.parent
BUILD = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PATTERNS = re.findall(r'^    "(.+?)"', BUILD.partition("\ncompiled = [")[2].partition("\n]")[0], re.MULTILINE)
COMPILED = sorted({path for pattern in PATTERNS for path in ROOT.glob(pattern) if path.name != "__init__.py"})
VALUES = '''"""Values of an example."""

from __future__ import annotations

from dataclasses import dataclass, field

from replay.values import value


@value
class Point:
    """Where."""

    x: int
    y: int = 2
    """Downwards."""

    @property
    def sum(self) -> int:
        return self.x + self.y


@dataclass(slots=True, eq=False, kw_only=True)
class Path:
    name: str
    points: list[Point] = field(default_factory=lambda: [Point(0)])
    length: float = field(default=1.5, compare=False)
    kept: list[int] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.kept.append(len(self.points))


@dataclass(frozen=True, slots=True)
class Settings:
    names: tuple[str, ...] = ()


class Derived(Point):
    pass
'''


def run(text: str) -> dict[str, type]:
    """The classes of a module with this text."""
    names: dict[str, type] = {"__name__": __name__}  # type: ignore[dict-item]
    exec(compile(text, "<example>", "exec"), names)
    return names


def test_values_with_a_written_init_are_what_they_were():
    # Only compiled code sets fields of a frozen class in its own `__init__`.
    written = native(VALUES).replace("frozen=True", "unsafe_hash=True")
    before, after = run(VALUES), run(written)
    assert written.count("def __init__") == 3
    for each in (before, after):
        point = each["Point"](1)
        assert (repr(point), point.sum, point.y) == ("Point(x=1, y=2)", 3, 2)
        assert (point == each["Point"](y=2, x=1), hash(point) == hash((1, 2))) == (True, True)
        assert dataclasses.replace(point, y=7) == each["Point"](1, 7)
        assert each["Point"].__match_args__ == ("x", "y")  # type: ignore[attr-defined]
        path = each["Path"](name="a")
        assert (path.points, path.length, path.kept) == ([each["Point"](0)], 1.5, [1])
        assert each["Path"](name="a", points=[]).points == []
        assert each["Path"](name="a") != path
        assert hash(each["Settings"](("a",))) == hash((("a",),))
        with pytest.raises(TypeError, match="positional argument"):
            each["Path"]("a")
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
            each["Point"]()


def test_no_line_moves_so_tracebacks_fit_the_source():
    def lines(text: str) -> list[tuple[str, int]]:
        found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
        return sorted((node.name, node.lineno) for node in found if node.name != "__init__")

    for path in COMPILED:
        source = path.read_text(encoding="utf-8")
        assert lines(native(source)) == lines(source), path


def test_each_pattern_names_a_module():
    assert PATTERNS
    assert [pattern for pattern in PATTERNS if not any(ROOT.glob(pattern))] == []
    assert [path for path in COMPILED if "__file__" in path.read_text(encoding="utf-8")] == []  # it is wrong there


def test_only_compiled_classes_derive_from_a_compiled_one():
    """mypyc refuses to make an instance of any other."""
    home = {}
    for path in COMPILED:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not any("Protocol" in ast.unparse(base) for base in node.bases):
                home[".".join(path.relative_to(ROOT).with_suffix("").parts), node.name] = path
    others = [path for folder in ("mockserver", "replay", "realtape") for path in ROOT.glob(f"{folder}/**/*.py")]
    found = []
    for path in set(others).difference(COMPILED):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        named = {each.asname or each.name: (node.module or "", each.name) for node in imports for each in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases = [ast.unparse(base).partition("[")[0] for base in node.bases]
                found += [(path.name, base) for base in bases if named.get(base, ("", "")) in home]
    assert found == []


@pytest.mark.slow
def test_a_compiled_module_makes_its_values_natively(tmp_path: Path):
    pytest.importorskip("mypyc")
    pytest.importorskip("setuptools")
    if shutil.which("cc") is None:
        pytest.skip("no C compiler here")
    package = tmp_path / "realtape"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "values.py").write_text(VALUES.replace("from replay.values", "from realtape.plain"))
    shutil.copy(ROOT / "replay" / "values.py", package / "plain.py")
    program = [sys.executable, str(ROOT / "tools" / "compiled.py"), str(tmp_path), "realtape/values.py"]
    built = subprocess.run(program, capture_output=True, text=True)
    if "Python.h" in built.stderr:
        pytest.skip("no headers of Python here")
    assert built.returncode == 0, built.stderr
    check = (
        "from realtape.values import Path, Point, Settings\n"
        "point = Point(1)\n"
        "print(type(Point.__init__).__name__, point, point == Point(1, 2), Path(name='a').kept, Settings(('a',)))\n"
    )
    said = subprocess.run([sys.executable, "-c", check], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout == "wrapper_descriptor Point(x=1, y=2) True [1] Settings(names=('a',))\n"
