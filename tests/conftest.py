"""What every test of the project keeps to."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points

import pytest
from hypothesis import HealthCheck, settings

from mockserver.dialects.openai.dialect import OpenAI
from mockserver.dialects.xai.dialect import Xai
from tests import served

# The same examples in every run, and no clock: how fast a machine is says nothing about what is tested.
settings.register_profile("realtape", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("realtape")

# An environment that was made before the plugin was has no entry point for it.
pytest_plugins = [] if entry_points(group="pytest11", name="realtape") else ["mockserver.testing.pytest_plugin"]


@pytest.fixture(autouse=True, scope="session")
def dialects_are_watched() -> Iterator[None]:
    """Sessions, sockets and recordings that are acted again all speak through one method."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OpenAI, "render", served.judged(OpenAI.render))
        patch.setattr(Xai, "render", served.judged(Xai.render))
        yield


@pytest.fixture(autouse=True)
def events_are_known() -> Iterator[None]:
    """An event of no known type, or that the openai package would not read, fails the test that brought it about."""
    served.complaints.clear()
    yield
    assert served.complaints == []
