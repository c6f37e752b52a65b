"""The programs of docs/testing-node.md, docs/clients/webrtc.md and examples/node run as a reader would run them,
each under its test runner.

A block that begins with `// NAME` is that file. TypeScript is checked with the package's types, too.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients import programs
from tests.clients.devtools import BROWSER
from tests.test_docs import BLOCKS

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "examples" / "node"
PAGES = ("docs/testing-node.md", "docs/clients/webrtc.md")
NAME = re.compile(r"// (\S+)\n")
CODE = [block for block in BLOCKS if block.page in PAGES and block.kind in ("ts", "js")]
FILES = {named[1]: block.text for block in CODE if (named := NAME.match(block.text))}
TESTS = [name for name in FILES if re.search(r"\.(test|spec)\.", name)]
# A config of the reader's own would name its browser, too.
PLAYWRIGHT = """
import { defineConfig } from "@playwright/test";
const launchOptions = { executablePath: %s, args: ["--no-sandbox"] };
export default defineConfig({ outputDir: "results", expect: { timeout: 30_000 }, use: { launchOptions } });
"""


def command(name: str) -> list[str]:
    """How a test file is run. On a busy machine a test may take longer than its runner allows by default."""
    module = ["node", "--experimental-vm-modules", "--no-warnings"]
    if name.endswith(".spec.ts"):
        return ["node", "../node_modules/@playwright/test/cli.js", "test", "--timeout=120000", name]
    if name.endswith(".test.ts"):
        return ["node", "../node_modules/vitest/vitest.mjs", "run", "--root", ".", "--testTimeout=60000", name]
    if name.endswith(".jest.test.js"):
        return [*module, "../node_modules/jest/bin/jest.js", "--rootDir", ".", "--testTimeout=60000", name]
    return ["node", "--test", name]


@pytest.fixture(scope="module")
def page(npm_package: Path) -> Path:
    """A folder inside the package with the files of the page."""
    folder = npm_package / "page"
    folder.mkdir(exist_ok=True)
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "playwright.config.ts").write_text(PLAYWRIGHT % json.dumps(BROWSER), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", TESTS)
def test_a_test_of_the_page_passes(page: Path, npm_env: Mapping[str, str], name: str):
    if name.endswith(".spec.ts") and BROWSER is None:
        pytest.skip("Chromium is not installed")
    done = programs.output(command(name), page, npm_env)
    assert re.search(r"(?m)^\s*(?:Tests:? +)?(?:# pass )?[1-9]\d*\b", done), done


@pytest.fixture(scope="module")
def example(npm_package: Path) -> Path:
    """A copy of examples/node inside the package, where its imports are found."""
    return Path(shutil.copytree(EXAMPLE, npm_package / "example"))


@pytest.mark.parametrize("name", ["agent.test.ts", "page.spec.ts"])
def test_the_example_passes(example: Path, npm_env: Mapping[str, str], name: str):
    if name.endswith(".spec.ts") and BROWSER is None:
        pytest.skip("Chromium is not installed")
    programs.output(command(name), example, {**npm_env, "CHROMIUM": str(BROWSER)})


def test_the_example_has_the_right_types(example: Path):
    check_types(example)


def test_the_typescript_of_the_page_has_the_right_types(page: Path):
    for number, block in enumerate(block for block in CODE if block.kind == "ts" and not NAME.match(block.text)):
        (page / f"block{number}.ts").write_text(block.text, encoding="utf-8")
    check_types(page)


def check_types(folder: Path) -> None:
    options = {"noEmit": True, "noUnusedLocals": False, "lib": ["es2022", "dom", "esnext.disposable"], "rootDir": ".."}
    described = {"extends": "../tsconfig.json", "compilerOptions": options, "include": ["*.ts"]}
    (folder / "tsconfig.json").write_text(json.dumps(described), encoding="utf-8")
    programs.output(["node", "../node_modules/typescript/bin/tsc", "--project", "."], folder)


def test_the_page_has_programs_for_each_runner():
    assert sorted(TESTS) == [
        "agents.spec.ts",
        "agents.test.ts",
        "alone.test.js",
        "booking.jest.test.js",
        "booking.test.ts",
        "call.spec.ts",
        "page.spec.ts",
    ]
