"""The dated services that the mock server can speak as, one row each: dialect, handshake, schema and prices. Packages
add others by the entry point `realtape.dialects`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

from typing_extensions import assert_never

from mockserver.dialects.base import Dialect, Opening
from mockserver.dialects.call_control import CallControl
from mockserver.dialects.handshake import Handshake
from mockserver.dialects.names import DIALECT_NAMES, DialectName
from mockserver.dialects.openai import dialect as openai
from mockserver.dialects.openai import schema as openai_schema
from mockserver.dialects.openai.azure import AzureHandshake
from mockserver.dialects.openai.calls import OpenAICalls
from mockserver.dialects.openai.handshake import OpenAIHandshake
from mockserver.dialects.schema import Events
from mockserver.dialects.xai import dates as xai
from mockserver.dialects.xai import handshake as xai_handshake
from mockserver.dialects.xai import schema as xai_schema
from mockserver.dialects.xai.calls import XaiCalls
from mockserver.dialects.xai.dialect import Xai
from replay.billing.prices import PriceTable, dialect_prices
from replay.plugins import plugin


@dataclass(frozen=True, slots=True)
class DatedService:
    """One service as of one date.

    dialect: makes the dialect of a new connection.
    handshake: reads and refuses handshakes and requests for client secrets.
    calls: reads and refuses requests about calls.
    schema: the keys and types of each server event.
    prices: what a session costs.
    roots: the beginnings of paths, besides `/v1`, at which a server of this dialect has `/realtime`: `/acme/v1`.
    """

    dialect: Callable[[Opening, PriceTable], Dialect]
    handshake: Handshake
    calls: CallControl
    schema: Events
    prices: PriceTable
    roots: tuple[str, ...] = ()

    def open(self, opening: Opening) -> Dialect:
        """The dialect of a connection that was opened like this."""
        return self.dialect(opening, self.prices)


def _service(name: DialectName) -> DatedService:
    """The row of a name. A name of `DialectName` without a row fails type checking."""
    match name:
        case "xai@2026-04":
            return _xai(xai.XAI_2026_04, xai_handshake.UNAUTHENTICATED)
        case "xai@2026-07":
            return _xai(xai.XAI_2026_07, xai_handshake.UNAUTHENTICATED)
        case "xai@2026-08":
            return _xai(xai.XAI_2026_08, xai_handshake.UNAUTHENTICATED)
        case "xai@2026-09":
            return _xai(xai.XAI_2026_09, xai_handshake.INVALID_ARGUMENT)
        case "xai@2026-10":
            return _xai(xai.XAI_2026_10, xai_handshake.INVALID_ARGUMENT)
        case "openai@2026-08":
            return _openai(openai.OPENAI_2026_08, OpenAIHandshake(), openai_schema.EVENTS)
        case "openai@2026-10":
            return _openai(openai.OPENAI_2026_10, OpenAIHandshake(), openai_schema.EVENTS)
        case "azure@2026-10":
            by_secret = OpenAICalls(offers_by=frozenset(("secret",)))
            return _openai(openai.AZURE_2026_10, AzureHandshake(), openai_schema.AZURE_EVENTS, by_secret)
        case _:
            assert_never(name)


def _openai(date: openai.Date, handshake: Handshake, schema: Events, calls: CallControl | None = None) -> DatedService:
    dialect = partial(openai.OpenAI, date)
    return DatedService(dialect, handshake, calls or OpenAICalls(), schema, dialect_prices(date.name))


def _xai(date: xai.Date, handshake: Handshake) -> DatedService:
    schema = xai_schema.EVENTS_2026_09 if date.marks_replayed else xai_schema.EVENTS
    return DatedService(partial(Xai, date), handshake, XaiCalls(), schema, dialect_prices(date.name))


class _Services(dict[str, DatedService]):
    def __missing__(self, name: str) -> DatedService:
        """The row that a plugin makes. Raises PluginError for one that cannot be used, KeyError without any."""
        made = plugin("realtape.dialects", name)
        if made is None:
            raise KeyError(name)
        self[name] = cast(DatedService, made)
        return self[name]


SERVICES: Mapping[str, DatedService] = _Services({name: _service(name) for name in DIALECT_NAMES})
"""By name. That of a plugin is made when it is first used."""
