"""Files that `serve --watch` reads again when they change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

EVERY_S = 0.25
"""How often the files are looked at."""

Reload = Callable[[], Callable[[], None]]
"""Reads a file, in a thread, and returns what puts it into effect. Raises ValueError if the file cannot be used."""


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


async def watch(
    files: Mapping[Path, Reload], note: Callable[[str, str], None], stop: asyncio.Future[None] | asyncio.Future[int]
) -> None:
    """Put each changed file into effect until `stop` is done; `note` gets level and text of what happens.

    A file that cannot be used changes nothing. One that is gone, as an editor may leave it for a moment, is waited for.
    """
    known = {path: _stamp(path) for path in files}
    loop = asyncio.get_running_loop()
    while not stop.done():
        await asyncio.wait([stop], timeout=EVERY_S)
        for path, reload in files.items():
            stamp = _stamp(path)
            if stop.done() or stamp is None or stamp == known[path]:
                continue
            known[path] = stamp
            try:
                apply = await loop.run_in_executor(None, reload)
                apply()
            except ValueError as problem:
                note("error", f"{path} changed and cannot be used; the server goes on with what it had\n{problem}")
            else:
                note("info", f"{path} changed; new connections use it")
