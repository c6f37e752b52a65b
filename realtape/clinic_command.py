"""The command `clinic`: the agent's own, with the viewer as the page of a recorded call, and a telephone to try it.

The agent imports neither the mock nor recordings, so both come from here.
"""

from __future__ import annotations

import click

from clinic_agent.cli import clinic as agent
from realtape.clinic_page import call_page
from realtape.clinic_phone import phone


@click.group(help=agent.help, commands={**agent.commands, "phone": phone})
@click.pass_context
def clinic(context: click.Context) -> None:
    context.obj = call_page
