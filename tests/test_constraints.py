"""constraints.txt names one version of everything that is installed, for every Python that is supported."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement

tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINS = [Requirement(line) for line in LINES if line and not line.startswith("#")]
NOT_PINNED = {"clients", "clients-all", "load", "mic"}
"""Extras that choose for themselves: what they need would hold others back."""


def pins(python: str, name: str, platform: str = "linux") -> list[str]:
    """The versions that hold for a package there; a good file has one or none."""
    there = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": platform}
    return [
        next(iter(pin.specifier)).version
        for pin in PINS
        if pin.name == name and (pin.marker is None or pin.marker.evaluate(there))
    ]


def wanted() -> list[Requirement]:
    extras = {name: needs for name, needs in PROJECT["optional-dependencies"].items() if name not in NOT_PINNED}
    asked = [
        Requirement(text) for text in [*PROJECT["dependencies"], *(text for needs in extras.values() for text in needs)]
    ]
    return [each for each in asked if each.name != "realtape"]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_everything_asked_for_has_one_version_that_satisfies_it(python: str):
    there = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    asked = [each for each in wanted() if each.marker is None or each.marker.evaluate(there)]
    found = {each: pins(python, each.name) for each in asked}
    wrong = {
        str(each): versions
        for each, versions in found.items()
        if len(versions) != 1 or not each.specifier.contains(versions[0])
    }
    assert wrong == {}


def test_the_file_says_how_it_is_made():
    assert "uv pip compile pyproject.toml" in LINES[1]
