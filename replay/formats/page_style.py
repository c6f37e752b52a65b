"""The style sheet of the page (page.py): light and dark, by the reader's setting."""

from __future__ import annotations

STYLE = """
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
