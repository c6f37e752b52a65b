"""The command `init`: a scenario, an agent, a test and a workflow that run, to start from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import click

from mockserver.cli.schema import text_of
from replay.cli.usage import SuggestingChoice, Unusable
from replay.version import own_requirement

Client = Literal["websockets", "openai-python"]
Service = Literal["xai", "openai"]

_STARTER = Path(__file__).parent / "starter"
_PACKAGES = {"websockets": "websockets>=14.0", "openai-python": "openai[realtime]>=1.99"}
_SCENARIO = """\
# yaml-language-server: $schema=scenario.schema.json
# What the mock says. Check it: realtape scenario check scenario.yaml
name: orders
turns:
  - when: {says: '(?P<number>\\d{4})'}
    reply:
      - say: "One moment."
      - call: {name: look_up, arguments: {number: "{{ number }}"}}
  - when: {tool: look_up}
    reply:
      - say: "Order {{ arguments.number }} is {{ result.state }}."
  - reply:
      - say: "Which order do you mean?"
"""
_TEST = '''\
"""The agent against the mock: no key, no network, no cost."""

import asyncio

import pytest
from agent import answer

pytestmark = pytest.mark.realtime(
    scenario="scenario.yaml", dialect="SERVICE", pacing="burst", env=True, findings="error", unused="off"
)


def test_the_agent_looks_an_order_up(realtime_mock):
    assert asyncio.run(answer("Where is order 1043?")) == "One moment. Order 1043 is being packed."
    realtime_mock.assert_no_errors()
    realtime_mock.assert_cost_at_most("0.05")


def test_the_agent_asks_for_the_number(realtime_mock):
    assert asyncio.run(answer("Where is my order?")) == "Which order do you mean?"


@pytest.mark.realtime(faults=[{"at": "handshake", "do": {"status": 503}}], findings="off")
def test_the_agent_reports_a_service_that_is_down(realtime_mock):
    with pytest.raises(Exception, match="503"):
        asyncio.run(answer("Where is order 1043?"))
'''
_WORKFLOW = """\
name: agent
on: [push, pull_request]
permissions:
  contents: read
jobs:
  test:
    runs-on: ubuntu-latest
    timeout-minutes: 10
    steps:
      - uses: actions/checkout@v5
      - uses: actions/setup-python@v6
        with:
          python-version: "3.13"
      - run: python -m pip install -r requirements.txt
      - run: realtape check scenario.yaml --format github
      - run: python -m pytest
"""
_ENVIRONMENT: Mapping[Service, str] = {
    "xai": "export XAI_REALTIME_URL=ws://127.0.0.1:8765/v1/realtime XAI_API_KEY=anything",
    "openai": "export OPENAI_BASE_URL=http://127.0.0.1:8765/v1 "
    "OPENAI_WEBSOCKET_BASE_URL=ws://127.0.0.1:8765/v1 OPENAI_API_KEY=anything",
}


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path), default=Path())
@click.option(
    "--client",
    type=SuggestingChoice(get_args(Client)),
    default="websockets",
    show_default=True,
    help="Library that the agent connects with.",
)
@click.option(
    "--service",
    type=SuggestingChoice(get_args(Service)),
    default="xai",
    show_default=True,
    help="Service whose API the agent speaks.",
)
def init(folder: Path, client: Client, service: Service) -> None:
    """Write a scenario, a small agent, its tests and a CI workflow to DIR, by default this folder.

    The tests run at once, with `python -m pytest`. If one of the files exists, nothing is written.

    Exit code: 0, or 2 if a file exists or cannot be written.

    Examples:

    \b
      realtape init my-agent
      realtape init my-agent --client openai-python --service openai
    """
    files = contents(client, service)
    if taken := [name for name in files if (folder / name).exists()]:
        raise Unusable(f"{', '.join(str(folder / name) for name in taken)}: there already; choose another folder")
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
            click.echo(str(path))
    except OSError as problem:
        raise Unusable(f"{folder}: {problem.strerror}; choose another folder") from problem
    click.echo(
        f"\ntest it:   python -m pytest {folder}\n"
        f"serve it:  realtape serve --watch --dialect {service} --scenario {folder / 'scenario.yaml'}\n"
        f"           {_ENVIRONMENT[service]}\n"
        f'           python {folder / "agent.py"} "Where is order 1043?"'
    )


def contents(client: Client, service: Service) -> dict[str, str]:
    """The files to write, by their path in the folder."""
    agent = _STARTER / f"{client.replace('-', '_')}_{service}.py"
    return {
        "agent.py": agent.read_text(encoding="utf-8"),
        "scenario.yaml": _SCENARIO,
        "scenario.schema.json": text_of("scenario"),
        "test_agent.py": _TEST.replace("SERVICE", service),
        "requirements.txt": f"{own_requirement()}\n{_PACKAGES[client]}\npytest>=8.3\n",
        ".github/workflows/agent.yml": _WORKFLOW,
    }
