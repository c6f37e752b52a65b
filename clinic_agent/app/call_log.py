"""The log of the calls: one JSON line per call, and the audio of the answers if that is switched on."""

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
    """The time of this machine."""
    return datetime.now(timezone.utc)  # noqa: TID251 - the one place where the log reads the clock


class CallLog:
    """The file `calls.jsonl` in `folder`, readable by its owner only. Audio goes to `audio/` beside it."""

    def __init__(self, folder: Path, *, keep_audio: bool = False, now: Callable[[], datetime] = utc_now) -> None:
        self.path = folder / "calls.jsonl"
        self._audio = folder / "audio" if keep_audio else None
        self._now = now
        self._lock = Lock()

    @property
    def notice(self) -> str:
        """The notice for callers."""
        kept = "text and audio are kept" if self._audio else "its text is kept, its audio is not"
        return f"This call is recorded: {kept}. You speak with a computer. In an emergency dial your emergency number."

    def note(self, call: dict[str, Any], wav: bytes = b"") -> None:
        """Add one call. Raises OSError if it cannot be written."""
        at = self._now()
        line = {"at": at.isoformat(timespec="seconds"), **call}
        with self._lock:
            if self._audio is not None and wav:
                conversation = re.sub(r"[^A-Za-z0-9-]", "", str(call.get("conversation_id") or "call"))[:40]
                name = f"{at:%Y%m%dT%H%M%S%f}-{conversation}.wav"
                self._audio.mkdir(mode=0o700, parents=True, exist_ok=True)
                line["audio"] = name
                _write(self._audio / name, wav, os.O_EXCL)
            _write(self.path, (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "replace"), os.O_APPEND)


def _write(path: Path, data: bytes, how: int) -> None:
    binary = getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | how | binary, 0o600), "wb") as file:
        file.write(data)
