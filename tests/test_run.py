"""`run.py` without a network: pip and venv are a function that is handed in, and writes down what it was asked."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import run


class Machine:
    """Stands in for the programs that run.py starts. `broken` are the extras that cannot be installed."""

    def __init__(self, broken: Sequence[str] = (), offline: bool = False) -> None:
        self.broken = broken
        self.offline = offline
        self.made = 0
        self.extras: list[str] = []
        """What pip was asked to install beside the project, one entry per call."""

    def __call__(self, arguments: Sequence[str]) -> int:
        if "venv" in arguments:
            python = run.interpreter(Path(arguments[-1]))
            python.parent.mkdir(parents=True)
            python.touch()
            self.made += 1
            return 0
        asked = arguments[-1].partition("[")[2].rstrip("]")
        self.extras.append(asked)
        return int(self.offline or any(extra in asked for extra in self.broken))


class Checkout:
    """A project folder with an environment that `prepare` fills, as `main` does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.edit("one")

    def edit(self, text: str) -> None:
        (self.root / "pyproject.toml").write_text(text, encoding="utf-8")

    def prepare(self, machine: Machine, extras: Sequence[str]) -> None:
        run.make(self.venv, machine)
        run.install(self.root, self.venv, extras, machine)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ([], ["-m", "realtape", "demo"]),
        (["--json"], ["-m", "realtape", "demo", "--json"]),
        (["demo", "--json"], ["-m", "realtape", "demo", "--json"]),
        (["test", "-k", "cut"], [*run.PYTEST, "-m", "not slow", "-k", "cut"]),
        (["test", "--all", "-k", "cut"], [*run.PYTEST, "-k", "cut"]),
        (["check"], [*run.PYTEST, "-m", "not slow"]),
        (["check", "--no-tests"], [*run.PYTEST, "-m", "not slow"]),
        (["serve", "--port", "0"], ["-m", "realtape", "serve", "--port", "0"]),
        (["test", "--clients", "-x"], [*run.CLIENT_PYTEST, "-m", "clients", "tests/clients", "-x"]),
        (
            ["test", "--clients", "light", "-x"],
            [*run.CLIENT_PYTEST, "-m", "clients and not heavy", "tests/clients", "-x"],
        ),
        (["call", "--text", "Hi"], ["-m", "realtape", "clinic", "call", "--text", "Hi"]),
        (["app", "--port", "0"], ["-m", "realtape", "clinic", "serve", "--port", "0"]),
        (["ui"], ["-m", "realtape", "clinic", "ui"]),
    ],
)
def test_further_words_go_to_the_command_and_the_demo_is_the_default(words: list[str], arguments: list[str]):
    assert run.plan(words)[1] == arguments


def test_an_unknown_command_exits_2_with_the_known_ones(capsys: pytest.CaptureFixture[str]):
    assert run.main(["sevre"]) == 2
    assert (
        capsys.readouterr().err
        == "run.py: no command 'sevre'; there are demo, check, test, serve, call, app, ui, docs\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["test"], "two minutes on two cores"),
        (["test", "-x"], "two minutes on two cores"),
        (["test", "--all"], "see CONTRIBUTING.md"),
        (["check"], "up to three minutes"),
        (["test", "--clients"], "in real time"),
    ],
)
def test_how_long_the_tests_take_is_said_beforehand(words: list[str], said: str):
    assert said in run.said_beforehand(words)


def test_every_check_runs_and_what_failed_is_named_with_what_helps(capsys: pytest.CaptureFixture[str]):
    ran: list[str] = []

    def machine(arguments: Sequence[str]) -> int:
        ran.append(" ".join(arguments[1:]))
        return int("ruff" in arguments)

    assert run.check(Path("python"), machine) == ["format", "lint"]
    assert len(ran) == len(run.CHECKS)
    assert "format failed: `ruff format .`" in capsys.readouterr().out


def test_help_shows_every_command(capsys: pytest.CaptureFixture[str]):
    assert run.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in run.COMMANDS if name not in shown] == []


def test_the_second_start_installs_nothing(checkout: Checkout):
    machine = Machine()
    checkout.prepare(machine, ["dev", "speech"])
    checkout.prepare(machine, ["speech"])
    assert (machine.made, machine.extras) == (1, ["dev,speech"])


def test_another_command_adds_its_extras_to_what_is_there(checkout: Checkout):
    machine = Machine()
    checkout.prepare(machine, ["speech"])
    checkout.prepare(machine, ["dev"])
    assert machine.extras == ["speech", "dev,speech"]


def test_a_changed_pyproject_is_installed_again_with_everything_that_was_there(checkout: Checkout):
    machine = Machine()
    checkout.prepare(machine, ["dev", "speech"])
    checkout.edit("two")
    checkout.prepare(machine, ["speech"])
    assert machine.extras == ["dev,speech"] * 2


def test_an_environment_of_another_python_is_made_anew(checkout: Checkout):
    machine = Machine()
    checkout.prepare(machine, ["speech"])
    stamp = json.loads((checkout.venv / run.STAMP).read_text(encoding="utf-8"))
    run.write_stamp(checkout.venv, {**stamp, "python": "cpython 3.9.1"})
    run.interpreter(checkout.venv).unlink()
    run.interpreter(checkout.venv).parent.rmdir()
    checkout.prepare(machine, ["speech"])
    assert (machine.made, machine.extras) == (2, ["speech", "speech"])


