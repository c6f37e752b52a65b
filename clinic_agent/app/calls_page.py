"""The pages of the records: login, the list of the calls, and one call. Plain HTML without scripts.

Whoever starts the application may give it a better page of one call: see call_page.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

from starlette.responses import HTMLResponse

from clinic_agent.app.call_page import Action, CallPage, Frames
from clinic_agent.app.call_store import CallRecord

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_LANES = ("caller", "assistant", "tools")
_LANE_PX = 26


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that lasted from `start_s` to `end_s`, in s since the beginning of the call."""

    lane: str
    start_s: float
    end_s: float
    label: str


def login(complaint: str = "") -> HTMLResponse:
    """The form for the login token."""
    told = f'<p class="alert" role="alert">{escape(complaint)}</p>' if complaint else ""
    form = f"""<section class="login"><h1>Calls</h1>{told}
<form method="post" action="{"login" if complaint else "calls/login"}"><label for="token">Login token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button type="submit">Log in</button></form></section>"""
    return _page("Log in", form, 403 if complaint else 401, up="../" if complaint else "")


def list_of(records: Sequence[CallRecord]) -> HTMLResponse:
    """The list of the calls."""
    rows = "\n".join(map(_row, records))
    head = "".join(f'<th class="{name}">{name}</th>' for name in ("began", "length", "said", "tools", "cost"))
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if records else "<p>No calls yet.</p>"
    out = '<form method="post" action="calls/logout"><button type="submit">Log out</button></form>'
    return _page(
        "Calls", f'<header class="bar"><h1>Calls</h1>{out}</header><section class="list">{body}</section>', up=""
    )


def _row(record: CallRecord) -> str:
    told = record.summary()
    first = next((turn["heard"] for turn in record.turns if turn.get("heard")), "")
    flags = "".join(f'<span class="flag">{escape(flag)}</span>' for flag in _flags(record))
    phone = ""
    if record.phone is not None:
        phone = f'<span class="flag plain">by telephone: {_ENDS.get(record.phone.ended, "not known")}</span>'
    began = f"{record.began:%Y-%m-%d} <span>{record.began:%H:%M:%S}</span>"
    return f"""<tr><td><a href="calls/{escape(record.id)}">{began}</a></td>
<td>{_length(told["seconds"])}</td><td class="said">{escape(first[:120])}{phone}{flags}</td>
<td class="ran">{escape(", ".join(told["tools"]))}</td><td>{_usd(record)}</td></tr>"""


def call(record: CallRecord, frames: Frames, viewer: CallPage | None = None) -> HTMLResponse:
    """One call: figures, timeline, turns and frames. `viewer` makes the page of a call whose frames are known."""
    told = record.summary()
    actions = [Action("Export", f"{record.id}/export")] if frames else []
    if record.emergency is not None:
        actions.append(Action("Release the calendar", f"{record.id}/release", posts=True))
    actions.append(Action("Delete this call", f"{record.id}/delete", posts=True))
    figures = {"Length": _length(told["seconds"]), "Cost": _usd(record)}
    facts = {"Model": record.model, "Made by": record.front, "Conversation": record.conversation_id or "not known"}
    facts |= _phone_facts(record)
    if viewer is not None and frames:
        if record.phone is not None:
            facts["Steps"] = ", ".join(f"{what} at {at_s:.1f} s" for at_s, what in record.phone.steps)
        alerts = list(_flags(record))
        if record.frames_left_out:
            alerts.append(f"Up to {record.frames_left_out} frames are missing.")
        html, policy = viewer(
            title=f"Call of {record.began:%Y-%m-%d %H:%M:%S} UTC",
            facts=facts,
            figures=figures,
            alerts=alerts,
            actions=[Action("All calls", "../calls"), *actions],
            frames=frames,
        )
        return _response(html, f"{policy}; frame-ancestors 'none'")
    known = {"Began": f"{record.began:%Y-%m-%d %H:%M:%S} UTC", **figures, **facts}
    shown = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in known.items())
    flags = "".join(f'<p class="alert">{escape(flag)}</p>' for flag in _flags(record))
    buttons = " ".join(map(_action, actions))
    parts = [
        f'<header class="bar"><h1>Call</h1><nav><a href="../calls">All calls</a> {buttons}</nav></header>',
        f'<section>{flags}<dl class="figures">{shown}</dl>{_timeline(bars(frames))}</section>',
        _steps(record),
        f'<section class="turns">{"".join(map(_turn, record.turns))}</section>',
        _frames(record, frames),
    ]
    return _page("Call", "\n".join(parts), up="../")


def bars(frames: Frames) -> list[Bar]:
    """What the timeline shows: the caller's turns, the responses, and the tools."""
    found: list[Bar] = []
    began: dict[str, float] = {}
    for at_s, _, event in frames:
        match event:
            case {"type": "input_audio_buffer.append"}:
                began.setdefault("caller", at_s)
            case {"type": "input_audio_buffer.speech_started"}:
                began["caller"] = at_s
            case {"type": "input_audio_buffer.commit" | "input_audio_buffer.speech_stopped"}:
                found.append(Bar("caller", began.pop("caller", at_s), at_s, "speaks"))
            case {"type": "conversation.item.create", "item": {"type": "message"}}:
                found.append(Bar("caller", at_s, at_s, "types"))
            case {"type": "output_audio_buffer.started"}:  # a telephone call, whose playback the service reports
                began["playback"] = at_s
            case {"type": "output_audio_buffer.stopped" | "output_audio_buffer.cleared"}:
                found.append(Bar("assistant", began.pop("playback", at_s), at_s, "is heard"))
            case {"type": "response.created"}:
                began["assistant"] = at_s
            case {"type": "response.done"} if "playback" not in began:
                found.append(Bar("assistant", began.pop("assistant", at_s), at_s, "answers"))
            case {"type": "response.function_call_arguments.done", "call_id": str(call_id), "name": str(name)}:
                began[call_id] = at_s
                found.append(Bar("tools", at_s, at_s, name))
            case {"item": {"type": "function_call_output", "call_id": str(call_id)}} if call_id in began:
                name = next((bar.label for bar in reversed(found) if bar.lane == "tools"), "tool")
                found = [bar for bar in found if not (bar.lane == "tools" and bar.start_s == began[call_id])]
                found.append(Bar("tools", began.pop(call_id), at_s, name))
            case _:
                pass
    return found


