"""Loads all modules as on Windows: without modules, functions and signals that only POSIX has. Prints what fails."""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import socket
import sys
import types

LOADED = (
    *(
        "asyncio",
        "concurrent.futures",
        "ctypes",
        "logging",
        "multiprocessing",
        "selectors",
        "shutil",
        "ssl",
        "subprocess",
    ),
    *("tempfile", "uuid", "aiohttp.web", "click", "jinja2", "msgpack", "numpy", "orjson", "pybase64", "pydantic"),
    *("websockets", "yaml"),
)
"""What asks for the platform itself, and is loaded before the platform changes."""
GONE = ("fcntl", "resource", "uvloop", "pwd", "grp", "termios", "pty")
OF_POSIX = {
    signal: ("SIGKILL", "SIGCHLD", "SIGHUP", "SIGUSR2", "SIGQUIT", "pthread_sigmask"),
    os: ("fork", "uname", "killpg", "getuid", "geteuid", "pread", "setsid", "sched_setaffinity", "sched_getaffinity"),
    socket: ("AF_UNIX", "SO_REUSEPORT"),
}


def main() -> None:
    for name in LOADED:
        importlib.import_module(name)
    for name in GONE:
        sys.modules[name] = None  # type: ignore[assignment]
    sys.modules["msvcrt"] = types.ModuleType("msvcrt")
    signal.SIGBREAK = signal.SIGUSR1  # type: ignore[attr-defined]
    for module, names in OF_POSIX.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    sys.platform = "win32"
    for part in ("replay", "realtape", "mockserver", "clinic_agent"):
        for found in pkgutil.walk_packages(importlib.import_module(part).__path__, f"{part}."):
            if found.name.endswith("__main__"):  # it would run
                continue
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError as missing:
                if (missing.name or "").partition(".")[0] in (
                    *GONE,
                    "replay",
                    "realtape",
                    "mockserver",
                    "clinic_agent",
                ):
                    sys.stdout.write(f"{found.name}: {missing}\n")  # others are of extras
            except Exception as problem:
                sys.stdout.write(f"{found.name}: {type(problem).__name__}: {problem}\n")
    sys.platform = "linux"


if __name__ == "__main__":
    main()
