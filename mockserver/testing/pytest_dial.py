"""The fixture `realtime_dial` for one test: its calls to phone bridges, shown and kept where the test fails."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

import pytest

from mockserver.calls.script import Entry
from mockserver.dial.report import DialReport
from mockserver.testing.dialler import DialOptions, dial
from mockserver.testing.loop_thread import LoopThread
from mockserver.testing.mock_server import MockServer
from mockserver.testing.pytest_artifacts import folder

SECTION = "realtime phone call"
_OBJECTS = ("synthesizer", "watch", "mock")
_OPTIONS = {each.name for each in fields(DialOptions)}


class Dialling:
    """Calls bridges for one test: `realtime_dial(url, "Hello")`, or in an async test `await realtime_dial(…)`.

    It takes what `realtape.dial` takes. The mock of the fixture `realtime_mock` hears the caller's words. Options of
    the marker `realtime_dial` hold where none is given. The seed is the test's name. `reports` has the calls so far.
    """

    def __init__(self, node: pytest.Function) -> None:
        self.reports: list[DialReport] = []
        self._node = node
        self._async = inspect.iscoroutinefunction(inspect.unwrap(node.obj))
        self._options: dict[str, Any] = {"seed": node.nodeid, "voice": "tone"}
        for mark in reversed(list(node.iter_markers("realtime_dial"))):
            self._options |= mark.kwargs
        self._check(self._options)

    def __call__(self, url: str, says: Entry | Sequence[Any] = (), **options: Any) -> Any:
        """The DialReport of a call; in an async test, a coroutine that gives it. Raises as `realtape.dial` does."""
        self._check({name: value for name, value in options.items() if name not in _OBJECTS})
        call = self._call(url, says, self._options | options)
        if self._async:
            return call
        thread = LoopThread("dial")
        try:
            return thread.call(call)
        finally:
            thread.end()

    async def _call(self, url: str, says: Entry | Sequence[Any], options: dict[str, Any]) -> DialReport:
        mock = self._node.funcargs.get("realtime_mock")
        if isinstance(mock, MockServer):
            options = {"mock": mock, **options}
        self.reports.append(report := await dial(url, says, **options))
        self._node.add_report_section("call", f"{SECTION} {len(self.reports)}", str(report))
        return report

    def failed(self) -> None:
        """Write the sound of each call of a failed test into the folder of its artifacts, if there is one."""
        target = folder(self._node, 1)
        if target is None or not self.reports:
            return
        target.mkdir(parents=True, exist_ok=True)
        for number, report in enumerate(self.reports, 1):
            report.save(target / f"phone-{number}.wav")

    @staticmethod
    def _check(options: dict[str, Any]) -> None:
        for name in options.keys() - _OPTIONS:
            near = get_close_matches(name, _OPTIONS, 1)
            advice = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(_OPTIONS))}"
            pytest.fail(f"realtime_dial has no option {name!r}; {advice}", pytrace=False)
