"""The GitHub Action, run step by step as GitHub runs it, and the recipes for other CI systems in examples/ci."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from websockets.sync.client import connect

from mockserver.server.addresses import environment
from tests.test_docs import ROOT, check_command
from tools import action

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
CI = ROOT / "examples" / "ci"
WORKFLOWS = sorted([*(CI / "workflows").glob("*.yml"), *(ROOT / ".github" / "workflows").glob("*.yml")])
MISTAKE = {"type": "session.update", "session": {"tools": [{"type": "function", "function": {"name": "book"}}]}}
"""An update whose tool is nested, which the finding `nested-tool` explains."""
AGENT = f"""
import json, os
from websockets.sync.client import connect
key = {{"Authorization": "Bearer " + os.environ["XAI_API_KEY"]}}
with connect(os.environ["XAI_REALTIME_URL"], additional_headers=key) as it:
    it.send(json.dumps({MISTAKE!r}))
    while json.loads(it.recv())["type"] not in ("session.updated", "error"): pass
"""


class Job:
    """A job on GitHub: its files, and the variables that its steps hand on."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.files = {name: place / name.lower() for name in ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in self.files.values():
            file.touch()

    def read(self, name: str) -> str:
        return self.files[name].read_text(encoding="utf-8")

    def variables(self, name: str) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.read(name).splitlines())

    def uses(self, **given: str) -> dict[str, tuple[int, str]]:
        """One step of a workflow that uses the action: exit code and output of each step of the action that ran."""
        inputs = {name: str(each.get("default", "")) for name, each in ACTION["inputs"].items()} | given
        values = {**{f"inputs.{name}": value for name, value in inputs.items()}, "github.action_path": str(ROOT)}
        ended: dict[str, tuple[int, str]] = {}
        for step in ACTION["runs"]["steps"]:
            condition, always = step.get("if", ""), "always()" in step.get("if", "")
            words = re.sub(
                r"inputs\.([\w-]+)", lambda found: repr(inputs[found[1]]), condition.replace("always()", "True")
            )
            runs = eval(words.replace("&&", "and").replace("||", "or"), {}) if words else True  # what the action says
            if not runs or "run" not in step or step["name"] == "Install":
                continue
            if not always and any(code for code, _ in ended.values()):
                continue
            own = {
                name: re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: values[found[1]], text)
                for name, text in step["env"].items()
            }
            environ = {
                **os.environ,
                **{name: str(file) for name, file in self.files.items()},
                "RUNNER_TEMP": str(self.place),
                "PYTHONPATH": str(ROOT),
                "REALTAPE_ACTION_PYTHON": sys.executable,
                **self.variables("GITHUB_ENV"),
                **own,
            }
            shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            done = subprocess.run(shell, env=environ, cwd=self.place, capture_output=True, text=True, timeout=90)
            ended[step["name"]] = (done.returncode, done.stdout + done.stderr)
        return ended


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="GitHub brings its own bash there")
def test_the_action_runs_commands_on_a_mock_and_fails_for_their_mistakes(tmp_path: Path):
    (tmp_path / "agent.py").write_text(AGENT, encoding="utf-8")
    job = Job(tmp_path)
    ended = job.uses(run=f'"{sys.executable}" agent.py', arguments="--pacing burst --seed 7", scenario="clinic")
    assert [(name, code) for name, (code, _) in ended.items()] == [("Start", 0), ("Run", 0), ("Finish", 1)], ended
    assert "::error title=nested-tool::" in ended["Finish"][1]
    assert "1 sessions" in job.read("GITHUB_STEP_SUMMARY") and "| nested-tool |" in job.read("GITHUB_STEP_SUMMARY")
    folder = Path(job.variables("GITHUB_OUTPUT")["folder"])
    assert (folder / "serve.log").stat().st_size and [*(folder / "recordings").glob("*")]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="GitHub brings its own bash there")
def test_a_mock_goes_on_between_the_steps_of_a_job_until_it_is_finished(tmp_path: Path):
    job = Job(tmp_path)
    assert [code for code, _ in job.uses().values()] == [0]
    exported, outputs = job.variables("GITHUB_ENV"), job.variables("GITHUB_OUTPUT")
    assert exported == environment(outputs["ws"], outputs["http"], "mock")
    with connect(exported["XAI_REALTIME_URL"], additional_headers={"Authorization": "Bearer mock"}) as service:
        assert json.loads(service.recv())["type"] == "session.created"
    assert [code for code, _ in job.uses(finish="true").values()] == [0]
    with pytest.raises(OSError):
        action.ask(f"{outputs['control']}/health")
    assert job.uses(finish="true")["Finish"][0] == 1  # it says that nothing runs


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="GitHub brings its own bash there")
def test_a_mock_that_cannot_start_shows_why(tmp_path: Path):
    ended = Job(tmp_path).uses(run="true", scenario="nowhere.yaml")
    assert ended["Start"][0] == 1 and "nowhere.yaml" in ended["Start"][1] and "::error" in ended["Start"][1]
    assert "Run" not in ended


