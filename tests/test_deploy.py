"""The files of deploy/ and the Dockerfile: what they name exists, and what can run here runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mockserver.cli.serve import serve
from mockserver.testing.mock_server import MockServer

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
OPTIONS = {(each.name or "").upper() for each in serve.params} | {
    option.removeprefix("--").replace("-", "_").upper() for each in serve.params for option in each.opts
}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(each) for each in command], capture_output=True, text=True, timeout=60, cwd=ROOT)


@pytest.mark.parametrize("path", ["Dockerfile", "deploy/compose.yaml", "deploy/helm/values.yaml", "docs/deploy.md"])
def test_a_variable_names_an_option(path: str):
    text = (ROOT / path).read_text(encoding="utf-8")
    named = set(re.findall(r"REALTAPE_SERVE_([A-Z_]+)", text))
    if path.endswith("values.yaml"):
        named |= set(yaml.safe_load(text)["options"])
    assert named
    assert named - OPTIONS == set()


def stages() -> dict[str, str]:
    """The stages of the Dockerfile by name, in their order."""
    found = re.split(r"(?m)^FROM \S+ AS (\S+)$", DOCKERFILE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def test_the_image_is_the_mock_by_default_and_runs_as_no_root():
    assert list(stages())[-1] == "mock"
    for name in ("mock", "clinic"):
        assert "\nUSER 10001\n" in stages()[name]


def health_check(stage: str, port: int) -> int:
    found = re.search(r"HEALTHCHECK[^\[]*(\[.*\])", stages()[stage])
    assert found is not None
    words = json.loads(found[1])
    assert words[0] == "python"
    code = re.sub(r"\b8765\b", str(port), words[2])
    return subprocess.run([sys.executable, *words[1:2], code], capture_output=True, timeout=30).returncode


def test_the_health_check_tells_a_server_from_none():
    with MockServer(voice="tone", admin_token="t") as mock:
        port = int(mock.http_url.rpartition(":")[2].partition("/")[0])
        assert health_check("mock", port) == 0
    assert health_check("mock", port) != 0


def test_compose_opens_ports_on_loopback_alone():
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_callers_may_resume():
    assert "--exclude-tags" not in COMPOSE["services"]["callers"]["command"][0]


def test_mounted_files_are_there():
    sources = [each.split(":")[0] for service in COMPOSE["services"].values() for each in service.get("volumes", ())]
    assert sources
    assert [source for source in sources if not (DEPLOY / source).exists()] == []


def test_the_dashboard_shows_metrics_that_there_are():
    modules = (ROOT / "mockserver/server" / name for name in ("metrics_page.py", "worker_counts.py"))
    text = "".join(module.read_text(encoding="utf-8") for module in modules)
    there = set(re.findall(r'"(realtape_[a-z_]+)"', text))
    dashboard = json.loads((DEPLOY / "grafana/realtape.json").read_text(encoding="utf-8"))
    shown = set(re.findall(r"realtape_[a-z_]+", json.dumps([panel["targets"] for panel in dashboard["panels"]])))
    assert {re.sub("_(total|bucket|sum|count)$", "", name) for name in shown} - there == set()
    assert all(re.search("realtape_|process_", target["expr"]) for p in dashboard["panels"] for target in p["targets"])
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) == 15
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert [name for name in there if name not in page] == []  # each is documented


def rendered(*settings: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("helm") is None:
        pytest.skip("helm is not installed")
    return run("helm", "template", "called", DEPLOY / "helm", *(word for each in settings for word in ("--set", each)))


def test_the_chart_renders_what_a_cluster_takes():
    done = rendered("state=redis://valkey:6379/0", "adminToken.secret=token", "scenario=turns: []")
    assert done.returncode == 0, done.stderr
    found = {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}
    assert set(found) == {"ConfigMap", "Deployment", "Service"}
    assert found["ConfigMap"]["data"] == {"scenario.yaml": "turns: []"}
    pod = found["Deployment"]["spec"]["template"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert found["Service"]["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    (mock,) = pod["spec"]["containers"]
    names = {each["name"] for each in mock["env"]}
    assert {"REALTAPE_SERVE_STATE", "REALTAPE_SERVE_SCENARIO", "REALTAPE_ADMIN_TOKEN"} <= names
    assert {each.removeprefix("REALTAPE_SERVE_") for each in names} - {"REALTAPE_ADMIN_TOKEN"} <= OPTIONS
    assert {each["name"] for each in mock["volumeMounts"]} == {each["name"] for each in pod["spec"]["volumes"]}
    port = mock["ports"][0]["name"]
    assert port == found["Service"]["spec"]["ports"][0]["targetPort"] == mock["livenessProbe"]["httpGet"]["port"]
    alone = rendered("replicas=1")
    assert "REALTAPE_SERVE_STATE" not in alone.stdout
    assert {each["kind"] for each in yaml.safe_load_all(alone.stdout)} == {"Deployment", "Service"}


def test_the_chart_refuses_several_replicas_without_a_state():
    done = rendered()
    assert done.returncode != 0
    assert "several replicas need a state" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("haproxy", "-c", "-f", "deploy/haproxy.cfg"),
        ("hadolint", "Dockerfile"),
        ("docker-compose", "-f", "deploy/compose.yaml", "config", "-q"),
        ("helm", "lint", "deploy/helm", "--set", "state=redis://valkey:6379/0"),
    ],
    ids=" ".join,
)
def test_the_tools_accept_the_files(command: tuple[str, ...]):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
