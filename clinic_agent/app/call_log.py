"""What is kept of the calls: their words, one JSON line a call, and their sound only where that is asked for."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from threading import Lock
from typing import Any


def utc_now() -> datetime:
    """This machine's time."""
    return datetime.now(timezone.utc)  # noqa: TID251 - where a call is noted, its time comes in


class CallLog:
    """The file `calls.jsonl` in `folder`, for its owner's eyes; sound goes to `audio/` beside it."""

    def __init__(self, folder: Path, *, keep_audio: bool = False, now: Callable[[], datetime] = utc_now) -> None:
        self.path = folder / "calls.jsonl"
        self._audio = folder / "audio" if keep_audio else None
        self._now = now
        self._lock = Lock()

    @property
    def notice(self) -> str:
        """What callers have to be told."""
        kept = "words and sound are kept" if self._audio else "its words are kept as text, its sound is not"
        return f"This call is recorded: {kept}. You speak with a computer. In an emergency dial your emergency number."

    def note(self, call: dict[str, Any], wav: bytes = b"") -> None:
        """Add one call. Raises OSError when it cannot be written."""
        at = self._now()
        line = {"at": at.isoformat(timespec="seconds"), **call}
        with self._lock:
            if self._audio is not None and wav:
                name = f"{at:%Y%m%dT%H%M%S%f}-{_plain(call.get('conversation_id'))}.wav"
                self._audio.mkdir(mode=0o700, parents=True, exist_ok=True)
                line["audio"] = name
                _write(self._audio / name, wav, os.O_EXCL)
            _write(self.path, (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "replace"), os.O_APPEND)


def _plain(name: object) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "", str(name or "call"))[:40]


def _write(path: Path, data: bytes, how: int) -> None:
    binary = getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | how | binary, 0o600), "wb") as file:
        file.write(data)
