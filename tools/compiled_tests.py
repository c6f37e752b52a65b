"""Builds a compiled wheel and runs the tests of the core against it.

    python -m tools.compiled_tests [FOLDER OF TESTS ...]

It needs a C compiler, pip, a package index, and the extra `dev`. The wheel is installed into a temporary environment,
which sees the packages of this one. There, `mockserver` and `replay` are other names of the wheel's packages, so tests
and benchmarks run unchanged. At the end, `bench/core.py --digest` must print the same for both builds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

from tools.relocate import COMPILE, HOME, MOVED

ROOT = Path(__file__).resolve().parent.parent
TESTS = (
    "tests/mockserver/audio",
    "tests/mockserver/billing",
    "tests/mockserver/dialects",
    "tests/mockserver/faults",
    "tests/mockserver/protocol",
    "tests/mockserver/server",
    "tests/mockserver/session",
    "tests/replay/findings",
    "tests/conformance",
)
PURE = "tests/mockserver/server/test_connection.py"
"""Its peer derives from a compiled class, which mypyc allows to compiled ones only."""
DIALECTS = ("xai", "openai")
ALIASES = f'''
import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec

import orjson


class Aliases(MetaPathFinder, Loader):
    """Finds `mockserver.x` as `{HOME}.mockserver.x`: one module with two names."""

    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name.partition(".")[0] in {MOVED} else None

    def create_module(self, spec):
        module = import_module("{HOME}." + spec.name)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = module.__spec__.loader_state


sys.meta_path.insert(0, Aliases())

# orjson reads fields of a compiled dataclass after they are freed, so none may reach it.
dumps = orjson.dumps
orjson.dumps = lambda data, default=None, option=None: dumps(
    data, default, (option or 0) | orjson.OPT_PASSTHROUGH_DATACLASS
)
'''


def build(folder: Path) -> Path:
    """Build the compiled wheel in `folder`."""
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, env={**os.environ, COMPILE: "1"}, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def environment(folder: Path, wheel: Path) -> Path:
    """Make an environment with the wheel in `folder`; returns its interpreter."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    packages = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    site = Path(packages.strip())
    (site / "aliases.py").write_text(ALIASES, encoding="utf-8")
    (site / "aliases.pth").write_text(f"{sysconfig.get_path('purelib')}\nimport aliases\n", encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", str(wheel)], check=True
    )
    return python


def copy_without_packages(folder: Path) -> None:
    """Copy what tests read of the checkout, but none of its packages."""
    left = shutil.ignore_patterns(".*", "__pycache__", "node_modules")
    for path in ROOT.iterdir():
        if path.is_dir() and path.name not in (*MOVED, HOME) and not path.name.startswith("."):
            shutil.copytree(path, folder / path.name, ignore=left)
        elif path.is_file():
            shutil.copy(path, folder)


def digests(python: str | Path, folder: Path) -> list[str]:
    """What a session says with this interpreter, for each service."""
    command = [python, "bench/core.py", "--digest", "--dialect"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return [subprocess.check_output([*command, name], cwd=folder, env=environment, text=True) for name in DIALECTS]


def main(tests: list[str]) -> int:
    """Build, install, test and compare; returns the exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "checkout")
        folder.mkdir()
        copy_without_packages(folder)
        python = environment(Path(scratch, "environment"), build(Path(scratch, "dist")))
        own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        code = "import mockserver.session.session as s; print(s.__name__, s.__file__)"
        subprocess.run([python, "-c", code], cwd=folder, env=own, check=True)
        command = [
            python,
            "-m",
            "pytest",
            "-q",
            "-n",
            "auto",
            "-m",
            "not slow and not pure",
            f"--ignore={PURE}",
            *(tests or TESTS),
        ]
        failed = subprocess.run(command, cwd=folder, env=own, check=False).returncode
        pure, compiled = digests(sys.executable, ROOT), digests(python, folder)
        sys.stdout.write("digests equal\n" if pure == compiled else f"digests: pure {pure}, compiled {compiled}\n")
    return failed or int(pure != compiled)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
