"""Makes a virtual environment, installs what a command needs, and runs it. Standard library only, and not packaged.

    python run.py                the demo: the clinic agent books an appointment on the mock
    python run.py check          format, lint, imports, types, and the fast tests; with --no-tests without these
    python run.py test [...]     the fast tests, on all cores; arguments go to pytest
    python run.py test --all [...]  every test, but for those of other people's clients
    python run.py test --clients [light] [...]  other people's clients against the mock, in an environment of their own;
                                 `light` leaves out those whose packages are large
    python run.py serve [...]    the mock server; arguments go to `realtape serve`
    python run.py call [...]     the clinic agent: one call; arguments go to `realtape clinic call`
    python run.py app [...]      the clinic agent's page and HTTP service; arguments go to `realtape clinic serve`
    python run.py ui [...]       the clinic agent's demo in Streamlit; arguments go to `realtape clinic ui`
    python run.py docs           the documentation as a site, in .ci/cache/site

call, app and ui call a mock that is started for them, or the service itself where XAI_API_KEY or XAI_REALTIME_URL is
set, in the environment or in a file .env here.

Versions are those of constraints.txt, but for the clients, which choose their own. The environment is the folder .venv
beside this file, or the one that REALTAPE_VENV names; that of the clients is beside it, with `-clients` added.
"""

# Parses down to Python 3.6, so that an old interpreter gets a sentence instead of a traceback.
import sys

if sys.version_info < (3, 10):  # noqa: UP036
    sys.exit(f"realtape needs Python 3.10 or newer, and this is {sys.version.split()[0]}: try `python3.13 run.py`.")

import hashlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
STAMP = "realtape-run.json"
# What may fail to install; the first is given up first.
OPTIONAL = {
    "clients-all": "no such packages for this Python or no network; the tests of what is missing are skipped",
    "clients": "no such packages for this Python or no network; the tests of what is missing are skipped",
    "picture": "no Pillow for this platform or no network; the demo draws no picture",
    "hearing": "no speech recognition for this platform or no network; unknown speech is not understood",
    "speech": "no natural voice for this platform or no network; eSpeak speaks instead",
    "espeak": "no speech synthesiser for this platform or no network; the mock speaks in tones instead",
}
INSTEAD = {"speech": "espeak"}
"""The extra that is tried when another one cannot be installed."""

CLIENT_PYTEST = ["-m", "pytest", "--timeout", "300"]
PYTEST = [*CLIENT_PYTEST, "-n", "auto", "--dist", "loadgroup", "-rs", "--ignore", "tests/clients"]
"""On all cores; a test that hangs fails after 300 s; at the end, why tests were skipped."""

# command -> (extras to install, what Python is then given)
COMMANDS = {
    "demo": (["speech", "picture"], ["-m", "realtape", "demo"]),
    "check": (["dev", "speech"], [*PYTEST, "-m", "not slow"]),
    "test": (["dev", "speech"], [*PYTEST, "-m", "not slow"]),
    "serve": (["speech", "hearing"], ["-m", "realtape", "serve"]),
    "call": (["app", "speech", "hearing"], ["-m", "realtape", "clinic", "call"]),
    "app": (["app", "speech", "hearing"], ["-m", "realtape", "clinic", "serve"]),
    "ui": (["app", "speech", "hearing"], ["-m", "realtape", "clinic", "ui"]),
    "docs": (["docs"], ["-m", "mkdocs", "build", "--strict"]),
}
OWN = {"check": ["--no-tests"], "test": ["--all"]}
"""Words that are for run.py; others go to the program."""
CHECKS = (
    ("format", ["-m", "ruff", "format", "--check", "."], "`ruff format .` puts it right"),
    ("lint", ["-m", "ruff", "check", "."], "`ruff check --fix .` puts some of it right"),
    ("imports", ["-c", "from importlinter.cli import lint_imports_command as lint; lint()"], "see CONTRIBUTING.md"),
    ("types", ["-m", "mypy"], "mypy says above what does not fit"),
)
"""What `check` runs before the tests: a name, what Python is given, what helps."""
TIMES = {
    "check": "It takes up to three minutes.",
    "test": "The fast tests take about two minutes on two cores; `test --all` runs the others too.",
    "test --all": "All tests take several times as long as the fast ones: see CONTRIBUTING.md.",
}
"""What is said beforehand. CONTRIBUTING.md has the measured times."""
CLIENTS = {
    "all": (["clients", "clients-all", "dev"], [*CLIENT_PYTEST, "-m", "clients", "tests/clients"]),
    "light": (["clients", "dev"], [*CLIENT_PYTEST, "-m", "clients and not heavy", "tests/clients"]),
}

CONSTRAINTS = "constraints.txt"
MOCK = ["-m", "realtape", "serve", "--port", "0", "--json", "--scenario"]
DAY = "2026-07-01"
"""The clinic's date on the mock, whose scenario speaks of the week after."""
PATIENCE_S = 10
"""How long a program that was told to end may take."""

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
    if name == "test" and "--all" in rest:
        program = PYTEST
    return extras, [*program, *(word for word in rest if word not in OWN.get(name, ()))]


def said_beforehand(words: Sequence[str]) -> str:
    """A line about how long the tests take."""
    if "--clients" in words:
        return "These clients speak in real time: ten minutes, and as long again to install them.\n"
    return f"{TIMES['test --all' if '--all' in words else words[0]]}\n"


