"""Writes a recording during the call: a thread takes what crossed the wire, cleans it and appends it.

A full or slow disk, or a file that was deleted, stops the recording and nothing else: `put` neither waits nor raises.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

from replay.cassette.file import CannotRecord, Writer
from replay.cassette.frames import Binary, Text
from replay.cassette.records import Header, Record, Response, bytes_of
from replay.cassette.scrub import Scrubber
from replay.cassette.strip_audio import strip_audio
from replay.relay.destination import Destination
from replay.secrets.named import Secrets

QUEUE_BYTES = 64 << 20
"""Bytes that may wait to be written: two minutes of a busy call."""
QUEUE_RECORDS = 100_000
JOIN_S = 10.0

_Item = tuple[Record, str]


class BackgroundWriter:
    """Writes one recording in a thread.

    `path`, `header`: see cassette.file.Writer. `to`: where it is written; None for `path` itself, which must be new. A
    recording without a call is not kept then, unless `keep_refused`. `secrets`: what is never written. `failed`: called
    once, from the thread or from `put`, with the reason why the recording stopped; the file stays.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        *,
        secrets: Secrets,
        failed: Callable[[str], None],
        to: Destination | None = None,
        keep_refused: bool = False,
    ) -> None:
        self.failure: str | None = None
        self._path = path
        self._header = header
        self._to = to
        self.kept = to is None or keep_refused
        """Whether there is something to keep: a call that the service accepted, or all that was asked for."""
        self._failed = failed
        self._scrubber = Scrubber(secrets)
        self._queue: SimpleQueue[_Item | int | None] = SimpleQueue()
        self._put = self._taken = self._put_bytes = self._taken_bytes = 0  # each is written by one thread only
        self._thread = threading.Thread(target=self._write_all, name="writer", daemon=True)
        self._thread.start()

    def put(self, record: Record, encoding: str) -> None:
        """Write a record after those before it. `encoding`: the encoding of its audio."""
        if self.failure is not None:
            return
        self._put += 1
        self._put_bytes += bytes_of(record.content)
        waiting, waiting_bytes = self._put - self._taken, self._put_bytes - self._taken_bytes
        if waiting > QUEUE_RECORDS or waiting_bytes > QUEUE_BYTES:
            self._stop(f"{self._path}: writing does not keep up ({waiting_bytes >> 20} MiB wait); choose a faster disk")
            self._queue.put(None)
        else:
            self._queue.put((record, encoding))

    def finish(self, at_us: int) -> None:
        """Write the end mark and wait until everything is in the file. Gives up if nothing is written for 10 s. Call it
        from another thread than `put`.
        """
        self._queue.put(at_us)
        taken = -1
        while self._thread.is_alive() and taken != self._taken:
            taken = self._taken
            self._thread.join(JOIN_S)
        if self._thread.is_alive():
            self._stop(f"{self._path}: the disk does not answer; the recording has no end mark")

    def _stop(self, reason: str) -> None:
        if self.failure is None:
            self.failure = reason
            self._failed(reason)

    def _write_all(self) -> None:
        try:
            header = self._scrubber.header(self._header)
            writer = Writer(self._path, header, file=None if self._to is None else self._to.file)
            complete = False
            try:
                complete = self._append(writer)
            finally:
                writer.close()
                if self._to is not None:
                    self._to.finish(keep=self.kept, complete=complete)
        except CannotRecord as problem:
            self._stop(str(problem))
        except Exception as problem:  # a bug here must not look like a complete recording, nor print its content
            self._stop(f"{self._path}: the recording failed with {type(problem).__name__}")

    def _append(self, writer: Writer) -> bool:
        """Gives whether the recording has its end mark."""
        while True:
            item = self._queue.get()
            match item:
                case None:
                    return False
                case int(at_us):
                    if self.failure is None:
                        writer.end(at_us)
                    return self.failure is None
                case record, encoding:
                    content = self._scrubber.clean(record.content)
                    if self._header.audio == "outline" and isinstance(content, Text | Binary):
                        content = strip_audio(content, encoding)
                    writer.write(replace(record, content=content))
                    if not self.kept and _of_a_call(record, self._to is not None and self._to.replaces):
                        self.kept = True
                    if self.kept and self._to is not None:
                        self._to.publish()
                    self._taken += 1
                    self._taken_bytes += bytes_of(record.content)


def _of_a_call(record: Record, replaces: bool) -> bool:
    """Whether the service did something worth keeping: it accepted a connection, or answered a plain request. To
    replace a cassette it must have sent a message.
    """
    match record.content:
        case Text() | Binary():
            return record.way == "received"
        case Response(status):
            return 200 <= status < 300 or (status == 101 and not replaces)
        case _:
            return False