@pytest.mark.parametrize(
    ("broken", "asked", "told"),
    [
        (["speech"], ["hearing,speech", "speech", "espeak"], "eSpeak speaks instead."),
        (["speech", "espeak"], ["hearing,speech", "speech", "espeak", ""], "the mock speaks in tones instead."),
    ],
)
def test_without_the_speech_extra_the_mock_speaks_in_another_way_and_says_so_every_time(
    broken: list[str], asked: list[str], told: str, checkout: Checkout, capsys: pytest.CaptureFixture[str]
):
    machine = Machine(broken=broken)
    for _ in range(2):
        checkout.prepare(machine, ["speech", "hearing"])
        hearing, speech = capsys.readouterr().out.splitlines()[-2:]
        assert hearing.endswith("unknown speech is not understood.")
        assert speech.startswith("Going on without `speech`: ")
        assert speech.endswith(told)
    assert machine.extras == asked


def test_without_the_hearing_extra_the_voice_is_kept(checkout: Checkout, capsys: pytest.CaptureFixture[str]):
    machine = Machine(broken=["hearing"])
    checkout.prepare(machine, ["speech", "hearing"])
    assert machine.extras == ["hearing,speech", "speech"]
    assert capsys.readouterr().out.splitlines()[-1].startswith("Going on without `hearing`: ")


def test_without_the_large_clients_the_others_are_installed(checkout: Checkout, capsys: pytest.CaptureFixture[str]):
    machine = Machine(broken=["clients-all"])
    checkout.prepare(machine, run.CLIENTS["all"][0])
    assert machine.extras == ["clients,clients-all,dev", "clients,dev"]
    assert capsys.readouterr().out.splitlines()[-1].startswith("Going on without `clients-all`: ")


def test_tests_cannot_go_on_without_their_tools(checkout: Checkout):
    with pytest.raises(run.Unusable, match="pip says why above"):
        checkout.prepare(Machine(broken=["dev"]), ["dev", "speech"])


def test_a_failed_installation_is_tried_again_next_time(checkout: Checkout):
    with pytest.raises(run.Unusable):
        checkout.prepare(Machine(offline=True), ["speech"])
    machine = Machine()
    checkout.prepare(machine, ["speech"])
    assert machine.extras == ["speech"]


def test_a_folder_that_run_py_did_not_make_is_left_alone(checkout: Checkout):
    checkout.venv.mkdir()
    (checkout.venv / "letters.txt").write_text("mine", encoding="utf-8")
    machine = Machine()
    with pytest.raises(run.Unusable, match="was not made by run"):
        checkout.prepare(machine, ["speech"])
    assert machine.made == 0


def test_versions_are_those_of_the_constraints_but_for_the_clients(checkout: Checkout):
    asked: list[Sequence[str]] = []

    def machine(arguments: Sequence[str]) -> int:
        asked.append(arguments)
        return 0

    pins = checkout.root / run.CONSTRAINTS
    pins.touch()
    run.pip(checkout.root, checkout.venv, {"dev"}, machine)
    run.pip(checkout.root, checkout.venv, {"clients", "dev"}, machine)
    assert [str(pins) in arguments for arguments in asked] == [True, False]


def test_changed_constraints_are_installed_again(checkout: Checkout):
    machine = Machine()
    for text in ("numpy==1", "numpy==2", "numpy==2"):
        (checkout.root / run.CONSTRAINTS).write_text(text, encoding="utf-8")
        checkout.prepare(machine, ["dev"])
    assert machine.extras == ["dev"] * 2


@pytest.mark.parametrize(
    ("environ", "dotenv", "told"),
    [
        ({}, None, False),
        ({"XAI_API_KEY": " "}, "# XAI_API_KEY=later\nXAI_API_KEY=\n", False),
        ({"XAI_API_KEY": "k"}, None, True),
        ({"XAI_REALTIME_URL": "ws://127.0.0.1:1/v1/realtime"}, None, True),
        ({}, "OTHER=1\nexport XAI_API_KEY = 'k'\n", True),
        ({}, "\ufeffXAI_API_KEY=k", True),
    ],
)
def test_an_agent_calls_the_service_that_environment_or_dotenv_name_else_a_mock(
    environ: dict[str, str], dotenv: str | None, told: bool, tmp_path: Path
):
    if dotenv is not None:
        (tmp_path / ".env").write_text(dotenv, encoding="utf-8")
    assert run.is_told_whom_to_call(environ, tmp_path) is told


@pytest.mark.parametrize(
    ("words", "calls"),
    [(["app"], True), (["ui", "--port", "1"], True), (["app", "--help"], False), (["serve"], False), ([], False)],
)
def test_only_the_agent_s_commands_need_somebody_to_call(words: list[str], calls: bool):
    assert run.calls_a_service(run.plan(words)[1]) is calls


@pytest.mark.parametrize("said", ["", "Traceback", "[]"])
def test_a_mock_that_does_not_start_is_told_of(said: str):
    with pytest.raises(run.Unusable, match="did not start"):
        run.mock_environment(said)


@pytest.mark.slow
def test_an_agent_books_at_a_mock_of_its_own_which_ends_with_it(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CLINIC_DATA", str(tmp_path))
    ask, choose = "A dental cleaning on July sixth.", "Nine thirty. My name is Maria Lopez."
    words = ["-m", "realtape", "clinic", "call", "--json", "--text", ask, "--text", choose]
    assert run.call_a_mock(Path(sys.executable), words) == 0
    told = capfd.readouterr()
    assert json.loads(told.out)["turns"][1]["tools"][0]["result"]["reference"] == "DC-0706-0930"
    assert "calling a mock at ws://127.0.0.1:" in told.err


def test_an_old_python_can_read_the_file_as_far_as_its_refusal():
    source = Path(run.__file__).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 6))
    assert source.index("sys.version_info <") < source.index("import hashlib")


def test_only_the_standard_library_is_imported():
    tree = ast.parse(Path(run.__file__).read_text(encoding="utf-8"))
    modules = [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert [module for module in modules if module.split(".")[0] not in sys.stdlib_module_names] == []
