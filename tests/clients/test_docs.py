"""The programs of docs/clients run as files of their own, where the packages that they import are installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mockserver.testing.mock_server import MockServer
from tests.clients import programs
from tests.test_docs import BLOCKS, Block, run_program

ROOT = Path(__file__).resolve().parent.parent.parent
HEAVY = {"livekit", "pipecat", "openai-node", "agents-realtime", "mastra"}


def programs_in(kind: str) -> list[object]:
    found = [block for block in BLOCKS if block.page.startswith("docs/clients/") and block.kind == kind]
    heavy = {block: [pytest.mark.heavy] if Path(block.page).stem in HEAVY else [] for block in found}
    return [
        pytest.param(block, id=str(block), marks=marks)
        for block, marks in heavy.items()
        if "browser" not in block.page and (kind, block.page) != ("js", "docs/clients/webrtc.md")
    ]


@pytest.mark.parametrize("block", programs_in("python"))
def test_the_python_of_a_page_runs(block: Block, tmp_path: Path):
    for package in re.findall(r"^(?:import|from) (\w+)", block.text, re.MULTILINE):
        pytest.importorskip(package, reason=f"{package} is not installed")
    done = run_program(block, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", programs_in("js"))
def test_the_javascript_of_a_page_runs(block: Block, request: pytest.FixtureRequest):
    folder: Path = request.getfixturevalue("node_folder" if block.page.endswith("/ws.md") else "sdk_folder")
    dialect = "xai" if "grok" in block.text else "openai"
    with MockServer(dialect=dialect, voice="tone") as mock:
        program = folder / f"{Path(block.page).stem}-{block.line}.mjs"
        program.write_text(block.text.replace("127.0.0.1:8765", mock.http_url.split("/")[2]), encoding="utf-8")
        done = programs.run(folder, [program.name])
        assert (done.returncode, done.stderr.decode()) == (0, "")
        assert [session.sent()[0]["type"] for session in mock.sessions] == ["session.created"]
        assert [session.sent("error") for session in mock.sessions] == [[]]


def test_there_are_programs_to_run():
    assert (len(programs_in("python")), len(programs_in("js"))) == (8, 4)


def test_the_page_for_browsers_names_the_credentials_that_the_driver_sends():
    text = (ROOT / "docs" / "clients" / "browser.md").read_text(encoding="utf-8")
    names = re.findall(r"xai-client-secret\.|openai-insecure-api-key\.", text)
    source = (Path(__file__).parent / "test_chromium.py").read_text(encoding="utf-8")
    assert names and [name for name in names if name not in source] == []
