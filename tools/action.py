"""The steps of the GitHub Action in action.yml: `start` serves the mock and exports its address, `finish` ends it.

Inputs come as variables INPUT_…; addresses, variables and the job's summary go to the files that GitHub names. Only the
standard library is imported, so the steps run wherever the Python does that has realtape installed.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from http.client import HTTPException
from pathlib import Path
from threading import Event
from typing import Any
from urllib.request import urlopen

READY_S = 60.0
"""Seconds within which the mock answers, on a machine that starts cold."""
LONGEST = 300
"""Characters of a cell of the summary."""
RANKS = {"warn": 1, "error": 2, "never": 3}
"""Severities of findings, and above them the choice that no finding fails the job."""


def folder() -> Path:
    """Where the mock's log, recordings and state are."""
    return Path(os.environ["RUNNER_TEMP"]) / "realtape"


def append(variable: str, lines: Iterable[str]) -> None:
    """Add lines to the file that GitHub names in a variable. Outside of GitHub there is none."""
    if path := os.environ.get(variable):
        with open(path, "a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)


def given(name: str) -> str:
    """An input of the action; empty if it is not given."""
    return os.environ.get(f"INPUT_{name}", "").strip()


def options() -> list[str]:
    """The arguments of `realtape serve`."""
    files = [
        part
        for name in ("dialect", "scenario", "cassette", "faults")
        if given(name.upper())
        for part in (f"--{name}", given(name.upper()))
    ]
    port = given("PORT") or "0"
    return [
        "--port",
        port,
        "--json",
        "--record",
        str(folder() / "recordings"),
        *files,
        *shlex.split(given("ARGUMENTS")),
    ]


def environment(ready: Mapping[str, str]) -> dict[str, str]:
    """The variables by which clients find the mock. It accepts any key."""
    return {
        "XAI_REALTIME_URL": ready["ws"],
        "XAI_HTTP_URL": ready["http"],
        "XAI_API_KEY": "mock",
        "OPENAI_BASE_URL": ready["http"],
        "OPENAI_WEBSOCKET_BASE_URL": ready["ws"].removesuffix("/realtime"),
        "OPENAI_API_KEY": "mock",
    }


def ask(url: str) -> Any:
    """What a route of the control plane answers."""
    with urlopen(url, timeout=10) as answer:
        return json.load(answer)


def start() -> int:
    """Serve in the background; return 0 once the mock answers, 1 with its log if it does not."""
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    out, log = place / "ready.json", place / "serve.log"
    command = [sys.executable, "-m", "realtape", "serve", *options()]
    with out.open("wb") as stdout, log.open("wb") as stderr:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
        )
    pause, waited = Event(), 0.0
    while not out.read_bytes().endswith(b"\n") and server.poll() is None and waited < READY_S:
        pause.wait(0.1)
        waited += 0.1
    if not out.read_bytes().endswith(b"\n"):
        server.kill()
        print(log.read_text(encoding="utf-8", errors="replace"), file=sys.stderr)
        print("::error title=realtape::the mock did not start; its log is above")
        return 1
    ready = json.loads(out.read_text(encoding="utf-8"))
    ask(f"{ready['control']}/health")
    append("GITHUB_ENV", (f"{name}={value}" for name, value in environment(ready).items()))
    append("GITHUB_OUTPUT", (f"{name}={ready[name]}" for name in ("ws", "http", "control")))
    print(f"realtape serves {ready['ws']}")
    return 0


def cell(text: object) -> str:
    """Text as one cell of a table in Markdown, without what would end it or be read as HTML."""
    line = " ".join(str(text).split())[:LONGEST]
    return line.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;").replace("`", "&#96;")


def summary(control: str, findings: list[dict[str, Any]]) -> list[str]:
    """The job's summary, in Markdown: how many sessions, their cost, mistakes of the client, what nobody used."""
    ledger = ask(f"{control}/ledger")
    sound = f"{ledger['audio_in_s']:.1f} s of audio in, {ledger['audio_out_s']:.1f} s out"
    lines = [
        "### realtape",
        "",
        f"{ledger['sessions']} sessions, {sound}, {ledger['usd']} USD at the service's prices.",
    ]
    if findings:
        lines += ["", "| severity | finding | what happened | fix |", "|---|---|---|---|"]
        keys = ("level", "rule", "message", "fix")
        lines += ["| " + " | ".join(cell(each[key]) for key in keys) + " |" for each in findings]
    refused = ask(f"{control}/refusals")
    lines += (
        ["", *(f"- refused: {cell(each['error'])}; likely {cell(each['cause'])}" for each in refused)]
        if refused
        else []
    )
    unused = ask(f"{control}/unused")
    lines += ["", *(f"- unused: {cell(each)}" for each in unused)] if unused else []
    return lines


def end(ready: Mapping[str, Any]) -> None:
    """Let the mock close its recordings; wait at most ten seconds for that."""
    os.kill(int(ready["pid"]), signal.SIGTERM)
    for _ in range(100):
        try:
            ask(f"{ready['control']}/health")
        except (OSError, HTTPException):
            return
        Event().wait(0.1)


def finish() -> int:
    """End the mock and write the summary. Returns 1 if a finding reaches the severity of `fail-on`."""
    place = folder()
    append("GITHUB_OUTPUT", [f"folder={place}"])
    least = given("FAIL_ON") or "error"
    if least not in RANKS:
        print(f"::error title=realtape::fail-on is {least}; expected one of {', '.join(RANKS)}")
        return 2
    try:
        ready = json.loads((place / "ready.json").read_text(encoding="utf-8"))
        findings = ask(f"{ready['control']}/findings")
        append("GITHUB_STEP_SUMMARY", summary(ready["control"], findings))
    except (OSError, ValueError):
        print("::error title=realtape::the mock does not run; it did not start, or it ended before")
        return 1
    end(ready)
    bad = [each for each in findings if RANKS[each["level"]] >= RANKS[least]]
    for each in bad:
        text = " ".join(each["message"].split()).replace("%", "%25")
        print(f"::error title={each['rule']}::{text}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit({"start": start, "finish": finish}[sys.argv[1]]())
