"""A headless Chromium that is told what to do over its own debugging protocol: look, click, wait, take a picture.

The protocol runs over two pipes, so there is no port to find and nothing to wait for.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Without a sandbox, because containers run as root; the rest keeps the browser from calling home.
QUIET = """--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run
--disable-background-networking --disable-component-update --disable-sync --disable-extensions
--hide-scrollbars""".split()
MICROPHONE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
PATIENCE_S = 60
_PAGES = 20
"""Pages that may come one after another while something is waited for."""
_NAVIGATED = ("navigated or closed", "context was destroyed")
_HIGH = 200
"""Descriptors from here on are neither of the two that Chromium looks for."""


class PageError(AssertionError):
    """The page threw, or what was waited for did not come; the message says what the page showed."""


class Page:
    """One page. Orders are answered in turn; what the browser tells unasked is only looked at for errors."""

    def __init__(self, orders: int, answers: int) -> None:
        self._orders = orders
        self._answers = os.fdopen(answers, "rb")
        self._count = 0
        self._session: str | None = None
        self.errors: list[str] = []
        """What the page logged as errors, and exceptions that nobody caught."""

    def attach(self, url: str, size: tuple[int, int], dark: bool) -> None:
        """Open `url` in a new page and wait until it is loaded."""
        target = self.order("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.order("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.order(f"{domain}.enable")
        width, height = size
        self.order(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.order("Emulation.setEmulatedMedia", features=[scheme])
        self.order("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def order(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol and its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._orders, json.dumps(message).encode() + b"\0")
        while True:
            told = self._read()
            if told.get("id") == self._count:
                if "error" in told:
                    raise PageError(f"{method}: {told['error']['message']}")
                result: dict[str, Any] = told["result"]
                return result
            self._look_at(told)

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited if it is a promise; the browser takes it for a user's act."""
        told = self.order(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in told:
            details = told["exceptionDetails"]
            raise PageError(f"{script[:200]}: {details.get('exception', {}).get('description', details['text'])}")
        return told["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until an expression holds in the page; it may name what is not there yet."""
        script = f"""new Promise((resolve) => {{
          const check = () => {{ try {{ return {condition}; }} catch {{ return false; }} }};
          const end = (truth) => {{ clearInterval(beat); clearTimeout(late); resolve(truth); }};
          const beat = setInterval(() => check() && end(true), 20);
          const late = setTimeout(() => end(false), {PATIENCE_S * 1000});
        }})"""
        for _ in range(_PAGES):
            try:
                truth = self.run(script)
                break
            except PageError as problem:  # another page came in between; look there
                if not any(words in str(problem) for words in _NAVIGATED):
                    raise
        else:
            raise PageError(f"one page after another came, and not: {condition}")
        if truth is not True:
            raise PageError(f"not within {PATIENCE_S} s: {condition}\n{self.errors}\n{self.text('body')}")

    def click(self, selector: str) -> None:
        """Click an element."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def text(self, selector: str) -> str:
        """What an element shows."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def picture(self, path: Path) -> None:
        """What is to be seen now, as PNG."""
        path.write_bytes(base64.b64decode(self.order("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """Let go of the pipes."""
        self._answers.close()
        os.close(self._orders)

    def _read(self) -> dict[str, Any]:
        message = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            if not byte:
                raise PageError("the browser has ended")
            message += byte
        told: dict[str, Any] = json.loads(message)
        return told

    def _look_at(self, told: dict[str, Any]) -> None:
        match told:
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                self.errors.append(str(details.get("exception", {}).get("description", details["text"])))
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error", "text": text} as entry}}:
                self.errors.append(f"{text} {entry.get('url', '')}".strip())


@contextmanager
def browsing(
    url: str, profile: Path, *flags: str, size: tuple[int, int] = (1180, 780), dark: bool = False
) -> Iterator[Page]:
    """Chromium with `url` open. `profile` is a folder that is not there yet; its log stands beside it."""
    assert BROWSER is not None
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, _HIGH) for end in (theirs_in, theirs_out)]
    os.close(theirs_in)
    os.close(theirs_out)

    def as_expected() -> None:
        os.dup2(ends[0], 3)
        os.dup2(ends[1], 4)

    command = [BROWSER, *QUIET, *flags, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    with profile.with_suffix(".log").open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, preexec_fn=as_expected, pass_fds=(3, 4))
    for end in ends:
        os.close(end)
    page = Page(ours_out, ours_in)
    try:
        page.attach(url, size, dark)
        yield page
    finally:
        page.close()
        shut(process)


def shut(process: subprocess.Popen[bytes]) -> None:
    """Close a browser, in ten seconds at the latest."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
