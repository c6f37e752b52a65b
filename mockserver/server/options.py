"""The options of a mock server, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mockserver.calls.webhook import check_address, key_of
from mockserver.dialects.names import dialect_name
from mockserver.protocol.limits import Limits
from mockserver.protocol.pacing import PRESETS
from replay.findings import Levels, Setting
from replay.plugins import plugin_names
from replay.secrets.named import Secrets

if TYPE_CHECKING:
    from mockserver.audio.asr import Transcriber  # loads numpy, as the next does
    from mockserver.responders.base import Responder

ECHO = "echo"
"""The responder that repeats the user's words."""


@dataclass(frozen=True, slots=True)
class Account:
    """A team that is known beforehand. All of its keys are accepted and share its limits. A blocked team has no
    credits: its keys are refused."""

    keys: tuple[str, ...] = field(repr=False)
    name: str = ""
    blocked: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class AccountsFile:
    """The content of an accounts file: every team that is known beforehand, and the limits of all teams."""

    accounts: tuple[Account, ...] = ()
    limits: Limits = field(default_factory=Limits)

    @property
    def open_keys(self) -> Iterator[str]:
        """Keys of teams that are not blocked."""
        return (key for account in self.accounts if not account.blocked for key in account.keys)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a mock server; MockServer describes those that it shares.

    dialect: a dated name, that of a plugin, `auto`, or a service: its newest date, or the one that the model of a
        connection belongs to.
    limits: limits of every team; a field that is None leaves it to the service.
    accounts: teams known beforehand. The limits of the file override `limits`.
    clock_rate: seconds of the server's clock per second; 0 is a manual clock.
    journal_bytes: the size at which the journal drops its oldest frames.
    allow_origins: origins of web pages, such as `https://shop.example`, that may do what any client may; `*` is all.
    record: the folder to which each session is written, as a cassette.
    secrets: what is looked for besides known forms, in cassettes and in what the control plane shows.
    hearing: what decides the words of spoken turns, instead of what the scenario says; see `Scenario.hearing`.
    transcriber: `off`, `auto` (the extra `hearing`, where it is installed), a model of faster-whisper by name or
        folder, or a transcriber.
    telephony: each session is a call over a telephone number of the service. Frames do not show it.
    responder: what answers without a scenario or a recording: `echo`, a plugin by name, or a function that makes the
        responder of a session. A language model answers instead of `echo`.
    chat: the base URL of an OpenAI-compatible chat endpoint, whose `chat_model` answers what no rule does; `chat_key`
        is its key.
    webhook: where a ringing phone is announced, unless the call names another address; `webhook_secret` signs it.
    mcp: whether the MCP servers of a session are really asked (`live`, extra `mcp`), or only shown (`scripted`).

    Raises ValueError for an unknown value.
    """

    dialect: str = "xai"
    pacing: str = "live"
    seed: str = "0"
    voice: str = "auto"
    vad: str = "energy"
    api_keys: tuple[str, ...] = ()
    blocked_keys: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    accounts: AccountsFile | None = None
    clock_rate: float = 1.0
    admin_token: str | None = None
    journal_bytes: int = 256 << 20
    check: bool = False
    allow_origins: tuple[str, ...] = ()
    record: Path | None = None
    secrets: Secrets = field(default_factory=Secrets, repr=False)
    findings: Setting = None
    write_tools: tuple[str, ...] | None = None
    hearing: Literal["auto", "script"] | None = None
    transcriber: str | Transcriber = "off"
    telephony: bool = False
    responder: str | Callable[[], Responder] = ECHO
    chat: str | None = None
    chat_model: str | None = None
    chat_key: str | None = field(default=None, repr=False)
    mcp: Literal["scripted", "live"] = "scripted"
    webhook: str | None = None
    webhook_secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        dialect_name(self.dialect)
        if self.pacing not in PRESETS:
            raise ValueError(f"unknown pacing {self.pacing!r}; use {', '.join(PRESETS)}")
        Levels(self.findings)
        if (self.chat is None) != (self.chat_model is None):
            raise ValueError("a language model needs both its URL (--chat) and its name (--chat-model)")
        if self.chat is not None and not self.chat.startswith(("http://", "https://")):
            raise ValueError(
                f"{self.chat!r} is no address of a chat endpoint; use one such as http://127.0.0.1:11434/v1"
            )
        if self.responder != ECHO and self.chat is not None:
            raise ValueError("a responder and a language model (--chat) both answer; leave out one of them")
        if isinstance(self.responder, str) and self.responder != ECHO:
            known = [ECHO, *plugin_names("realtape.responders")]
            near = get_close_matches(self.responder, known, 1)
            if self.responder not in known:
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise ValueError(f"unknown responder {self.responder!r}; {hint}known are {', '.join(known)}")
        if self.mcp not in ("scripted", "live"):
            raise ValueError(f"unknown mcp {self.mcp!r}; use scripted or live")
        if self.webhook is not None:
            check_address(self.webhook)
        if self.webhook_secret is not None:
            key_of(self.webhook_secret)
        if "" in (*self.api_keys, *self.blocked_keys, self.admin_token):
            raise ValueError("a key or token is empty; leave it out or give it a value")
