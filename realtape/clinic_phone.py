"""`clinic phone`: a caller telephones the clinic, offline."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from clinic_agent.app.call_page import Frames
from clinic_agent.app.call_store import CallRecord
from mockserver.calls.caller import HangUp, Listen, Pause
from mockserver.cli.caller_options import ScriptedCommand, caller_options, caller_script
from mockserver.cli.sections import SectionedOption
from realtape.clinic_page import call_page
from replay.cli.usage import Unusable
from replay.version import install_command

if TYPE_CHECKING:
    from realtape.clinic_rehearsal import Telephoned

DAY = date(2026, 7, 1)
"""The clinic's date; the words of the default caller are about the week after."""
BOOKING = (
    "I would like a dental cleaning on July sixth.",
    "The nine thirty slot, please. My name is Maria Lopez.",
    "Thank you, goodbye.",
)
PATIENCE_S = 8.0
"""How long the caller stays on the line after the last answer, in s."""
PERSON = "tel:+14155550199"
_ENDED = {
    "caller": "The caller hung up",
    "assistant": "The assistant hung up",
    "transfer": "The caller was handed to a person",
    "service": "The voice service ended the call",
    "clinic": "The clinic's server ended the call",
}


@click.command(cls=ScriptedCommand, short_help="Telephone the clinic, offline.")
@caller_options
@click.option(
    "--dialect",
    cls=SectionedOption,
    section="Service",
    type=click.Choice(["xai", "openai"]),
    default="xai",
    show_default=True,
    help="Service that the mock plays.",
)
@click.option(
    "--handover",
    cls=SectionedOption,
    section="Service",
    default=PERSON,
    show_default=True,
    metavar="URI",
    help="Address of the person who takes calls; empty: nobody does.",
)
@click.option(
    "--transfer-status",
    cls=SectionedOption,
    section="Service",
    type=click.IntRange(400, 699),
    help="SIP status by which that person refuses, such as 486 (busy).",
)
@click.option(
    "--today",
    cls=SectionedOption,
    section="Service",
    type=click.DateTime(["%Y-%m-%d"]),
    default=DAY.isoformat(),
    show_default=True,
    help="The clinic's date.",
)
@click.option(
    "--out",
    cls=SectionedOption,
    section="Output",
    type=click.Path(file_okay=False, path_type=Path),
    default="phone",
    show_default=True,
    help="Folder for the call as sound and as a page.",
)
@click.option(
    "--json", "as_json", cls=SectionedOption, section="Output", is_flag=True, help="Print the record as JSON."
)
@click.pass_context
def phone(ctx: click.Context, /, out: Path, as_json: bool, **given: Any) -> None:
    """Telephone the clinic, offline, and print transcript, tool calls and cost.

    A mock rings, and sends the signed webhook of a voice service. The clinic's server answers the call. The call takes
    place in virtual time, so it lasts seconds. It is kept as a stereo WAV file (left: the caller, right: the clinic)
    and as a page.

    Without words the caller books an appointment. Needs the extra `app`.

    Exit code 1: the call broke off.

    \b
    Example:
      realtape clinic phone --say "I have chest pain and I can't breathe."
      realtape clinic phone --barge-in 1500 --say "Stop, please. Goodbye." --press 0
    """
    entries = caller_script(ctx, given) or list(BOOKING)
    if not isinstance(entries[-1], HangUp):  # time for the clinic to hang up, or to hand the call over
        entries += [Listen(), Pause(PATIENCE_S)]
    try:
        from realtape.clinic_rehearsal import rehearse
    except ImportError as missing:
        raise Unusable(f"{missing}: this command needs the extra `app`: {install_command('app')}") from missing
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory() as data:
            made = rehearse(entries, Path(data), **given)
        made.call.save(out / "call.wav")
        if made.record is not None:
            (out / "call.html").write_text(_page(made.record, made.frames), encoding="utf-8")
    except (ValueError, OSError, RuntimeError) as problem:
        raise Unusable(str(problem)) from problem
    record = made.record
    if record is None:
        raise Unusable(f"the clinic did not answer: the call is {made.call.status}")
    if as_json:
        shown = {**record.summary(), "turns": list(record.turns), "mock_usd": made.mock_usd, "out": str(out)}
        click.echo(json.dumps(shown, indent=2))
    else:
        click.echo("\n".join(_lines(record, made, out)))
    if record.failure is not None:
        ctx.exit(1)


def _page(record: CallRecord, frames: Frames) -> str:
    facts = {"Model": record.model, "Made by": record.front, "Call": record.id}
    figures = {
        "Length": f"{(record.ended - record.began).total_seconds():.1f} s",
        "Cost": f"{record.usd or 'not known'} USD",
    }
    return call_page(title="A call to the clinic", facts=facts, figures=figures, alerts=[], actions=[], frames=frames)[
        0
    ]


def _lines(record: CallRecord, made: Telephoned, out: Path) -> list[str]:
    lines = []
    for turn in record.turns:
        lines += [f"caller     {turn['heard']}"] if turn["heard"] else []
        for tool in turn["tools"]:
            lines.append(f"tool       {tool['name']} {json.dumps(tool['arguments'])}")
            lines.append(f"result     {json.dumps(tool['result'])}")
        lines += [f"assistant  {turn['said']}"] if turn["said"] else []
    assert record.phone is not None
    lines.append("")
    lines += [f"{at_s:7.2f} s  {what}" for at_s, what in record.phone.steps]
    how = _ENDED.get(record.phone.ended or "", "The call did not end")
    about = "about " if record.phone.usd_is_estimate else ""
    counted = "no price" if record.usd is None else f"{about}{record.usd} USD"
    lines.append(
        f"\n{how} after {made.call.seconds:.1f} s. The clinic counted {counted}, the mock {made.mock_usd} USD."
    )
    if record.failure is not None:
        lines.append(f"The call broke off: {record.failure}.")
    lines.append(f"Listen to {out / 'call.wav'}, and look at {out / 'call.html'}")
    return lines
