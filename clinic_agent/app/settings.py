"""How the clinic's server and its demo are set up: read once from the environment, then passed along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from clinic_agent.config import Config, ConfigError, from_environment

DATA = Path("clinic-data")
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class AppSettings:
    """Where to call, where to keep things, and what is allowed."""

    config: Config
    data: Path = DATA
    """Folder of the bookings and of the calls' transcripts; made when it is not there."""
    audio: Path | None = None
    """Folder whose WAV files may be named in a request; None: none may."""
    keep_audio: bool = False
    """Whether the answers' sound is kept beside the transcripts."""
    hosts: tuple[str, ...] = LOOPBACK_NAMES
    """Names under which the server may be asked."""
    today: date | None = None
    """The clinic's date, for rehearsals; None: this machine's."""
    control_url: str | None = None
    """Base of a control plane that can change what the service answers, as `http://127.0.0.1:8765/_mock`."""
    scenarios: Path | None = None
    """Folder of scenarios for it."""

    @property
    def database(self) -> Path:
        """The SQLite file of the schedule."""
        return self.data / "clinic.sqlite3"

    @property
    def day(self) -> date:
        """The clinic's date now."""
        return self.today or today()


def today() -> date:
    """This machine's date."""
    return date.today()  # noqa: TID251 - where a call comes in, its date comes in


def settings_from(environ: Mapping[str, str]) -> AppSettings:
    """Read what `from_environment` reads, and CLINIC_DATA, CLINIC_AUDIO, CLINIC_KEEP_AUDIO, CLINIC_HOSTS (names, by
    commas), CLINIC_TODAY (YYYY-MM-DD), CLINIC_CONTROL_URL and CLINIC_SCENARIOS.

    Raises ConfigError, saying what to do, for what is missing or unusable.
    """

    def given(name: str) -> str:
        return environ.get(name, "").strip()

    names = tuple(name.strip() for name in given("CLINIC_HOSTS").split(",") if name.strip())
    return AppSettings(
        config=from_environment(environ),
        data=Path(given("CLINIC_DATA") or DATA),
        audio=_folder("CLINIC_AUDIO", given("CLINIC_AUDIO")),
        keep_audio=_switch("CLINIC_KEEP_AUDIO", given("CLINIC_KEEP_AUDIO")),
        hosts=(*LOOPBACK_NAMES, *names),
        today=_date(given("CLINIC_TODAY")),
        control_url=given("CLINIC_CONTROL_URL").rstrip("/") or None,
        scenarios=_folder("CLINIC_SCENARIOS", given("CLINIC_SCENARIOS")),
    )


def _folder(name: str, text: str) -> Path | None:
    if text and not Path(text).is_dir():
        raise ConfigError(f"{name}: {text} is no folder; name one that is there, or leave it out")
    return Path(text) if text else None


def _switch(name: str, text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise ConfigError(f"{name} is {text!r}; write 1 or 0")
    return text.lower() in _TRUE


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise ConfigError(f"CLINIC_TODAY is {text!r}; write it like 2026-07-01") from error
