"""The page of the package has absolute links, and a tag is released only if version, changelog and repository agree."""

from __future__ import annotations

import re
import shutil
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tools.release import notes, problems

pytest.importorskip("hatchling")
from tools.long_description import absolute

tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
ROOT = Path(__file__).resolve().parent.parent
HOME = "https://github.com/realtape/realtape"


def test_links_and_images_become_absolute_and_code_stays():
    text = '[a](docs/a.md#b) ![c](c.svg) [d](https://e.example) [f](#g) <img src="h.png">\n```\n[i](j.md)\n```\n'
    assert absolute(text, HOME, "v1.0") == (
        f"[a]({HOME}/blob/v1.0/docs/a.md#b) "
        "![c](https://raw.githubusercontent.com/realtape/realtape/v1.0/c.svg?sanitize=true) "
        "[d](https://e.example) [f](#g) "
        '<img src="https://raw.githubusercontent.com/realtape/realtape/v1.0/h.png">\n```\n[i](j.md)\n```\n'
    )


def test_no_link_of_the_readme_is_left_relative_and_each_leads_to_a_file():
    text = absolute((ROOT / "README.md").read_text(encoding="utf-8"), HOME, "v1.0")
    targets = re.findall(r"\]\(([^)]+)\)|(?:src|href)=\"([^\"]+)\"", re.sub(r"(?ms)^```.*?^```", "", text))
    links = [first or second for first, second in targets]
    assert links and all(link.startswith(("https://", "#")) for link in links)
    named = [re.sub(r".*/v1\.0/|[?#].*", "", link) for link in links if "/v1.0/" in link]
    assert len(named) > 5 and [path for path in named if not (ROOT / path).exists()] == []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "npm").mkdir()
    shutil.copy(ROOT / "npm" / "package.json", tmp_path / "npm")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    changes = (
        "# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-12-01\n\n### Added\n\n- All.\n\n## [0.0.1] - 2026-01-01\n"
    )
    (tmp_path / "CHANGELOG.md").write_text(changes, encoding="utf-8")
    return tmp_path


def test_a_tag_with_its_version_changelog_and_repository_is_released(project: Path):
    version = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert list(problems(project, f"v{version}", "realtape/realtape")) == []
    assert notes(project, version) == "### Added\n\n- All."


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("pyproject.toml", 'version = "0.1.0"', 'version = "0.2.0"', "the tag is v0.1.0"),
        ("npm/package.json", '"version": "0.1.0"', '"version": "0.0.9"', "npm/package.json has version 0.0.9"),
        ("CHANGELOG.md", "[0.1.0] - 2026-12-01", "[0.1.0]", "no entries below '## [0.1.0] - DATE'"),
        ("CHANGELOG.md", "[Unreleased]\n", "[Unreleased]\n\n- More.\n", "entries below [Unreleased]"),
        ("pyproject.toml", f'Repository = "{HOME}"', f'Repository = "{HOME}2"', "does not name"),
    ],
)
def test_a_forgotten_place_keeps_a_tag_from_release(project: Path, file: str, old: str, new: str, says: str):
    text = (project / file).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (project / file).write_text(text.replace(old, new), encoding="utf-8")
    assert any(says in each for each in problems(project, "v0.1.0", "realtape/realtape"))
