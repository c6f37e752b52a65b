from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import wave
from pathlib import Path
from urllib.request import urlopen

import pytest
from click.testing import CliRunner, Result
from websockets.sync.client import connect

from mockserver.cli import serve as cli
from mockserver.cli.say import say
from mockserver.server import virtual_time as autojump
from mockserver.server.app import Server
from mockserver.server.options import Options
from replay.version import install_command

ROOT = Path(__file__).resolve().parents[3]


def served(*arguments: str) -> Result:
    return CliRunner().invoke(cli.serve, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--dialect", "klingon"], "known are xai"),
        (["--clock", "sundial"], "use wall, wall:RATE"),
        (["--findings", "loud"], "use off, warn, error"),
        (["--finding", "repeated-wrote=warn"], "did you mean 'repeated-write'?"),
        (["--state", "redis://127.0.0.1:1/0", "--clock", "wall:2"], "a clock with a rate is for one process"),
        (["--scenario", "nowhere.yaml"], "nowhere.yaml"),
        (["--api-key", ""], "leave it out"),
        (["--pacing", "slow"], "live"),
        (["--port", "70000"], "65535"),
        (["--max-sessions", "0"], "at least 1"),
        (["--session-minutes", "nan"], "at least 0.01"),
        (["--accounts", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_bad_option_ends_with_2_and_a_line_that_says_what_to_do(arguments: list[str], advice: str):
    result = served(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert advice in last


def test_a_taken_port_ends_with_2_and_names_the_way_out():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = served("--port", str(taken.getsockname()[1]))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--port 0 picks a free port" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_that_it_is_ready_and_stops_in_peace(number: int, capsys: pytest.CaptureFixture[str]):
    async def main() -> int:
        server = Server(Options(voice="tone"))
        talk = cli._Talk(True, "text", "xai · echo")
        running = asyncio.get_running_loop().create_task(cli._serve(lambda: server, "127.0.0.1", 0, False, talk))
        await asyncio.sleep(1)
        os.kill(os.getpid(), number)
        await running
        talk.close()
        return server.port

    port = autojump.run(main())
    assert capsys.readouterr().out == f"ready ws://127.0.0.1:{port}/v1/realtime\n"


def test_the_ready_line_for_machines_holds_both_addresses_and_the_process():
    ready = json.loads(cli._ready("::1", 8765, as_json=True))
    origin = "http://[::1]:8765"
    places = {"ws": "ws://[::1]:8765/v1/realtime", "http": f"{origin}/v1", "origin": origin}
    assert ready == {**places, "control": f"{origin}/_mock", "pid": os.getpid()}


def spoken(*arguments: str) -> Result:
    return CliRunner().invoke(say, list(arguments))


def test_say_writes_a_wav_of_24_khz_and_prints_its_seconds(tmp_path: Path):
    out = tmp_path / "hello.wav"
    result = spoken("Hello there.", "--out", str(out), "--engine", "tone", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    with wave.open(str(out)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        assert told["seconds"] == pytest.approx(file.getnframes() / 24_000, abs=0.001)
    slower = spoken("Hello there.", "--out", str(out), "--engine", "tone", "--speed", "0.5")
    assert float(slower.stdout.split()[-2]) > 1.5 * told["seconds"]


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [(["--speed", "9"], "1.0 is the normal rate"), (["--out", "no/such/folder/x.wav"], "folder")],
)
def test_say_refuses_what_it_cannot_do(arguments: list[str], advice: str, tmp_path: Path):
    result = spoken("Hello.", "--engine", "tone", "--out", str(tmp_path / "x.wav"), *arguments)
    assert result.exit_code == 2
    assert advice in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM to be graceful about")
def test_the_command_serves_real_clients_warns_of_the_network_and_ends_with_0():
    command = [
        sys.executable,
        "-m",
        "realtape",
        "serve",
        "--port",
        "0",
        "--host",
        "0.0.0.0",
        "--json",
        "--voice",
        "tone",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["pid"] == process.pid
        address = ready["ws"].replace("0.0.0.0", "127.0.0.1")
        with connect(address, additional_headers={"Authorization": "Bearer k"}, compression=None) as ws:
            assert '"session.created"' in str(ws.recv(timeout=10))
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (0, "")
    assert err.startswith("warning: listening on 0.0.0.0")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM to be graceful about")
@pytest.mark.parametrize(
    ("options", "code"), [((), 0), (("--findings", "error"), 0), (("--finding", "unreachable-rule=error"), 1)]
)
def test_a_finding_of_severity_error_ends_the_command_with_1_if_severities_were_given(
    options: tuple[str, ...], code: int, tmp_path: Path
):
    scenario = tmp_path / "twice.yaml"  # its second rule is a finding: advice, which --findings does not raise
    scenario.write_text("turns: [{reply: [{say: One.}]}, {reply: [{say: Two.}]}]")
    command = [
        sys.executable,
        "-m",
        "realtape",
        "serve",
        "--port",
        "0",
        "--json",
        "--scenario",
        str(scenario),
        *options,
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        with urlopen(ready["control"] + "/health") as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=10)
    assert process.returncode == code
    assert ("1 finding of severity error" in err) is bool(code)


def test_without_the_package_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mcp", None)
    monkeypatch.delitem(sys.modules, "mockserver.server.mcp_client", raising=False)
    result = served("--mcp", "live", "--port", "0")
    assert result.exit_code == 2
    assert f"--mcp live needs mcp; install it with: {install_command('mcp')}" in result.output


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="unknown mcp 'dead'; use scripted or live"):
        Options(mcp="dead")  # type: ignore[arg-type]
