"""The wheel, installed beside a project whose own modules are named like the folders of the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.reader import Reader
from tests.test_docs import BLOCKS, Block

pytest.importorskip("build")

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ["pytest", "openai", "fastapi", "python-dotenv", "python-multipart", "uvicorn"]
"""Installed too: what runs the tests, the client of the README, and of `app` all but the large one, Streamlit."""

NEIGHBOURS = {
    "mockserver.py": "OWN = True\n",
    "replay/__init__.py": "OWN = True\n",
    "clinic_agent.py": "OWN = True\n",
    "cassettes/__init__.py": "OWN = True\n",
    "conftest.py": """
        import cassettes, clinic_agent, mockserver, replay

        assert mockserver.OWN and replay.OWN and clinic_agent.OWN and cassettes.OWN
        """,
    "test_own.py": """
        import mockserver

        def test_without_realtape():
            assert mockserver.OWN

        def test_with_the_fixture(realtime_mock):
            assert realtime_mock.ws_url.startswith("ws://127.0.0.1:")
        """,
    "test_unaware.py": "def test_nothing():\n    assert True\n",
}

PLUGINS = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "realtape-acme"
version = "1"

[tool.hatch.build.targets.wheel]
only-include = ["parrot.py", "shop.py", "acme.py"]
"""
"""The rest of the pyproject.toml that docs/plugins.md shows."""

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]


