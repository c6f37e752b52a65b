"""The programs of docs/clients run as files of their own, beside the wheel, where the packages that they import are
installed. The commands of a page start the server that its programs in JavaScript need."""

from __future__ import annotations

import json
import re
import sys
import sysconfig
import urllib.request
from pathlib import Path

import pytest

from tests.clients import programs
from tests.reader import Reader
from tests.test_docs import BLOCKS, Block

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


@pytest.fixture(scope="module")
def wheel_bin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment with realtape from the wheel, and all else from the one that runs the tests."""
    pytest.importorskip("build")
    folder, venv = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("venv")
    programs.output(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), str(ROOT)], folder
    )
    (wheel,) = folder.glob("*.whl")
    programs.output([sys.executable, "-m", "venv", str(venv)], folder)
    packages = next(venv.rglob("site-packages"))
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    commands = venv / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", str(commands / "python"), "install", "--quiet", "--no-deps"]
    programs.output([*pip, "--no-index", "--ignore-installed", str(wheel)], folder)
    return commands


@pytest.mark.parametrize("block", programs_in("python"))
def test_the_python_of_a_page_runs(block: Block, wheel_bin: Path, tmp_path: Path):
    for package in re.findall(r"^(?:import|from) (\w+)", block.text, re.MULTILINE):
        pytest.importorskip(package, reason=f"{package} is not installed")
    with Reader(tmp_path, wheel_bin) as reader:
        reader.follow(block)


def test_the_packages_of_a_page_are_those_of_the_wheel(wheel_bin: Path, tmp_path: Path):
    with Reader(tmp_path, wheel_bin) as reader:
        assert str(wheel_bin.parent) in reader.run("python", "-c", "import realtape; print(realtape.__file__)")


@pytest.mark.parametrize("block", programs_in("js"))
def test_the_javascript_of_a_page_runs(block: Block, wheel_bin: Path, tmp_path: Path, request: pytest.FixtureRequest):
    folder: Path = request.getfixturevalue("node_folder" if block.page.endswith("/ws.md") else "sdk_folder")
    command = next(each for each in BLOCKS if each.page == block.page and each.kind == "sh")
    with Reader(tmp_path, wheel_bin) as reader:
        reader.follow(command)
        program = folder / f"{Path(block.page).stem}-{block.line}.mjs"
        program.write_text(reader.here(block.text), encoding="utf-8")
        done = programs.run(folder, [program.name])
        assert (done.returncode, done.stderr.decode()) == (0, "")
        with urllib.request.urlopen(f"http://127.0.0.1:{reader.port}/_mock/journal", timeout=20) as journal:
            sent = [each["type"] for each in json.load(journal) if each["way"] == "out"]
        assert sent[0] == "session.created" and "error" not in sent


def test_there_are_programs_to_run():
    assert (len(programs_in("python")), len(programs_in("js"))) == (8, 4)


def test_the_page_for_browsers_names_the_credentials_that_the_driver_sends():
    text = (ROOT / "docs" / "clients" / "browser.md").read_text(encoding="utf-8")
    names = re.findall(r"xai-client-secret\.|openai-insecure-api-key\.", text)
    source = (Path(__file__).parent / "test_chromium.py").read_text(encoding="utf-8")
    assert names and [name for name in names if name not in source] == []
