"""@mastra/voice-xai-realtime: xAI's service only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mockserver.testing.mock_server import MockServer
from tests.clients import programs
from tests.clients.reports import check_report
from tests.clients.steps import Steps

pytestmark = pytest.mark.heavy


@pytest.mark.parametrize("dialect", ["xai"])
def test_mastra_voice(sdk_folder: Path, mock: MockServer, model: str, speech: bytes, took: Callable[[str], Steps]):
    steps = took(f"@mastra/voice-xai-realtime {programs.version(sdk_folder, '@mastra/voice-xai-realtime')}")
    done = programs.run(sdk_folder, ["mastra_voice.js", mock.ws_url, mock.api_key, model], speech)
    check_report(programs.report_of(done), mock, steps, closes=1005)