def check(python: Path, run: Run) -> list[str]:
    """Runs CHECKS, all of them. Gives the names of those that failed."""
    failed = []
    for name, arguments, advice in CHECKS:
        print(f"== {name}", flush=True)
        if run([str(python), *arguments]) != 0:
            print(f"{name} failed: {advice}", flush=True)
            failed.append(name)
    return failed


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
    files = [root / "pyproject.toml", root / CONSTRAINTS]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files if file.exists())).hexdigest()


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

    An extra named in OPTIONAL may fail: the rest is installed without it, or with what INSTEAD names, and one line says
    what that means.
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
            given_up = spare.pop(0)
            lack.add(given_up)
            if given_up in INSTEAD:
                wanted.add(INSTEAD[given_up])
                spare.append(INSTEAD[given_up])
        have = wanted - lack
        project = f"{root} {project_hash(root)}"
        write_stamp(venv, {"python": python_name(), "project": project, "extras": sorted(have), "lack": sorted(lack)})
    for extra in sorted(lack & set(extras)):
        instead = INSTEAD.get(extra)
        print(f"Going on without `{extra}`: {OPTIONAL[instead if instead in lack else extra]}.", flush=True)


def pip(root: Path, venv: Path, extras: set[str], run: Run) -> bool:
    target = f"{root}[{','.join(sorted(extras))}]" if extras else str(root)
    options = ["--quiet", "--disable-pip-version-check", "--no-input"]
    if "clients" not in extras and (root / CONSTRAINTS).exists():
        options += ["--constraint", str(root / CONSTRAINTS)]
    return run([str(interpreter(venv)), "-m", "pip", "install", *options, "--editable", target]) == 0


def calls_a_service(arguments: Sequence[str]) -> bool:
    """Whether a command needs somebody to call."""
    return list(arguments[:3]) == ["-m", "realtape", "clinic"] and "--help" not in arguments


def is_told_whom_to_call(environ: Mapping[str, str], folder: Path) -> bool:
    """Whether key or address of a service are set, in the environment or in a file `.env`."""
    names = ("XAI_API_KEY", "XAI_REALTIME_URL")
    try:
        written = (folder / ".env").read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        written = ""
    line = re.compile(rf"^\s*(?:export\s+)?(?:{'|'.join(names)})\s*=\s*[^\s#]", re.MULTILINE)
    return any(environ.get(name, "").strip() for name in names) or bool(line.search(written))


def mock_environment(ready: str) -> dict[str, str]:
    """What an agent has to know to call the mock that said `ready`, its line of JSON. Raises Unusable."""
    try:
        told = json.loads(ready)
        ws, http = str(told["ws"]), str(told["http"])
    except (ValueError, KeyError, TypeError):
        raise Unusable("the mock did not start; it says why above") from None
    return {
        "XAI_REALTIME_URL": ws,
        "XAI_HTTP_URL": http,
        "XAI_API_KEY": "any-key-will-do",
        "CLINIC_TODAY": DAY,
        "CLINIC_AUDIO": str(ROOT / "cassettes" / "voices"),
        "CLINIC_SCENARIOS": str(ROOT / "cassettes" / "scenarios"),
        "CLINIC_CONTROL_URL": f"{http[: -len('/v1')]}/_mock",
    }


def call_a_mock(python: Path, arguments: Sequence[str]) -> int:
    """Runs the command beside a mock of its own, which ends with it. Raises Unusable when there is no mock."""

    def ended(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, ended)  # else the mock would stay
    scenario = str(ROOT / "cassettes" / "scenarios" / "clinic.yaml")
    with subprocess.Popen([str(python), *MOCK, scenario], stdout=subprocess.PIPE, text=True) as mock:
        try:
            assert mock.stdout is not None
            told = mock_environment(mock.stdout.readline())
            where = f"calling a mock at {told['XAI_REALTIME_URL']}, where it is {DAY}"
            print(f"No XAI_API_KEY: {where}.", file=sys.stderr, flush=True)
            child = subprocess.Popen([str(python), *arguments], env={**os.environ, **told})
            return wait_for(child)
        finally:
            mock.terminate()


def wait_for(child: "subprocess.Popen[bytes]") -> int:
    """The exit code of a program that gets interrupts too, and ends in its own way; ended with this one."""
    try:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def become(arguments: Sequence[str]) -> int:
    """Runs the command in place of this process, so that signals reach it; Windows cannot, and waits for it."""
    sys.stdout.flush()
    if os.name != "nt":
        os.execv(arguments[0], list(arguments))
    return wait_for(subprocess.Popen(arguments))


def main(words: Sequence[str]) -> int:
    if words and words[0] in ("-h", "--help", "help"):
        print(__doc__)
        return 0
    try:
        extras, arguments = plan(words)
        venv = folder(extras)
        make(venv, call)
        install(ROOT, venv, extras, call)
        if calls_a_service(arguments) and not is_told_whom_to_call(os.environ, Path()):
            return call_a_mock(interpreter(venv), arguments)
    except Unusable as problem:
        print(f"run.py: {problem}", file=sys.stderr)
        return 2
    if arguments[:2] != ["-m", "pytest"]:
        return become([str(interpreter(venv)), *arguments])
    os.chdir(ROOT)
    print(said_beforehand(words), end="", flush=True)
    if words[0] != "check":
        return become([str(interpreter(venv)), *arguments])
    failed = check(interpreter(venv), call)
    if "--no-tests" not in words:
        print("== tests", flush=True)
        failed += ["tests"] if call([str(interpreter(venv)), *arguments]) != 0 else []
    print(f"Failed: {', '.join(failed)}" if failed else "All is well.", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
