"""The command that adds an extra, from where realtape was installed."""

from __future__ import annotations

import json
from importlib import metadata
from importlib.metadata import PackageNotFoundError

import pytest

from replay import version


class Installed:
    """A distribution with this `direct_url.json`; None is what an index leaves."""

    def __init__(self, source: object) -> None:
        self.source = source

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self.source is None else json.dumps(self.source)


@pytest.mark.parametrize(
    ("source", "command"),
    [
        (None, "pip install 'realtape[mic]'"),
        ({"url": "https://files.example/realtape.whl", "archive_info": {}}, "pip install 'realtape[mic]'"),
        ({"url": "file:///srv/a%20b/realtape", "dir_info": {}}, "pip install '/srv/a b/realtape[mic]'"),
        ({"url": "file:///src/r", "dir_info": {"editable": True}}, "pip install -e '/src/r[mic]'"),
    ],
)
def test_the_advice_installs_from_where_realtape_came(source: object, command: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metadata, "distribution", lambda name: Installed(source))
    assert version.install_command("mic") == command


def test_without_an_installation_the_index_is_named(monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> Installed:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    assert version.install_command("mic") == "pip install 'realtape[mic]'"
