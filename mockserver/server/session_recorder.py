"""Sessions of the mock as cassettes: one file a session, written with replay's own writer and scrubber.

Frames are handed over as they cross the wire; a thread for each session cleans and writes them. If the disk fails, the
recording ends and the session goes on.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from datetime import datetime, timezone
from pathlib import Path

from replay.cassette.file import SUFFIX
from replay.cassette.frames import Binary, Close, Reset, Text
from replay.cassette.records import Content, Header, Record, Request, Response, Way
from replay.outlets import logger
from replay.relay.writer import BackgroundWriter
from replay.secrets.named import Secrets
from replay.version import tool_version

MOST_NAMED = 10_000
"""Cassettes whose paths are kept."""
_LOG = logger(__name__)


class SessionRecorder:
    """Records each session into a folder. Raises OSError if the folder cannot be made or written to."""

    def __init__(self, folder: str | os.PathLike[str], secrets: Secrets | None = None) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not os.access(self.folder, os.W_OK):
            raise PermissionError(13, os.strerror(13), str(self.folder))
        self.written: deque[Path] = deque(maxlen=MOST_NAMED)
        """The latest cassettes that were begun, oldest first."""
        self._taken: deque[Path] = deque(maxlen=MOST_NAMED)
        self._secrets = secrets or Secrets()
        self.failures = 0
        """Sessions that are not recorded to their end."""
        self._ending: set[asyncio.Future[None]] = set()

    def beside(self) -> SessionRecorder:
        """A recorder of other sessions into the same folder. No file of one is overwritten by the other."""
        other = SessionRecorder(self.folder, self._secrets)
        other._taken = self._taken
        return other

    def open(
        self,
        session: str,
        dialect: str,
        url: str,
        model: str | None,
        asked: Request,
        answered: Response,
        unix: float,
    ) -> SessionRecording:
        """Begin the cassette of a session with its handshake. `unix` is the Unix second at which it opened."""
        at = datetime.fromtimestamp(unix, timezone.utc)
        path = self._free(f"{at:%Y%m%dT%H%M%S}-{session}")
        header = Header("mock", url, dialect, model, at.isoformat(timespec="seconds"), f"realtape {tool_version()}")
        self.written.append(path)
        self._taken.append(path)

        def failed(why: str) -> None:
            self.failures += 1
            _LOG.error("session %s is not recorded any further: %s", session, why)

        recording = SessionRecording(BackgroundWriter(path, header, secrets=self._secrets, failed=failed), self)
        recording.put(0.0, "sent", asked)
        recording.put(0.0, "received", answered)
        return recording

    def _free(self, name: str) -> Path:
        """A path that does not exist: the same seed gives sessions the same names, and no file is overwritten."""
        path, number = self.folder / f"{name}{SUFFIX}", 1
        while path.exists() or path in self._taken:
            number += 1
            path = self.folder / f"{name}-{number}{SUFFIX}"
        return path

    def finish(self, writer: BackgroundWriter, at_us: int) -> None:
        """End a cassette in a thread: it may take a while."""
        ending = asyncio.get_running_loop().run_in_executor(None, writer.finish, at_us)
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def finished(self) -> None:
        """Wait until the cassettes of all closed sessions have their end marks."""
        while self._ending:
            await asyncio.wait(self._ending)


class SessionRecording:
    """One session's cassette while it is written. Instants are seconds since the session opened."""

    def __init__(self, writer: BackgroundWriter, recorder: SessionRecorder) -> None:
        self._writer = writer
        self._recorder = recorder
        self._closed = False

    def sent(self, at: float, data: str | bytes | Close) -> None:
        """The client sent a message, or a close frame."""
        match data:
            case str():
                self.put(at, "sent", Text(data.encode(errors="surrogatepass")))
            case bytes():
                self.put(at, "sent", Binary(data))
            case Close():
                self.put(at, "sent", data)

    def put(self, at: float, way: Way, content: Content) -> None:
        """A frame or a half of the handshake crossed the wire."""
        self._closed = self._closed or isinstance(content, (Close, Reset))
        self._writer.put(Record(round(at * 1e6), 0, way, content), "pcm")

    def ended(self, at: float, code: int, reason: str) -> None:
        """The session is over. Writes how it ended, if that is not in the cassette yet."""
        if not self._closed:
            self.put(at, "sent", Reset()) if code == 1006 else self.put(at, "received", Close(code, reason))
        self._recorder.finish(self._writer, round(at * 1e6))
