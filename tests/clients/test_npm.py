"""The npm package: its own tests, against the server of this checkout."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients import programs

TESTS = Path(__file__).resolve().parent.parent.parent / "npm" / "tests"


@pytest.mark.parametrize("name", [path.name.removesuffix(".test.ts") for path in sorted(TESTS.glob("*.test.ts"))])
def test_the_package_passes_its_own_tests(npm_package: Path, npm_env: Mapping[str, str], name: str):
    done = programs.output(["node", "--test", "--test-timeout=120000", f"build/{name}.test.js"], npm_package, npm_env)
    assert re.search(r"(?m)^# pass [1-9]", done) and re.search(r"(?m)^# skipped 0$", done), done


def test_the_package_has_what_its_users_need_and_no_more(npm_package: Path):
    (packed,) = json.loads(
        programs.output([programs.NPM, "pack", "--dry-run", "--json", "--ignore-scripts"], npm_package)
    )
    names = {entry["path"] for entry in packed["files"]}
    modules = [path.relative_to(TESTS.parent / "src").with_suffix("") for path in (TESTS.parent / "src").rglob("*.ts")]
    made = {f"dist/{module.as_posix()}{suffix}" for module in modules for suffix in (".js", ".d.ts")}
    assert names == {"LICENSE", "README.md", "package.json", *made}


def test_publint_and_arethetypeswrong_find_nothing(npm_package: Path):
    assert "All good!" in programs.output([programs.NPM, "run", "lint"], npm_package)
