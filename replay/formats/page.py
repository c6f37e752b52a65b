"""A recording as one HTML page: the call on a time axis, the transcript, the tool calls, the cost. No script, no
network.

The page's policy forbids everything but its own style sheet (by hash), so nothing that was said in a call can act when
the page is opened. All text is escaped as well. Lengths are attributes of the drawing, never styles.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import date
from hashlib import sha256
from html import escape

from replay.billing.bill import Bill, bill
from replay.billing.prices import UnknownPrice
from replay.cassette.recording import Recording
from replay.cassette.records import Header, Way
from replay.report.soundtrack import Soundtrack, TooLong, sides, soundtrack
from replay.report.transcript import CalledTool, Note, Transcript, Utterance, pretty, transcript_of

_LEFT = 86
_PX_PER_S = (120.0, 60.0, 30.0, 12.0, 4.0, 1.0)
_WIDEST = 12_000
_LANE = 74
_MOST_LINES = 2000
"""Transcript lines on one page."""
_NAMES: dict[Way, str] = {"sent": "caller", "received": "service"}


def render(header: Header, recording: Recording, *, title: str) -> str:
    """The page. Its size follows the length of the call, not the size of its audio."""
    transcript, sound = transcript_of(recording), soundtrack(recording)
    cost = _bill(header, recording)
    seconds = max([transcript.seconds, 1.0, *(piece.end_s for piece in sound.pieces)])
    digest = b64encode(sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        _head(header, title, seconds),
        *_cards(cost, recording, transcript, sound),
        "<section><h2>The call</h2>",
        *_timeline(transcript, sound, seconds, "outline" if header.audio == "outline" else ""),
        "</section><section><h2>What was said</h2>",
        *_transcript(transcript),
        "</section>",
        *_cost(cost),
        "</body></html>",
    ]
    return "\n".join(parts)


def _head(header: Header, title: str, seconds: float) -> str:
    facts = (header.model or "unknown model", header.dialect, header.recorded_at, _clock(seconds), header.tool)
    text = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    badge = f'<b class="origin {header.origin}">{header.origin}</b>'
    return f'<header><h1>{escape(title)} {badge}</h1><p class="facts">{text}</p></header>'


def _cards(cost: Bill | str, recording: Recording, transcript: Transcript, sound: Soundtrack) -> Iterator[str]:
    waits = [
        1000 * (response.first_s - response.requested_s)
        for response in transcript.responses
        if response.first_s is not None and response.requested_s is not None
    ]
    spoke = dict(sides(sound))
    figures = [
        ("cost", "–" if isinstance(cost, str) else f"${cost.usd:.4f}"),
        ("user audio", f"{spoke['sent']:.1f} s"),
        ("service audio", f"{spoke['received']:.1f} s"),
        ("responses", str(len(transcript.responses))),
        ("median time to first audio", f"{sorted(waits)[len(waits) // 2]:.0f} ms" if waits else "–"),
        ("tool calls", str(len(transcript.tool_calls))),
        ("connections", str(len(recording.lines))),
    ]
    yield '<div class="cards">'
    for name, value in figures:
        yield f"<div><em>{escape(value)}</em><span>{escape(name)}</span></div>"
    yield "</div>"


def _timeline(transcript: Transcript, sound: Soundtrack, seconds: float, left_out: str) -> Iterator[str]:
    scale = next((scale for scale in _PX_PER_S if seconds * scale <= _WIDEST), _WIDEST / seconds)
    width = _LEFT + seconds * scale + 40
    tools_top = 2 * _LANE + 40
    labels = list(_placed([(call.at_s, call.name) for call in transcript.tool_calls], scale))
    notes = list(_placed([(note.at_s, note.text) for note in transcript.notes], scale))
    notes_top = tools_top + 24 * (1 + max((row for *_, row in labels), default=0)) + 14
    height = notes_top + 24 * (1 + max((row for *_, row in notes), default=0)) + 8
    yield f'<div class="scroll"><svg width="{width:.0f}" height="{height:.0f}" role="img" aria-label="timeline">'
    yield from _axis(seconds, scale, height)
    for number, side in enumerate(_NAMES):
        yield from _lane(sound, side, 34 + number * _LANE, seconds, scale)
    yield from _flags(
        labels, "tool", tools_top, [not call.result or '"error"' in call.result for call in transcript.tool_calls]
    )
    yield from _flags(notes, "note", notes_top, [note.alarm for note in transcript.notes])
    for response in transcript.responses:
        if (
            response.requested_s is not None
            and response.first_s is not None
            and response.first_s > response.requested_s
        ):
            x, wide = _LEFT + response.requested_s * scale, (response.first_s - response.requested_s) * scale
            y = 34 + _LANE + _LANE - 12
            yield (
                f'<rect class="wait" x="{x:.1f}" y="{y}" width="{wide:.1f}" height="4" rx="2"><title>first audio after '
                f"{1000 * (response.first_s - response.requested_s):.0f} ms</title></rect>"
            )
    yield "</svg></div>"
    text = "Audio begins where it crossed the wire, or when the audio before it has played. Bars show waiting times."
    if left_out:
        text += " Where the recording left audio out, the drawing shows its peak level."
    yield f'<p class="small">{text}</p>'


def _axis(seconds: float, scale: float, height: float) -> Iterator[str]:
    step = next((step for step in (0.5, 1, 2, 5, 10, 30, 60, 300) if step * scale >= 56), 600)
    for number in range(int(seconds / step) + 1):
        x = _LEFT + number * step * scale
        yield f'<line class="tick" x1="{x:.1f}" y1="22" x2="{x:.1f}" y2="{height:.0f}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="14">{_clock(number * step)}</text>'


def _lane(sound: Soundtrack, side: Way, top: float, seconds: float, scale: float) -> Iterator[str]:
    name = _NAMES[side]
    middle, half = top + (_LANE - 16) / 2, (_LANE - 22) / 2
    wide, high = seconds * scale, _LANE - 16
    yield f'<rect class="lane {name}" x="{_LEFT}" y="{top}" width="{wide:.1f}" height="{high}" rx="6"/>'
    yield f'<text class="name {name}" x="0" y="{middle + 4:.0f}">{name}</text>'
    try:
        track = sound.track(side, seconds)
    except TooLong:
        return
    columns = max(1, round(seconds * scale / 2))
    loudest = max(8000, max(track, default=0), -min(track, default=0))
    path: list[str] = []
    for column in range(columns):
        part = track[column * len(track) // columns : (column + 1) * len(track) // columns]
        if part and (peak := max(max(part), -min(part))) > 8:
            x, tall = _LEFT + column * wide / columns + 1, max(0.6, peak / loudest * half)
            path.append(f"M{x:.1f} {middle - tall:.1f}V{middle + tall:.1f}")
    yield f'<path class="wave {name}" d="{"".join(path)}"/>'


def _placed(marks: Sequence[tuple[float, str]], scale: float) -> Iterator[tuple[float, str, int]]:
    """Each label, on the first row where it covers no other."""
    ends: list[float] = []
    for at_s, text in marks:
        x, short = _LEFT + at_s * scale, text if len(text) <= 60 else f"{text[:59]}…"
        wide = 24 + 6.6 * len(short)
        row = next((number for number, end in enumerate(ends) if end <= x), len(ends))
        ends[row : row + 1] = [x + wide]
        yield x, short, row


def _flags(marks: list[tuple[float, str, int]], kind: str, top: float, alarms: list[bool]) -> Iterator[str]:
    for (x, text, row), alarm in zip(marks, alarms, strict=True):
        y = top + 24 * row
        classes = f"{kind} alarm" if alarm else kind
        yield f'<line class="{classes}" x1="{x:.1f}" y1="30" x2="{x:.1f}" y2="{y + 8:.0f}"/>'
        yield f'<circle class="{classes}" cx="{x:.1f}" cy="{y + 8:.0f}" r="4"/>'
        yield f'<text class="{classes}" x="{x + 9:.1f}" y="{y + 12:.0f}">{escape(text)}</text>'


def _transcript(transcript: Transcript) -> Iterator[str]:
    """In order of time. At the same time, words go before tool calls and tool calls before notes."""
    order: list[tuple[float, int, Utterance | CalledTool | Note]] = [
        *((said.at_s, 0, said) for said in transcript.utterances),
        *((call.at_s, 1, call) for call in transcript.tool_calls),
        *((note.at_s, -1 if note.begins else -2 if note.alarm else 2, note) for note in transcript.notes),
    ]
    order.sort(key=lambda each: each[:2])
    yield "<ol>"
    for at_s, _, each in order[:_MOST_LINES]:
        when = f"<time>{_clock(at_s, fine=True)}</time>"
        match each:
            case Utterance(who=who, text=text):
                marks = f"{' <i>typed</i>' * each.typed}{' <i>interrupted</i>' * each.cut}"
                yield f'<li class="{who}">{when}<p>{escape(text)}{marks}</p></li>'
            case CalledTool():
                yield f'<li class="tool">{when}{_call(each)}</li>'
            case Note(text=text):
                yield f'<li class="note{" alarm" * each.alarm}">{when}<p>{escape(text)}</p></li>'
    yield "</ol>"
    if len(order) > _MOST_LINES:
        yield f'<p class="small">{len(order) - _MOST_LINES} more lines are left out.</p>'


def _call(call: CalledTool) -> str:
    if call.result is None:
        result = '<p class="missing">no result was sent</p>'
    else:
        took = f" <i>{1000 * (call.took_s or 0):.0f} ms</i>"
        failed = ' class="failed"' if '"error"' in call.result else ""
        result = f"<pre{failed}>{escape(pretty(call.result))}{took}</pre>"
    return f"<div><b>{escape(call.name)}</b><pre>{escape(pretty(call.arguments))}</pre>{result}</div>"


def _bill(header: Header, recording: Recording) -> Bill | str:
    """The bill, or why there is none."""
    try:
        return bill(recording, date.fromisoformat(header.recorded_at[:10]), header.url)
    except (UnknownPrice, ValueError) as unknown:
        return str(unknown)


def _cost(found: Bill | str) -> Iterator[str]:
    yield "<section><h2>Cost</h2>"
    if isinstance(found, str):
        yield f"<p>{escape(found)}</p></section>"
        return
    yield "<table><thead><tr><th>item</th><th>quantity</th><th>USD</th></tr></thead><tbody>"
    for entry in found.entries:
        amount = f"{float(entry.quantity):,.2f} {entry.unit}"
        yield f"<tr><td>{escape(entry.what)}</td><td>{escape(amount)}</td><td>{float(entry.usd):.6f}</td></tr>"
    yield f"</tbody><tfoot><tr><td>total</td><td></td><td>{found.usd:f}</td></tr></tfoot></table>"
    text = f"Prices as of {found.table.as_of} ({found.table.source})."
    if found.doubt is not None:
        text += f" {found.doubt.capitalize()}."
    if found.server_vad:
        text += f" Under server VAD the service may bill the duration instead: {found.lasted_s:.1f} s."
    yield f'<p class="small">{escape(text)}</p></section>'


def _clock(seconds: float, *, fine: bool = False) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:05.2f}" if fine else f"{int(minutes)}:{rest:04.1f}".removesuffix(".0")


_STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1f2937;--grey:#6b7280;--rule:#e5e7eb;--soft:#f8fafc;--caller:#1d4ed8;
--callerbg:#eff4ff;--service:#0f766e;--servicebg:#ecfaf6;--tool:#6d28d9;--toolbg:#f6f2ff;--alarm:#dc2626;--wait:#f59e0b}
@media(prefers-color-scheme:dark){:root{--paper:#0f172a;--ink:#e5e7eb;--grey:#94a3b8;--rule:#1e293b;--soft:#152036;
--caller:#7da6ff;--callerbg:#16233f;--service:#4fd1b5;--servicebg:#10302c;--tool:#b79cff;--toolbg:#231c3d;
--alarm:#f87171;--wait:#fbbf24}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1180px;padding:36px 28px 60px;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
h1{margin:0;font-size:27px;letter-spacing:-.01em}
h2{margin:38px 0 12px;font-size:17px}
.origin{margin-left:8px;padding:3px 10px;border-radius:99px;background:var(--rule);font-size:13px;font-weight:600;
vertical-align:middle}
.origin.live{background:#dcfce7;color:#166534}
.facts{margin:6px 0 0;color:var(--grey)}
.facts span+span:before{content:"\\00a0\\00b7\\00a0"}
.cards{display:flex;flex-wrap:wrap;gap:12px;margin-top:24px}
.cards div{flex:1 1 120px;padding:12px 16px;border:1px solid var(--rule);border-radius:12px;background:var(--soft)}
.cards em{display:block;font-style:normal;font-size:20px;font-weight:600;font-variant-numeric:tabular-nums}
.cards span,.small{color:var(--grey);font-size:13px}
.scroll{overflow-x:auto;padding:14px 14px 6px;border:1px solid var(--rule);border-radius:12px}
svg{display:block}
svg text{font-size:12px;fill:var(--ink)}
text.tick{fill:var(--grey);text-anchor:middle}
line.tick{stroke:var(--rule)}
text.name{font-size:13px;font-weight:600}
text.name.caller{fill:var(--caller)}text.name.service{fill:var(--service)}
rect.lane.caller{fill:var(--callerbg)}rect.lane.service{fill:var(--servicebg)}
path.wave{fill:none;stroke-width:1.5;stroke-linecap:round}
path.wave.caller{stroke:var(--caller)}path.wave.service{stroke:var(--service)}
rect.wait{fill:var(--wait)}
line.tool,line.note{stroke:var(--grey);stroke-opacity:.4;stroke-dasharray:2 3}
circle.tool{fill:var(--tool)}circle.note{fill:var(--grey)}
text.tool{fill:var(--tool);font-weight:600}text.note{fill:var(--grey)}
text.alarm,circle.alarm{fill:var(--alarm)}line.alarm{stroke:var(--alarm)}
ol{list-style:none;margin:0;padding:0}
li{display:flex;gap:16px;margin:8px 0}
time{flex:0 0 60px;padding-top:9px;color:var(--grey);font-size:13px;font-variant-numeric:tabular-nums;text-align:right}
li p,li div{margin:0;padding:8px 14px;border-radius:12px;max-width:74%;overflow-wrap:anywhere}
li.caller p{background:var(--callerbg);border-left:3px solid var(--caller)}
li.service p{background:var(--servicebg);border-left:3px solid var(--service);margin-left:48px}
li.tool div{background:var(--toolbg);border-left:3px solid var(--tool);margin-left:48px}
li.note p{padding:4px 0;color:var(--grey);font-size:13px}
li.note time{padding-top:4px}
li.note.alarm p,.failed,.missing{color:var(--alarm)}
li i{color:var(--grey);font-size:13px}
pre{margin:4px 0 0;white-space:pre-wrap;font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
table{border-collapse:collapse;min-width:460px}
th{color:var(--grey);font-size:13px;font-weight:500}
th,td{padding:7px 18px 7px 0;border-bottom:1px solid var(--rule);text-align:right;font-variant-numeric:tabular-nums}
th:first-child,td:first-child{text-align:left}
tfoot td{font-weight:600;border-bottom:0}
"""
"""The style sheet: light and dark, by the reader's setting."""
