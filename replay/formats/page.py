"""A recording as one HTML page, which works from disk and makes no request: the viewer with the call in it.

The page's policy allows its own script and style, by their hashes, and nothing else. What was said is data of the
script, which inserts it as text. So nothing that was said in a call can act when the page is opened.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from replay.cassette.recording import Recording
from replay.cassette.records import Header
from replay.diff.compare import Difference
from replay.report import as_scenario
from replay.report.soundtrack import Soundtrack
from replay.viewer import assets
from replay.viewer import comparison as two_calls
from replay.viewer.loudness import sound_of, sound_texts
from replay.viewer.of_recording import document, reader_of

MOST_TAPE = 24 << 20
"""Bytes of a cassette that a page offers for download. A larger one is left out."""


def render(header: Header, recording: Recording, *, title: str, tape: bytes | None = None) -> str:
    """The page of a recording. `tape`: the cassette, which the page then offers for download."""
    return "".join(texts(header, recording, title=title, tape=tape))


def texts(header: Header, recording: Recording, *, title: str, tape: bytes | None = None) -> Iterator[str]:
    """The page of a recording in texts, so that its sound is not in memory as a whole. See `render`."""
    reader = reader_of(recording)
    files: list[Mapping[str, str]] = []
    if reader.transcript.responses:
        text = as_scenario.written(recording)
        files.append(_file("Scenario", f"{title}.yaml", "application/yaml", text=text))
    if tape is not None and len(tape) <= MOST_TAPE:
        files.insert(0, _file("Tape", f"{title}.tape", "application/octet-stream", base64=b64encode(tape).decode()))
    call = document(header, recording, reader, title, packed=True)
    data = {"call": call, "sound": assets.JsonTexts(sound_texts(reader.sound)), "extras": _extras(downloads=files)}
    return assets.page_texts(str(call["title"]), assets.script("page"), assets.style(), data)


def page_of(
    call: Mapping[str, Any],
    sound: Soundtrack,
    *,
    downloads: Sequence[Mapping[str, str]] = (),
    alerts: Sequence[str] = (),
    actions: Sequence[Mapping[str, object]] = (),
) -> assets.Page:
    """The page of a call document.

    `downloads`: `label`, `title`, `name`, `type` of files, with their `text` or `base64`. `alerts`: sentences above the
    call. `actions`: links and buttons, with `label` and `address`; one with `post` sends a form.
    """
    data = {"call": call, "sound": sound_of(sound), "extras": _extras(downloads, alerts, actions)}
    forms = any(each.get("post") for each in actions)
    return assets.page(str(call["title"]), assets.script("page"), assets.style(), data, forms=forms)


def comparison_texts(
    left: Recording, right: Recording, differences: Sequence[Difference], summary: Sequence[str]
) -> Iterator[str]:
    """The page of two recordings side by side, in texts. See replay/viewer/comparison.py."""
    document_, readers = two_calls.document(left, right, differences, summary)
    sounds = _list(sound_texts(each.sound) for each in readers)
    data = {"comparison": document_, "sounds": assets.JsonTexts(sounds)}
    sheet = assets.style([assets.WEB / "compare.css"])
    return assets.page_texts(str(document_["title"]), assets.script("compare"), sheet, data)


def _list(values: Iterable[Iterable[str]]) -> Iterator[str]:
    for number, value in enumerate(values):
        yield "," if number else "["
        yield from value
    yield "]"


def _extras(
    downloads: Sequence[Mapping[str, str]] = (),
    alerts: Sequence[str] = (),
    actions: Sequence[Mapping[str, object]] = (),
) -> Mapping[str, object]:
    return {"downloads": downloads, "alerts": alerts, "actions": actions}


def _file(label: str, name: str, kind: str, **content: str) -> Mapping[str, str]:
    told = {"Scenario": "This call as a scenario for `realtape serve --scenario`", "Tape": "The cassette"}[label]
    return {"label": label, "title": told, "name": name, "type": kind, **content}