_ENDS = {
    "caller": "the caller hung up",
    "assistant": "the assistant hung up",
    "transfer": "handed to a person",
    "service": "ended by the voice service",
    "clinic": "ended by this server",
    None: "in progress",
}


def _phone_facts(record: CallRecord) -> dict[str, str]:
    phone = record.phone
    if phone is None:
        return {}
    told = {"Caller": phone.caller, "Called": phone.called, "Keys": phone.keys}
    return {**{name: value for name, value in told.items() if value}, "End": _ENDS.get(phone.ended, "not known")}


def _steps(record: CallRecord) -> str:
    if record.phone is None or not record.phone.steps:
        return ""
    rows = "".join(f"<tr><td>{at_s:.1f} s</td><td>{escape(what)}</td></tr>" for at_s, what in record.phone.steps)
    return f'<section class="list"><table>{rows}</table></section>'


def _timeline(shown: list[Bar]) -> str:
    if not shown:
        return ""
    end_s = max(bar.end_s for bar in shown) or 1.0
    rows = []
    for bar in shown:  # in percent, so that a narrow screen shrinks the bars and not the words
        x, width = (100 * part / end_s for part in (bar.start_s, bar.end_s - bar.start_s))
        y = _LANES.index(bar.lane) * _LANE_PX + 4
        rows.append(
            f'<rect class="{bar.lane}" x="{x:.2f}%" y="{y}" width="{max(0.3, width):.2f}%" height="18" rx="2">'
            f"<title>{escape(bar.label)}: {bar.start_s:.2f} to {bar.end_s:.2f} s</title></rect>"
        )
    lanes = "".join(f"<span>{lane}</span>" for lane in _LANES)
    picture = f'<svg role="img" aria-label="Timeline of {end_s:.1f} s">{"".join(rows)}</svg>'
    return f'<div class="timeline"><p>{lanes}</p>{picture}</div>'


def _turn(turn: dict[str, Any]) -> str:
    lines = [f'<p class="{who}">{escape(turn[key])}</p>' for who, key in _SIDES[:1] if turn.get(key)]
    for tool in turn.get("tools", ()):
        text = json.dumps({"arguments": tool["arguments"], "result": tool["result"]}, indent=2, ensure_ascii=False)
        bad = " error" if "error" in tool["result"] else ""
        name = f"{escape(tool['name'])} · {tool['ms']:.0f} ms"
        lines.append(f'<details class="tool{bad}"><summary>{name}</summary><pre>{escape(text)}</pre></details>')
    lines += [f'<p class="{who}">{escape(turn[key])}</p>' for who, key in _SIDES[1:] if turn.get(key)]
    if turn.get("first_audio_ms") is not None:
        spent = f"first audio after {turn['first_audio_ms']:.0f} ms · {turn['audio_out_s']:.1f} s of audio"
        lines.append(f'<p class="small">{spent}</p>')
    return "".join(lines)


_SIDES = (("caller", "heard"), ("assistant", "said"))


def _frames(record: CallRecord, frames: Frames) -> str:
    if not frames:
        return ""
    rows = []
    for (way, kind), run in groupby(frames, key=lambda each: (each[1], str(each[2]["type"]))):
        times = [at_s for at_s, _, _ in run]
        many = f" × {len(times)}" if len(times) > 1 else ""
        rows.append(
            f"<tr><td>{times[0]:.3f} s</td><td>{'→' if way == 'sent' else '←'}</td><td>{escape(kind)}{many}</td></tr>"
        )
    left_out = f"<p>Up to {record.frames_left_out} frames are missing.</p>" if record.frames_left_out else ""
    table = f"<table>{''.join(rows)}</table>"
    return f'<details class="frames"><summary>{len(frames)} frames</summary>{table}{left_out}</details>'


def _flags(record: CallRecord) -> Iterable[str]:
    if record.emergency is not None:
        yield f"Emergency: “{record.emergency}”. The calendar is locked for this call."
    if record.failure is not None:
        yield f"Broke off: {record.failure}"


def _usd(record: CallRecord) -> str:
    if record.usd is None:
        return "not known"
    about = "about " if record.phone is not None and record.phone.usd_is_estimate else ""
    return f"{about}${float(record.usd):.4f}"


def _length(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _action(action: Action) -> str:
    if not action.posts:
        return f'<a class="button" href="{escape(action.address)}">{action.label}</a>'
    return f'<form method="post" action="{escape(action.address)}"><button type="submit">{action.label}</button></form>'


def _page(title: str, body: str, status: int = 200, *, up: str) -> HTMLResponse:
    html = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title>
<link rel="icon" href="{up}web/icon.svg" type="image/svg+xml"><link rel="stylesheet" href="{up}web/style.css"></head>
<body class="records">{body}</body></html>"""
    return _response(html, _POLICY, status)


def _response(html: str, policy: str, status: int = 200) -> HTMLResponse:
    # With the server's usual no-referrer, browsers send forms with the origin "null", which is refused.
    return HTMLResponse(html, status, {"Content-Security-Policy": policy, "Referrer-Policy": "same-origin"})
