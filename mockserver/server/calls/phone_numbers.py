"""The phone numbers that clients have registered, in xAI's form: `/v2/phone-numbers`.

The vendor's page (docs.x.ai, "SIP phone calls") shows the request. It says that the answer has the signing secret. The
names in the answer are those that published clients read. The rest of it, the statuses and the bounds are guesses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import orjson

from mockserver.calls.webhook import check_address, check_reach, secret_of
from mockserver.dialects.handshake import Refusal, http_refusal
from mockserver.protocol.ids import stream, uuid4
from mockserver.server.accounts import Team

MOST_NUMBERS = 1_000
"""Numbers of one namespace."""
MOST_TEXT = 4_000
"""Characters of a webhook's address, and of what a number is called from."""
_NUMBER = re.compile(r"\+[1-9][0-9]{1,14}")
"""E.164."""
_ORIGIN = "byo_trunk"


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A number of a team, and where its calls are announced."""

    id: str
    number: str
    name: str
    webhook: str
    webhook_name: str
    sip_auth: Mapping[str, Any] = field(repr=False)
    team: Team = field(repr=False)
    secret: str = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """As the service lists it: without the secret, and without the password of `sip_auth`."""
        return {
            "phone_number_id": self.id,
            "phone_number": self.number,
            "name": self.name,
            "origin": _ORIGIN,
            "webhook": {"name": self.webhook_name, "url": self.webhook},
            "sip_auth": self.sip_auth,
        }


class PhoneNumbers:
    """The numbers of one namespace."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._by_number: dict[str, PhoneNumber] = {}

    def find(self, number: str) -> PhoneNumber | None:
        """The number, if it is registered."""
        return self._by_number.get(number)

    @property
    def only(self) -> PhoneNumber | None:
        """The number that is registered, if it is the only one."""
        return next(iter(self._by_number.values())) if len(self._by_number) == 1 else None

    def of(self, team: Team) -> list[PhoneNumber]:
        """The numbers of a team, oldest first."""
        return [each for each in self._by_number.values() if each.team is team]

    def register(self, team: Team, asked: object, own_webhook: str | None) -> PhoneNumber | Refusal:
        """Register the number that a request asks for; or why not. own_webhook: the address that the operator allows
        besides those of this machine."""
        if not isinstance(asked, dict):
            return http_refusal(400, "The body must be a JSON object.")
        if asked.get("origin") != _ORIGIN:
            return http_refusal(
                400, f"origin must be {_ORIGIN!r}: only numbers of your own trunk can be registered here."
            )
        number, webhook, auth = asked.get("phone_number"), asked.get("webhook"), asked.get("sip_auth")
        if not isinstance(number, str) or not _NUMBER.fullmatch(number):
            return http_refusal(400, "phone_number must be in E.164 form, such as +18005550199.")
        if not isinstance(webhook, dict) or not isinstance(url := webhook.get("url"), str):
            return http_refusal(400, "webhook must have a url.")
        try:
            check_address(url)
            check_reach(url, own_webhook)
        except ValueError as problem:
            return http_refusal(400, f"webhook.url: {problem}")
        if not isinstance(auth, dict) or not ({"allowed_addresses", "auth_username"} & set(auth)):
            return http_refusal(400, "sip_auth must have allowed_addresses, or auth_username and auth_password.")
        if len(url) > MOST_TEXT or len(orjson.dumps(auth)) > MOST_TEXT:
            return http_refusal(400, f"webhook.url and sip_auth may have {MOST_TEXT} characters each.")
        if number in self._by_number:
            return http_refusal(409, f"{number} is registered already.")
        if len(self._by_number) >= MOST_NUMBERS:
            return http_refusal(429, f"{MOST_NUMBERS} numbers are registered already.")
        id, secret = self._drawn(number)
        made = PhoneNumber(
            id,
            number,
            str(asked.get("name", ""))[:200],
            url,
            str(webhook.get("name", ""))[:200],
            {name: value for name, value in auth.items() if name != "auth_password"},  # nothing needs it
            team,
            secret,
        )
        self._by_number[number] = made
        return made

    def _drawn(self, number: str) -> tuple[str, str]:
        """The id and the secret of a number."""
        random = stream(self._seed, f"phone number {number}")
        return f"phone_{uuid4(random)}", secret_of(random.randbytes(32))

    def beside(self, packed: Iterable[Mapping[str, Any]], team: Callable[[bytes], Team | None]) -> PhoneNumbers:
        """Those that a server packed, by the same seed; `team` as in `become`."""
        found = PhoneNumbers(self._seed)
        found.become(packed, team)
        return found

    @property
    def secrets(self) -> list[str]:
        """What signs their webhooks."""
        return [each.secret for each in self._by_number.values()]

    def packed(self) -> list[dict[str, Any]]:
        """All of them as JSON, for other servers: without what those draw from the same seed."""
        names = [each.name for each in fields(PhoneNumber) if each.name not in ("id", "secret")]
        return [
            {**{name: getattr(number, name) for name in names}, "team": number.team.id.hex()}
            for number in self._by_number.values()
        ]

    def become(self, packed: Iterable[Mapping[str, Any]], team: Callable[[bytes], Team | None]) -> None:
        """Be those that a server packed; `team` finds a team by its id. Numbers of an unknown team are left out."""
        self._by_number = {}
        for each in packed:
            if (owner := team(bytes.fromhex(each["team"]))) is not None:
                id, secret = self._drawn(each["number"])
                self._by_number[each["number"]] = PhoneNumber(**{**each, "id": id, "secret": secret, "team": owner})
