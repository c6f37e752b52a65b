"""The Python of docs/clients runs as it stands, where the package that it imports is installed."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.test_docs import BLOCKS, Block, run_program

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = [block for block in BLOCKS if block.page.startswith("docs/clients/") and block.kind == "python"]


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
async def test_the_python_of_a_page_runs(block: Block):
    for package in re.findall(r"^(?:import|from) (\w+)", block.text, re.MULTILINE):
        pytest.importorskip(package, reason=f"{package} is not installed")
    await asyncio.wait_for(run_program("\n" * (block.line - 1) + block.text, block.page), 20)


def test_there_are_programs_to_run():
    assert len(PROGRAMS) >= 3


def lines_of(page: str) -> list[str]:
    text = (ROOT / "docs" / "clients" / page).read_text(encoding="utf-8")
    return re.findall(r"(?:xai-client-secret\.|openai-insecure-api-key\.|Authorization)", text)


@pytest.mark.parametrize(("page", "driver"), [("browser.md", "test_chromium.py"), ("ws.md", "ws_raw.js")])
def test_a_page_names_the_credentials_that_the_driver_sends(page: str, driver: str):
    source = (Path(__file__).parent / driver).read_text(encoding="utf-8")
    assert lines_of(page) and [line for line in lines_of(page) if line not in source] == []
