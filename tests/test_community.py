"""The files for people who report, cite or contribute: what they name exists, and forms are as GitHub reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_docs import LINK, ROOT, check_command, is_broken

FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))


def form(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return read


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_has_what_github_requires(path: Path):
    """https://docs.github.com/communities/using-templates-to-encourage-useful-issues-and-pull-requests"""
    read = form(path)
    assert {"name", "description", "body"} <= set(read) <= {"name", "description", "title", "labels", "body"}
    asked = [each for each in read["body"] if each["type"] != "markdown"]
    names = [each["id"] for each in asked]
    assert len(set(names)) == len(names) and all(re.fullmatch(r"[\w-]+", name) for name in names)
    assert {each["type"] for each in asked} <= {"input", "textarea", "dropdown", "checkboxes"}
    assert all(each["attributes"]["label"] for each in asked)


def test_a_wire_difference_asks_for_a_tape_and_shows_the_commands_that_make_it():
    read = form(ROOT / ".github" / "ISSUE_TEMPLATE" / "wire-difference.yml")
    shown = re.search(r"(?s)```sh\n(.*?)```", read["body"][0]["attributes"]["value"])
    assert shown is not None
    commands = shown[1].splitlines()
    assert [line.split()[1] for line in commands] == ["record", "scrub", "check"]
    assert [check_command(line) for line in commands] == [None, None, None]
    (tape,) = [each for each in read["body"] if each.get("id") == "tape"]
    assert tape["validations"] == {"required": True}


def test_the_citation_has_the_name_the_summary_and_the_licence_of_the_project():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert f'name = "{cited["title"]}"' in project and f'license = "{cited["license"]}"' in project
    assert f'description = "{" ".join(cited["abstract"].split())}"' in project


def test_the_code_of_conduct_is_linked_and_its_links_work():
    page = ROOT / ".github" / "CODE_OF_CONDUCT.md"
    assert "(.github/CODE_OF_CONDUCT.md)" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [each[0] for each in LINK.findall(page.read_text(encoding="utf-8")) if is_broken(page, each[0])] == []
