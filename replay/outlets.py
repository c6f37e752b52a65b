"""What realtape says to people and programs, without secrets: logs, the terminal, findings, pages, messages.

One scanner for all of them. It knows the API keys in the environment, and what somebody in this process has named as a
secret and still holds: a command its options, a server its configuration and the keys of its clients.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType

from replay.cassette.scanner import placeholder
from replay.cassette.scrub import Scrubber
from replay.secrets.named import LEAST, Secrets, known_keys

MOST_LEARNED = 100
"""Values that one holder has learned. The one that was used the longest ago is forgotten first."""
MOST_LEARNED_TOGETHER = 500
"""Values that all holders have learned, for each makes every cleaning slower."""
MOST_REMEMBERED = 2_000
"""Texts that were cleaned lately: pages ask for the same ones again and again."""
_LONGEST_REMEMBERED = 1_000
"""Characters of such a text."""


class Held:
    """Secrets that are looked for in every text until `close`. `learn` adds values."""

    def __init__(self, secrets: Secrets | None = None) -> None:
        self.secrets = secrets or Secrets()
        _ALL.add(self)

    def learn(self, value: str) -> None:
        """Look for this value too. Values under 8 characters are ignored."""
        _ALL.learn(self, value)

    def close(self) -> None:
        """Look for them no longer."""
        _ALL.remove(self)


class _All:
    """The secrets of all holders, and the scanner for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[Held] = []
        self._learned: OrderedDict[tuple[Held, str], None] = OrderedDict()
        """Used the longest ago first."""
        self._keys: tuple[str, ...] = ()
        self._scrubber: Scrubber | None = None
        self._secrets = Secrets()
        self._remembered: OrderedDict[str, str] = OrderedDict()

    def add(self, held: Held) -> None:
        with self._lock:
            self._held.append(held)
        self.changed()

    def remove(self, held: Held) -> None:
        with self._lock:
            if held in self._held:
                self._held.remove(held)
            for each in [each for each in self._learned if each[0] is held]:
                del self._learned[each]
        self.changed()

    def learn(self, held: Held, value: str) -> None:
        if len(value.strip()) < LEAST:
            return
        with self._lock:
            if held not in self._held:
                return
            known = (held, value) in self._learned
            self._learned[held, value] = None
            self._learned.move_to_end((held, value))
            own = [each for each in self._learned if each[0] is held]
            if len(own) > MOST_LEARNED:
                del self._learned[own[0]]
            elif len(self._learned) > MOST_LEARNED_TOGETHER:
                self._learned.popitem(last=False)
        if not known:
            self.changed()

    def changed(self) -> None:
        with self._lock:
            self._scrubber = None
            self._remembered.clear()

    def current(self) -> tuple[Scrubber, Secrets]:
        keys = known_keys()
        with self._lock:
            if self._scrubber is None or keys != self._keys:
                each = [held.secrets for held in self._held]
                learned = (value for _, value in self._learned)
                self._keys = keys
                self._secrets = Secrets(
                    (*keys, *(value for one in each for value in one.values), *learned),
                    tuple(form for one in each for form in one.patterns),
                    tuple(path for one in each for path in one.paths),
                )
                self._scrubber = Scrubber(self._secrets)
                self._remembered.clear()
            return self._scrubber, self._secrets

    def clean(self, text: str, scrubber: Scrubber) -> str:
        if not text:
            return text
        with self._lock:
            if (known := self._remembered.get(text)) is not None:
                return known
        cleaned = scrubber.text(text)
        if len(text) <= _LONGEST_REMEMBERED:
            with self._lock:
                if self._scrubber is scrubber:
                    self._remembered[text] = cleaned
                    if len(self._remembered) > MOST_REMEMBERED:
                        self._remembered.popitem(last=False)
        return cleaned


_ALL = _All()


def clean(text: str) -> str:
    """The text without secrets. One that cannot be checked becomes a placeholder."""
    return _ALL.clean(text, scrubber())


def printable(line: str) -> str:
    """One line for a terminal: with spaces for line ends, and for what moves a cursor or changes a colour."""
    return line if line.isprintable() else "".join(each if each.isprintable() else " " for each in line)


def printable_lines(text: str) -> str:
    """Each line of a text as `printable` has it."""
    return "\n".join(map(printable, text.split("\n")))


def cleaner() -> Callable[[str], str]:
    """`clean` for the texts of one moment: the environment is read once for all of them."""
    return partial(_ALL.clean, scrubber=scrubber())


def scrubber() -> Scrubber:
    """The scanner for what is no text: records, frames and headers."""
    return _ALL.current()[0]


def is_named(keys: tuple[str, ...]) -> bool:
    """Whether somebody named the place in JSON under these keys, outermost first."""
    secrets = _ALL.current()[1]
    return bool(secrets.paths) and secrets.covers(keys)


@contextmanager
def held(secrets: Secrets) -> Iterator[Held]:
    """These secrets are looked for meanwhile."""
    holder = Held(secrets)
    try:
        yield holder
    finally:
        holder.close()


def logger(name: str) -> logging.Logger:
    """A logger whose messages and tracebacks hold no secret, whoever handles them."""
    found = logging.getLogger(name)  # noqa: TID251  # the one place
    if _CLEANING not in found.filters:
        found.addFilter(_CLEANING)
    return found


class _Cleaning(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        try:
            try:
                said = record.getMessage()
            except (TypeError, ValueError, KeyError):  # a handler would quote the arguments
                said = f"arguments that do not fit {record.msg!r}"
            record.msg, record.args = clean(said), ()
            if record.exc_info and record.exc_info[1] is not None:
                record.exc_text = clean("".join(traceback.format_exception(record.exc_info[1])).rstrip("\n"))
        except Exception:  # an error here would end whoever logs, and what is unchecked is not quoted
            record.msg, record.args = placeholder("unchecked"), ()
            record.exc_info = record.exc_text = None
        return True


_CLEANING = _Cleaning()


class CleanFormatter(logging.Formatter):
    """Formats records of other packages too, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return clean(super().format(record))


def guard_process() -> None:
    """What ends this process or one of its threads, and what is logged without a handler, is printed without secrets.
    For a command; a program that uses realtape as a library has hooks of its own.
    """
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _print_error
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _print_thread_error
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(CleanFormatter())


def _print_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(clean("".join(traceback.format_exception(kind, error, trace))))


def _print_thread_error(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None and failed.exc_type is not SystemExit:
        sys.stderr.write(clean("".join(traceback.format_exception(failed.exc_value))))
