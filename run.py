"""Makes a virtual environment, installs what a command needs, and runs it. Standard library only, and not packaged.

    python run.py                the demo: the clinic agent books an appointment on the mock
    python run.py test [...]     the tests; arguments go to pytest
    python run.py test --clients [light] [...]  other people's clients against the mock, in an environment of their own;
                                 `light` leaves out those whose packages are large
    python run.py serve [...]    the mock server; arguments go to `realtape serve`

The environment is the folder .venv beside this file, or the one that REALTAPE_VENV names; that of the clients is beside
it, with `-clients` behind its name.
"""

# Parses down to Python 3.6, so that an old interpreter gets a sentence instead of a traceback.
import sys

if sys.version_info < (3, 10):  # noqa: UP036
    sys.exit(f"realtape needs Python 3.10 or newer, and this is {sys.version.split()[0]}: try `python3.13 run.py`.")

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
STAMP = "realtape-run.json"
# What may fail to install; the first is given up first.
OPTIONAL = {
    "clients-all": "no such packages for this Python or no network; the tests of what is missing are skipped",
    "clients": "no such packages for this Python or no network; the tests of what is missing are skipped",
    "picture": "no Pillow for this platform or no network; the demo draws no picture",
    "speech": "no speech synthesiser for this platform or no network; the mock speaks in tones instead",
}

# command -> (extras to install, what Python is then given)
COMMANDS = {
    "demo": (["speech", "picture"], ["-m", "realtape", "demo"]),
    "test": (["dev", "speech"], ["-m", "pytest"]),
    "serve": (["speech"], ["-m", "realtape", "serve"]),
}
CLIENTS = {
    "all": (["clients", "clients-all", "dev"], ["-m", "pytest", "-m", "clients", "tests/clients"]),
    "light": (["clients", "dev"], ["-m", "pytest", "-m", "clients and not heavy", "tests/clients"]),
}

Run = Callable[[Sequence[str]], int]


class Unusable(Exception):
    """Running cannot go on; the message says what to do."""


def plan(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The extras and the Python arguments for a command line; without a command, the demo. Raises Unusable."""
    name, rest = ("demo", words) if not words or words[0].startswith("-") else (words[0], words[1:])
    if name not in COMMANDS:
        raise Unusable(f"no command {name!r}; there are {', '.join(COMMANDS)}")
    if name == "test" and "--clients" in rest:
        at = rest.index("--clients") + 1
        light = list(rest[at : at + 1]) == ["light"]
        extras, program = CLIENTS["light" if light else "all"]
        return extras, [*program, *rest[: at - 1], *rest[at + light :]]
    extras, program = COMMANDS[name]
    return extras, [*program, *rest]


def folder(extras: Sequence[str]) -> Path:
    """The environment for these extras."""
    venv = Path(os.environ.get("REALTAPE_VENV") or ROOT / ".venv").absolute()
    return venv.with_name(f"{venv.name}-clients") if "clients" in extras else venv


def call(arguments: Sequence[str]) -> int:
    """Runs a program with its output shown. Gives its exit code."""
    return subprocess.run(arguments, check=False).returncode


def interpreter(venv: Path) -> Path:
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def python_name() -> str:
    return f"{sys.implementation.name} {sys.version.split()[0]}"


def project_hash(root: Path) -> str:
    return hashlib.sha256((root / "pyproject.toml").read_bytes()).hexdigest()


def read_stamp(venv: Path) -> dict[str, object]:
    """What was installed here; empty when nothing was, or when the note is unreadable."""
    try:
        stamp = json.loads((venv / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(venv: Path, stamp: dict[str, object]) -> None:
    (venv / STAMP).write_text(json.dumps(stamp, indent=2) + "\n", encoding="utf-8")


def names(value: object) -> set[str]:
    """The names in a stamp's list."""
    return {str(name) for name in value} if isinstance(value, list) else set()


def make(venv: Path, run: Run) -> None:
    """Leaves `venv` as an environment of this interpreter. Replaces only what this file made. Raises Unusable."""
    stamp = read_stamp(venv)
    if stamp.get("python") == python_name() and interpreter(venv).exists():
        return
    if venv.exists() and not stamp and any(venv.iterdir()):
        raise Unusable(f"{venv} was not made by run.py: move it away, or set REALTAPE_VENV to another folder")
    print(f"Making {venv} with {python_name()} ...", flush=True)
    if run([sys.executable, "-m", "venv", "--clear", str(venv)]) != 0:
        raise Unusable("no virtual environment could be made: on Debian and Ubuntu, `apt install python3-venv` helps")
    write_stamp(venv, {"python": python_name()})


def install(root: Path, venv: Path, extras: Sequence[str], run: Run) -> None:
    """Installs the project with `extras` into `venv`, unless its stamp says that this was done. Raises Unusable.

    An extra named in OPTIONAL may fail: the rest is installed without it, and one line says what that means.
    """
    stamp = read_stamp(venv)
    fresh = stamp.get("project") == f"{root} {project_hash(root)}"
    have = names(stamp.get("extras")) if fresh else set()
    by_name = set(CLIENTS["all"][0])  # asked for by name: tried again every time
    lack = names(stamp.get("lack")) - by_name if fresh else set()
    if not fresh or not set(extras) <= have | lack:
        wanted = names(stamp.get("extras")) | set(extras)
        print(f"Installing realtape[{','.join(sorted(wanted))}], once ...", flush=True)
        spare = [extra for extra in OPTIONAL if extra in wanted]
        lack = set()
        while not pip(root, venv, wanted - lack, run):
            if not spare:
                raise Unusable("the installation failed; pip says why above. Without a network, try again with one.")
            lack.add(spare.pop(0))
        have = wanted - lack
        project = f"{root} {project_hash(root)}"
        write_stamp(venv, {"python": python_name(), "project": project, "extras": sorted(have), "lack": sorted(lack)})
    for extra in sorted(lack & set(extras)):
        print(f"Going on without `{extra}`: {OPTIONAL[extra]}.", flush=True)


def pip(root: Path, venv: Path, extras: set[str], run: Run) -> bool:
    target = f"{root}[{','.join(sorted(extras))}]" if extras else str(root)
    options = ["--quiet", "--disable-pip-version-check", "--no-input"]
    return run([str(interpreter(venv)), "-m", "pip", "install", *options, "--editable", target]) == 0


def become(arguments: Sequence[str]) -> int:
    """Runs the command in place of this process, so that signals reach it; Windows cannot, and waits for it."""
    sys.stdout.flush()
    if os.name != "nt":
        os.execv(arguments[0], list(arguments))
    child = subprocess.Popen(arguments)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:  # the child got it too, and ends in its own way
            continue


def main(words: Sequence[str]) -> int:
    if words and words[0] in ("-h", "--help", "help"):
        print(__doc__)
        return 0
    try:
        extras, arguments = plan(words)
        venv = folder(extras)
        make(venv, call)
        install(ROOT, venv, extras, call)
    except Unusable as problem:
        print(f"run.py: {problem}", file=sys.stderr)
        return 2
    if arguments[:2] == ["-m", "pytest"]:
        os.chdir(ROOT)
    return become([str(interpreter(venv)), *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
