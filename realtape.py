"""The façade: what programs import and the `realtape` command. It loads a part only when that part is used.

from realtape import MockServer, Scenario, Say, Call
"""

from __future__ import annotations

import json
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mockserver.brains import Call, Fail, Pause, Say
    from mockserver.brains.scenario import Clip, Rule, Scenario, ScenarioError, When
    from mockserver.mock import MockServer

__all__ = ["Call", "Clip", "Fail", "MockServer", "Pause", "Rule", "Say", "Scenario", "ScenarioError", "When", "main"]

_HOMES = {
    "Call": "mockserver.brains",
    "Fail": "mockserver.brains",
    "Pause": "mockserver.brains",
    "Say": "mockserver.brains",
    "Clip": "mockserver.brains.scenario",
    "Rule": "mockserver.brains.scenario",
    "Scenario": "mockserver.brains.scenario",
    "ScenarioError": "mockserver.brains.scenario",
    "When": "mockserver.brains.scenario",
    "MockServer": "mockserver.mock",
}
_COMMANDS = {
    "serve": "mockserver.cli",
    "say": "mockserver.cli",
    "demo": "realtape",
    "clinic": "clinic_agent.cli",
}
"""Where each command is; there it goes by the same name."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'realtape' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__


class _Lazy(click.Group):
    """A group whose commands are loaded when they are named, so that one does not pay for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(_COMMANDS[cmd_name]), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.command(cls=_Lazy)
@click.version_option(package_name="realtape")
def main() -> None:
    """The offline twin of realtime voice APIs."""


CASSETTES = Path(__file__).parent / "cassettes"
DEMO_DAY = "2026-07-01"
"""The clinic's date in the demo; its scenario speaks of the week after."""


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="demo",
    show_default=True,
    help="Folder for the WAV files of the call.",
)
@click.option("--voice", type=click.Choice(["auto", "tone", "espeak"]), default="auto", help="The mock's voice.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def demo(out: Path, voice: str, as_json: bool) -> None:
    """Book an appointment by voice, offline: the clinic agent calls the mock, and both sides of the call are kept.

    Exit code 1: the call broke off, or the agent's bill is not the mock's.
    """
    import asyncio
    from datetime import date

    from clinic_agent.assistant import CallReport, run_call
    from clinic_agent.clinic import Clinic
    from clinic_agent.config import from_environment
    from clinic_agent.speech import read_wav, write_wav
    from mockserver.cli import Unusable
    from mockserver.mock import MockServer

    async def booking(mock: MockServer, said: list[bytes]) -> CallReport:
        async with mock:
            config = from_environment({"XAI_API_KEY": mock.api_key, "XAI_REALTIME_URL": mock.ws_url})
            day = date.fromisoformat(DEMO_DAY)
            return await run_call(config, said, Clinic(day), priced_on=day)

    said = sorted((CASSETTES / "voices").glob("booking-*.wav"))
    try:
        out.mkdir(parents=True, exist_ok=True)
        mock = MockServer(CASSETTES / "scenarios" / "clinic.yaml", voice=voice)
    except (OSError, ValueError, RuntimeError) as error:
        raise Unusable(str(error)) from error
    report = asyncio.run(booking(mock, [read_wav(path) for path in said]))
    for number, (path, turn) in enumerate(zip(said, report.turns, strict=False), start=1):
        write_wav(out / f"turn-{number}-caller.wav", read_wav(path))
        write_wav(out / f"turn-{number}-assistant.wav", turn.audio)
    billed = mock.ledger.total_usd
    if as_json:
        click.echo(json.dumps(report.as_json() | {"mock_usd": str(billed), "out": str(out)}, indent=2))
    else:
        click.echo(f"{report.as_text()}\n\nThe mock's own bill is {billed} USD. Listen to {out}/*.wav")
    counted = report.cost.usd
    if report.failure or counted is None or abs(counted - billed) >= Decimal("0.000001"):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main(prog_name="realtape")
