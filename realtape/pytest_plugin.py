"""The entry point of the pytest plugin: what pytest finds here is defined in mockserver/testing/pytest_plugin.py."""

from __future__ import annotations

from mockserver.testing.pytest_plugin import *  # noqa: F403 - pytest looks for the hooks and fixtures by their names