@dataclass(frozen=True)
class Installed:
    """A project folder with hostile neighbours, and an environment that has the wheel."""

    wheel: Path
    folder: Path
    venv: Path

    @property
    def python(self) -> Path:
        return self.venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def command(self) -> Path:
        return self.python.with_name("realtape.exe" if os.name == "nt" else "realtape")

    @property
    def site_packages(self) -> Path:
        return next(self.venv.rglob("site-packages"))

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the folder. Its output is shown if it fails."""
        done = run(*arguments, cwd=self.folder, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done


def run(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV"))}
    return subprocess.run(
        arguments,
        cwd=cwd,
        env=own | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=500,
        check=False,
    )


def build(out: Path, *options: str) -> Path:
    """The wheel that `python -m build` makes of the checkout. With `--wheel` directly, else by way of the sdist."""
    done = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, *options, ROOT, cwd=out.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder, venv = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("venv")
    there = Installed(build(tmp_path_factory.mktemp("dist") / "direct", "--wheel"), folder, venv)
    for name, text in NEIGHBOURS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text), encoding="utf-8")
    there.run(sys.executable, "-m", "venv", venv)
    pip = [str(there.python), "-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
    done = run(*pip, there.wheel, *BESIDE, cwd=folder)
    if done.returncode != 0 and "CI" not in os.environ:
        pytest.skip(f"the wheel's dependencies cannot be installed here: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return there


def test_the_wheel_has_one_package_and_its_data(installed: Installed):
    names = zipfile.ZipFile(installed.wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"realtape", "realtape-0.1.0.dist-info"}
    data = [
        "py.typed",
        "mockserver/server/web/inspector.js",
        "mockserver/server/workbench/web/index.html",
        "mockserver/server/workbench/web/vendor/codemirror.js",
        "mockserver/server/workbench/web/vendor/codemirror.LICENSE.txt",
        "replay/viewer/web/viewer.js",
        "clinic_agent/app/web/index.html",
    ]
    data += ["cassettes/scenarios/clinic.yaml", "cassettes/voices/booking-1.wav", "cassettes/booking.tape"]
    assert {f"realtape/{name}" for name in data} <= set(names)


def test_an_sdist_gives_the_same_wheel(installed: Installed, tmp_path: Path):
    assert build(tmp_path / "both").read_bytes() == installed.wheel.read_bytes()


def test_only_realtape_is_added_to_the_environment(installed: Installed):
    listed = "import importlib.metadata as m; print(*{str(f).split('/')[0] for f in m.files('realtape')})"
    names = set(installed.run(installed.python, "-c", listed).stdout.split()) - {".."}  # the command, in bin
    assert names == {"realtape", "realtape-0.1.0.dist-info"}


@pytest.mark.parametrize("arguments", [[], ["test_unaware.py"], ["-p", "no:cacheprovider", "test_own.py"]])
def test_pytest_runs_with_and_without_the_plugin_s_fixture(installed: Installed, arguments: list[str]):
    shown = installed.run(installed.python, "-m", "pytest", "-q", *arguments).stdout
    assert re.search(r"\b[123] passed", shown)


def test_the_console_script_and_the_module_are_the_command(installed: Installed):
    for command in ((installed.command,), (installed.python, "-m", "realtape")):
        assert "serve" in installed.run(*command, "--help").stdout
        assert "--scenario" in installed.run(*command, "serve", "--help").stdout


def test_serve_answers(installed: Installed):
    command = [str(installed.command), "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=installed.folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            ready = json.loads(server.stdout.readline())
            for path, expected in (("health", '"ok"'), ("", "<html")):
                with urllib.request.urlopen(f"{ready['http'].removesuffix('v1')}_mock/{path}", timeout=20) as answer:
                    assert expected in answer.read().decode()
        finally:
            server.terminate()


def test_the_demo_runs(installed: Installed):
    report = json.loads(installed.run(installed.python, "-m", "realtape", "demo", "--voice", "tone", "--json").stdout)
    assert "DC-0706-0930" in json.dumps(report)


@pytest.mark.parametrize(
    ("page", "has", "command"),
    [("README.md", "def test_", ["-m", "pytest", "-q"]), ("docs/reference/python.md", "MockServer", [])],
)
def test_the_first_program_of_a_page_runs(installed: Installed, page: str, has: str, command: list[str]):
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"))
    program = next(block for block in blocks if has in block)
    (installed.folder / "test_page.py").write_text(program, encoding="utf-8")
    installed.run(installed.python, *command, "test_page.py")


@pytest.fixture
def reader(installed: Installed, tmp_path: Path) -> Iterator[Reader]:
    """A reader in an empty folder. In place of the live service, a mock serves the scenario of the quick start."""
    there, here = tmp_path / "live", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    with Reader(there, installed.python.parent) as live:
        live.follow(next(block for block in BLOCKS if block.text.startswith("# booking.yaml")))
        live.type("realtape serve --scenario booking.yaml")
        with Reader(here, installed.python.parent, live=f"ws://127.0.0.1:{live.port}/v1/realtime") as reader:
            yield reader


def blocks_of(page: str) -> list[Block]:
    return [block for block in BLOCKS if block.page == page]


def test_the_quick_start_can_be_typed_into_an_empty_folder(reader: Reader):
    reader.environ |= {"REALTAPE_FAULTS_SWEEP_AT": "response.done", "REALTAPE_FAULTS_SWEEP_DO": "reset"}  # not all 91
    shown = ""
    for block in blocks_of("docs/quickstart.md"):
        if "realtape lint" in block.text:
            assert shown.endswith("I have 9:30 and 14:00.\n")
            reader.stop()  # which the page says: Ctrl-C
        shown = reader.follow(block, code=1 if "faults sweep" in block.text else 0)
    assert "\nready ws://" in shown, "of serve --cassette, which the page ends with"
    assert "9:30 and 14:00" in reader.type("realtape show booking.tape")


def test_the_readme_can_be_typed_into_an_empty_folder(reader: Reader):
    said = [reader.follow(block) for block in blocks_of("README.md")[1:]]  # the first installs
    assert "You said: Do you open on Monday?" in said[1] and "1 passed" in said[2]
    assert reader.type("realtape serve").startswith("ready ")


def test_what_init_prints_can_be_typed(reader: Reader):
    shown = reader.type("realtape init my-agent")
    tests, serve, variables, agent = (
        line.removeprefix("test it:").removeprefix("serve it:").strip() for line in shown.split("\n\n")[1].splitlines()
    )
    assert "3 passed" in reader.type(tests)
    reader.type(serve)
    reader.type(variables)
    assert "Order 1043 is being packed." in reader.type(agent)


def test_the_plugins_of_their_page_work_as_they_are_written(installed: Installed, tmp_path: Path):
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    (declared,) = re.findall(r"(?ms)^```toml\n(.*?)^```", page)
    modules = dict(re.findall(r"(?ms)^```python\n# (\w+\.py)\n(.*?)^```", page))
    for name, text in {**modules, "pyproject.toml": declared + PLUGINS}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", tmp_path, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    installed.run(installed.python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel)
    installed.run(installed.command, "say", "Hello", "--engine", "parrot", "--out", tmp_path / "said.wav")
    program = """
        from realtape import MockServer
        with MockServer(responder="shop", dialect="acme", voice="parrot") as mock:
            print(mock.ws_url)
        """
    assert "ws://" in installed.run(installed.python, "-c", textwrap.dedent(program)).stdout


def test_uvx_serves_without_an_installation(installed: Installed, tmp_path: Path):
    uvx = shutil.which("uvx", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if uvx is None:
        pytest.skip("uv is not installed")
    with Reader(tmp_path, Path(uvx).parent) as reader:
        reader.environ["UV_PYTHON"] = sys.executable
        command = ["uvx", "--quiet", "--constraints", str(ROOT / "constraints.txt"), "--from", str(installed.wheel)]
        assert reader.serve(*command, "realtape", "serve").startswith(f"ready ws://127.0.0.1:{reader.port}/")


def test_the_application_is_where_its_name_says(installed: Installed):
    code = "from uvicorn.importer import import_from_string as get; print(type(get('realtape.clinic_agent.app:app')))"
    service = {"XAI_REALTIME_URL": "ws://127.0.0.1:1/v1/realtime", "XAI_API_KEY": "any"}
    assert "FastAPI" in installed.run(installed.python, "-c", code, **service).stdout


def test_record_suite_writes_into_the_folder_and_nowhere_else(installed: Installed):
    place = installed.site_packages / "realtape"
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*") if "__pycache__" not in path.parts}
    installed.run(installed.command, "record-suite", "--only", "medical-escalation")
    after = {path: path.stat().st_mtime_ns for path in place.rglob("*") if "__pycache__" not in path.parts}
    assert after == before
    taped = (installed.folder / "cassettes" / "medical-escalation.tape").read_bytes()
    assert taped == (place / "cassettes" / "medical-escalation.tape").read_bytes()


def test_logs_are_named_like_the_modules(installed: Installed):
    code = "import logging, realtape.mockserver.server.service; print(*logging.root.manager.loggerDict)"
    names = installed.run(installed.python, "-c", code).stdout.split()
    assert "realtape.mockserver.server.service" in names
    assert [name for name in names if name.startswith(("mockserver", "replay", "clinic_agent"))] == []
