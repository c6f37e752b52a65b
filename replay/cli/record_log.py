"""What `record` says on stderr: lines to read, or one JSON object a line."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Literal

import click

from replay.outlets import clean

LogFormat = Literal["text", "json"]
WAITING = 2_000
"""JSON lines that wait for a slow reader. Further ones are dropped and counted: a full pipe must not stop a call."""
CLOSE_S = 2.0
"""Seconds that the last lines may take."""


class RecordLog:
    """Writes lines until `close`. Those of JSON are written by a thread of their own."""

    def __init__(self, form: LogFormat) -> None:
        self.for_machines = form == "json"
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        if self.for_machines:
            self._thread.start()

    @staticmethod
    def unix() -> float:
        """The Unix second."""
        return datetime.now(timezone.utc).timestamp()  # noqa: TID251  # a line of a log has a time

    def warn(self, text: str) -> None:
        """Say that something is not as it should be."""
        self._say("warning", f"warning: {text}", text)

    def say(self, text: str) -> None:
        """Say something."""
        self._say("info", text, text)

    def line(self, values: Mapping[str, object]) -> None:
        """Write a line of JSON, without secrets."""
        if self._lines.qsize() >= WAITING:
            self._dropped += 1
            return
        cleaned = {name: clean(value) if isinstance(value, str) else value for name, value in values.items()}
        self._lines.put(json.dumps(cleaned))

    def close(self) -> None:
        """Write what is left, for a while."""
        if not self.for_machines:
            return
        if self._dropped:
            self._lines.put(json.dumps(self._log("warning", f"{self._dropped} lines were dropped: nobody read them")))
        self._lines.put(None)
        self._thread.join(CLOSE_S)

    def _say(self, level: str, shown: str, text: str) -> None:
        if self.for_machines:
            self.line(self._log(level, text))
        else:
            click.echo(clean(shown), err=True)

    def _log(self, level: str, text: str) -> dict[str, object]:
        return {"event": "log", "at": round(self.unix(), 3), "level": level, "message": text}

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                click.echo(line, err=True)
            except (OSError, ValueError):  # closed
                return
