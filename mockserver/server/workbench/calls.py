"""The namespace of one call of the workbench: its scenario, and a client secret to connect with."""

from __future__ import annotations

from collections.abc import Mapping

from mockserver.dialects.handshake import Denied, Refusal
from mockserver.dialects.names import dialect_name
from mockserver.faults.files import FaultFile
from mockserver.responders.scenario import Scenario
from mockserver.server.addresses import Addresses
from mockserver.server.namespaces import Isolated, Namespaces
from mockserver.server.workbench.scenario_text import SOURCE


async def begin(
    namespaces: Namespaces, scenario: str, dialect: str, authority: str, secure: bool
) -> Mapping[str, object]:
    """Make it. Audio is sent at the service's pace, in real time. `authority`: host and port, as the page names them.

    Raises ValueError for an unknown dialect and for the mistakes of a scenario, and TooManyNamespaces.
    """
    content = Scenario.parse(scenario, SOURCE)
    no_faults = FaultFile(())
    made = await namespaces.open(Isolated(content, no_faults, dialect=dialect, pacing="live", clock="wall"))
    service, name = made.service, dialect_name(dialect)
    team = service.accounts.owner(made.api_key)
    assert not isinstance(team, Denied)
    secret = await service.client_secret(name, team, b"{}")
    if isinstance(secret, Refusal):
        raise ValueError(secret.error)
    places = Addresses(authority, made.id, secure)
    value = str(secret["value"])
    offered = (
        ["realtime", f"openai-insecure-api-key.{value}"]
        if name.startswith("openai")
        else [f"xai-client-secret.{value}"]
    )
    return {"id": made.id, "ws": places.ws, "control": places.control, "dialect": name, "subprotocols": offered}
