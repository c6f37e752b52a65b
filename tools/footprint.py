"""The size and start of an installation with each extra: `python tools/footprint.py dist/NAME.whl [EXTRA ...]`.

It needs uv on the PATH, and network unless uv has the packages in its cache. Each line of the table is an environment
of its own: MB of its packages without compiled caches, and the median of five times from the start of `serve` to its
ready line. The empty extra is the core.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

EXTRAS = (
    *(
        "",
        "tls",
        "espeak",
        "fleet",
        "mcp",
        "otel",
        "mic",
        "picture",
        "load",
        "speech",
        "opus",
        "webrtc",
        "silero",
        "asr",
    ),
    *("hearing", "app", "docs"),
)
STARTS = 5
SERVE = ("serve", "--port", "0", "--quiet")


def megabytes(folder: Path) -> float:
    """MB (10^6 bytes) of the files in a folder, without compiled caches."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc")
    return sum(file.lstat().st_size for file in files) / 1e6


def ready_s(command: Path) -> float:
    """Seconds from the start of `serve` to its ready line."""
    begun = time.perf_counter()
    with subprocess.Popen([command, *SERVE], stdout=subprocess.PIPE, cwd=command.parent) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        taken = time.perf_counter() - begun
        server.terminate()
    assert line.startswith(b"ready "), line
    return taken


def measured(wheel: Path, extra: str) -> tuple[float, float]:
    """MB and seconds of an installation with an extra; the empty one is the core."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, folder], check=True)
        python = Path(folder, "Scripts/python.exe" if os.name == "nt" else "bin/python")
        asked = f"realtape[{extra}] @ {wheel.resolve().as_uri()}"
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", python, asked], check=True)
        command = python.with_name("realtape.exe" if os.name == "nt" else "realtape")
        size = megabytes(next(Path(folder).rglob("site-packages")))
        ready_s(command)  # compiles
        return size, median(ready_s(command) for _ in range(STARTS))


if __name__ == "__main__":
    sys.stdout.write("| extra | disk, MB | `serve` ready, s |\n|---|---|---|\n")
    for each in sys.argv[2:] or EXTRAS:
        size, seconds = measured(Path(sys.argv[1]), each)
        sys.stdout.write(f"| {each or 'none'} | {size:.0f} | {seconds:.2f} |\n")
        sys.stdout.flush()
