"""Settings of the clinic's server and playground, read once from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from clinic_agent.app.call_store import KEEP_DAYS, CallStore
from clinic_agent.app.held_calls import HOLD_S
from clinic_agent.app.webhook import signing_keys
from clinic_agent.config import Config, ConfigError, from_environment

DATA = Path("clinic-data")
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
MIN_TOKEN_CHARS = 16
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class AppSettings:
    """Settings of the server and the playground."""

    config: Config
    data: Path = DATA
    """Folder of the bookings and the call log; created if it is missing."""
    audio: Path | None = None
    """Folder of the WAV files that requests may name; None: no file may be named."""
    keep_audio: bool = False
    """Whether the audio of the calls is kept."""
    keep_days: int = KEEP_DAYS
    """Days for which the record of a call is kept."""
    token: str | None = field(default=None, repr=False)
    """The login token for the records of the calls; None: nobody may look at them."""
    webhook_keys: tuple[bytes, ...] = field(default=(), repr=False)
    """The keys that sign reports of incoming telephone calls; empty: the clinic answers no telephone."""
    hand_over_to: str | None = None
    """`sip:` or `tel:` address of the person to whom telephone calls are handed; None: nobody takes calls."""
    hosts: tuple[str, ...] = LOOPBACK_NAMES
    """Host names that requests may use."""
    hold_s: float = HOLD_S
    """Seconds for which an idle connection is kept for the next request of its conversation."""
    today: date | None = None
    """The clinic's date, for tests and demos; None: the date of this machine."""
    control_url: str | None = None
    """URL of the mock's control plane, such as `http://127.0.0.1:8765/_mock`; None: there is none."""
    scenarios: Path | None = None
    """Folder of scenario files for the control plane."""

    @property
    def database(self) -> Path:
        """The SQLite file of the schedule."""
        return self.data / "clinic.sqlite3"

    def store(self) -> CallStore:
        """The records of the calls in `data`, which is made if it is missing."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return CallStore(self.data, keep_audio=self.keep_audio, keep_days=self.keep_days)

    @property
    def day(self) -> date:
        """The clinic's date today."""
        return self.today or today()


def today() -> date:
    """The date of this machine."""
    return date.today()  # noqa: TID251 - the one place where the server reads the date


def settings_from(environ: Mapping[str, str]) -> AppSettings:
    """Read the variables of `from_environment` and CLINIC_DATA, CLINIC_AUDIO, CLINIC_KEEP_AUDIO, CLINIC_KEEP_DAYS,
    CLINIC_TOKEN, CLINIC_WEBHOOK_SECRET (secrets separated by commas), CLINIC_HANDOVER_URI, CLINIC_HOSTS (names
    separated by commas), CLINIC_HOLD_S, CLINIC_TODAY (YYYY-MM-DD), CLINIC_CONTROL_URL and CLINIC_SCENARIOS.

    Raises ConfigError, saying what to do, for a missing or unusable value.
    """

    def given(name: str) -> str:
        return environ.get(name, "").strip()

    names = tuple(name.strip() for name in given("CLINIC_HOSTS").split(",") if name.strip())
    return AppSettings(
        config=from_environment(environ),
        data=Path(given("CLINIC_DATA") or DATA),
        audio=_folder("CLINIC_AUDIO", given("CLINIC_AUDIO")),
        keep_audio=_switch("CLINIC_KEEP_AUDIO", given("CLINIC_KEEP_AUDIO")),
        keep_days=_days(given("CLINIC_KEEP_DAYS")),
        token=_token(given("CLINIC_TOKEN")),
        webhook_keys=_keys(given("CLINIC_WEBHOOK_SECRET")),
        hand_over_to=_address(given("CLINIC_HANDOVER_URI")),
        hosts=(*LOOPBACK_NAMES, *names),
        hold_s=_seconds("CLINIC_HOLD_S", given("CLINIC_HOLD_S"), HOLD_S),
        today=_date(given("CLINIC_TODAY")),
        control_url=given("CLINIC_CONTROL_URL").rstrip("/") or None,
        scenarios=_folder("CLINIC_SCENARIOS", given("CLINIC_SCENARIOS")),
    )


def _folder(name: str, text: str) -> Path | None:
    if text and not Path(text).is_dir():
        raise ConfigError(f"{name}: {text} is no folder; name an existing one, or unset the variable")
    return Path(text) if text else None


def _switch(name: str, text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise ConfigError(f"{name} is {text!r}; write 1 or 0")
    return text.lower() in _TRUE


def _days(text: str) -> int:
    if text and not (text.isdecimal() and 1 <= int(text) <= 3650):
        raise ConfigError(f"CLINIC_KEEP_DAYS is {text!r}; write days, 1 to 3650")
    return int(text) if text else KEEP_DAYS


def _token(text: str) -> str | None:
    if text and not (len(text) >= MIN_TOKEN_CHARS and text.isascii() and text.isprintable()):
        raise ConfigError(f"CLINIC_TOKEN has to be {MIN_TOKEN_CHARS} or more plain characters; make one at random")
    return text or None


def _keys(text: str) -> tuple[bytes, ...]:
    try:
        return tuple(key for secret in text.split(",") if secret.strip() for key in signing_keys(secret.strip()))
    except ValueError as error:
        raise ConfigError(
            f"CLINIC_WEBHOOK_SECRET is unusable: {error}; copy the whole signing secret of the webhook, whsec_…"
        ) from error


def _address(text: str) -> str | None:
    if text and not re.fullmatch(r"(?i:sips?|tel):[!-~]{1,500}", text):
        raise ConfigError("CLINIC_HANDOVER_URI has to be a sip: or tel: address, such as tel:+14155550123")
    return text or None


def _seconds(name: str, text: str, default: float) -> float:
    try:
        seconds = float(text) if text else default
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise ConfigError(f"{name} is {text!r}; write seconds, 0 to 86400")
    return seconds


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise ConfigError(f"CLINIC_TODAY is {text!r}; write it like 2026-07-01") from error