def test_a_cell_of_the_summary_stays_one_cell():
    assert action.cell("a | b\n`<img>`&") == "a &#124; b &#96;&lt;img>&#96;&amp;"


def test_workflows_give_the_action_only_its_inputs():
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
            for step in job["steps"]:
                if step.get("uses", "").startswith("OWNER/realtape@"):
                    assert set(step.get("with", {})) <= set(ACTION["inputs"]), path.name


def test_the_page_has_every_input_with_its_default():
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"(?m)^\| `([\w-]+)` \| (.*?) \|", page.split("| input |")[1].split("\n\n")[0]))
    assert list(rows) == list(ACTION["inputs"])
    assert [name for name, each in ACTION["inputs"].items() if each.get("default", "") not in rows[name]] == []


def test_workflows_pass_actionlint():
    """https://github.com/rhysd/actionlint, from the PATH: it is a program in Go, and no dependency of a test."""
    program = shutil.which("actionlint")
    if program is None:
        pytest.skip("actionlint is not installed")
    done = subprocess.run([program, "-shellcheck=", *map(str, WORKFLOWS)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def service(command: list[str]) -> str:
    return " ".join(["realtape", *command])


def test_the_service_of_gitlab_is_a_command_that_exists():
    job = yaml.safe_load((CI / "gitlab-ci.yml").read_text(encoding="utf-8"))["test"]
    (mock,) = job["services"]
    assert check_command(service(mock["command"])) is None
    base = f"{mock['alias']}:{job['variables']['HEALTHCHECK_TCP_PORT']}"
    exported = environment(f"ws://{base}/v1/realtime", f"http://{base}/v1", "mock")
    assert {name: exported[name] for name in job["variables"] if name in exported}.items() <= job["variables"].items()


class OnThisMachine:
    """In place of testcontainers' DockerContainer: the command runs here, on loopback and a free port."""

    def __init__(self, image: str) -> None:
        self.environ: dict[str, str] = {**os.environ, "PYTHONPATH": str(ROOT)}

    def with_command(self, command: list[str]) -> OnThisMachine:
        self.command = [{"0.0.0.0": "127.0.0.1", "8765": "0"}.get(each, each) for each in command]
        return self

    def with_env(self, name: str, value: str) -> OnThisMachine:
        self.environ[name] = value
        return self

    def with_exposed_ports(self, port: int) -> OnThisMachine:
        assert port == 8765
        return self

    def __enter__(self) -> OnThisMachine:
        program = [sys.executable, "-m", "realtape", *self.command]
        self.process = subprocess.Popen(
            program, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def get_container_host_ip(self) -> str:
        return "127.0.0.1"

    def get_exposed_port(self, port: int) -> str:
        return self.port

    def wait(self, pattern: str) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert re.search(pattern, line)
        self.port = line.split("/")[2].split(":")[1]


@contextmanager
def stubs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in (
        "testcontainers",
        "testcontainers.core",
        "testcontainers.core.container",
        "testcontainers.core.waiting_utils",
    ):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["testcontainers.core.container"], "DockerContainer", OnThisMachine, raising=False)
    wait = lambda running, pattern, timeout: running.wait(pattern)  # noqa: E731
    monkeypatch.setattr(sys.modules["testcontainers.core.waiting_utils"], "wait_for_logs", wait, raising=False)
    spec = importlib.util.spec_from_file_location("containers", CI / "containers.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module


@pytest.mark.slow
def test_the_recipe_for_testcontainers_serves_and_reads_the_findings(monkeypatch: pytest.MonkeyPatch):
    with stubs(monkeypatch) as recipe:
        origins = recipe.realtime_origin.__wrapped__()
        origin = next(origins)
        with connect(f"ws://{origin}/v1/realtime", additional_headers={"Authorization": "Bearer any"}) as client:
            client.send(json.dumps(MISTAKE))
            while json.loads(client.recv())["type"] not in ("session.updated", "error"):
                pass
        assert [each["rule"] for each in recipe.findings(origin)] == ["nested-tool"]
        origins.close()
