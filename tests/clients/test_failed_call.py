"""The page of a failed test, opened from disk in headless Chromium that reaches no network: it plays."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.devtools import BROWSER, browsing
from tests.mockserver.suites import Suite, suite  # noqa: F401  # a fixture

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND"


def test_the_page_of_a_failed_test_plays_from_disk_without_network(
    pytester: pytest.Pytester,
    suite: Suite,  # noqa: F811  # the fixture
    tmp_path: Path,
):
    run = suite(
        """
@pytest.mark.realtime("clinic.yaml", pacing="burst", unused="off")
def test_call(realtime_mock):
    assert ask(realtime_mock, "I have pain.") == "Take a seat."
""",
        "--realtime-artifacts=calls",
    )
    run.assert_outcomes(failed=1)
    page_file = pytester.path / "calls" / "test_calls" / "test_call" / "call.html"
    with browsing(page_file.as_uri(), tmp_path / "profile", OFFLINE) as page:
        assert "test_calls.py::test_call" in page.run("document.title")
        assert "Call an ambulance." in page.text("body")
        page.run(
            "[...document.querySelectorAll('[data-item]')].find((it) => it.innerText.includes('ambulance'))"
            ".querySelector('.play').click()"
        )
        page.until("document.querySelector('audio').currentTime > 0.1")
        assert page.run("document.querySelector('audio').error") is None
        assert (
            page.run("performance.getEntriesByType('resource').filter((it) => !it.name.startsWith('blob:')).length")
            == 0
        )
        assert page.errors == []
