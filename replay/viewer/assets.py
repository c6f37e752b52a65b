"""The viewer's JavaScript modules and style as one HTML page without a request, and the policy that the page gets.

The modules in web/ are plain ES modules. A page from disk cannot import modules, so `script` joins them: each becomes
a function that returns what it exports. Two forms are understood: `import { a, b } from "./name.js";` at the beginning
of a line, and `export` before `function`, `class` or `const`.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from pathlib import Path

from replay.viewer.rows import PackedRows

WEB = Path(__file__).with_name("web")
_IMPORT = re.compile(r'^import \{\s([^}]*?),?\s\} from "\./([\w-]+)\.js";$', re.MULTILINE | re.DOTALL)
_EXPORT = re.compile(r"^export ((?:async )?function\*?|class|const) (\w+)", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)


class NotAModule(ValueError):
    """A module that cannot be joined with others. The message names it and the line."""


def script(entry: str, folders: Sequence[Path] = (WEB,)) -> str:
    """The module `entry` with all that it imports, as one script. Modules are looked for in `folders`, in order.

    Raises NotAModule and OSError.
    """
    joined: dict[str, str] = {}
    _join(entry, folders, joined, ())
    return '"use strict";\n' + "\n".join(joined.values())


def _join(name: str, folders: Sequence[Path], joined: dict[str, str], importing: tuple[str, ...]) -> None:
    if name in importing:
        raise NotAModule(f"{name}.js imports itself over {', '.join(importing)}")
    if name in joined:
        return
    file = next((path for folder in folders if (path := folder / f"{name}.js").is_file()), folders[0] / f"{name}.js")
    text = file.read_text(encoding="utf-8")
    for _, other in _IMPORT.findall(text):
        _join(other, folders, joined, (*importing, name))
    exported = [found[1] for found in _EXPORT.findall(text)]
    text = _IMPORT.sub(lambda found: f"const {{ {found[1]} }} = {_variable(found[2])};", text)
    text = _EXPORT.sub(r"\1 \2", text)
    if left := _LEFT.search(text):
        raise NotAModule(f"{name}.js: this cannot be joined: {left[0]}")
    joined[name] = f"const {_variable(name)} = (() => {{\n{text}return {{ {', '.join(exported)} }};\n}})();"


def _variable(name: str) -> str:
    return f"module_{name.replace('-', '_')}"


def style(extra: Iterable[Path] = ()) -> str:
    """The viewer's style sheet, and more files after it."""
    return "".join(path.read_text(encoding="utf-8") for path in (WEB / "viewer.css", *extra))


@dataclass(frozen=True, slots=True)
class Page:
    """An HTML page and its Content-Security-Policy, which the page names itself too."""

    html: str
    policy: str


class JsonTexts:
    """A value of a page that is JSON already, text by text, so that it is never in memory as a whole."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = texts


def page(
    title: str, code: str, sheet: str, data: Mapping[str, object], *, connect: bool = False, forms: bool = False
) -> Page:
    """The page. `data`: values that the script reads as JSON, by the id of their element. `connect`: it may ask its
    own server. `forms`: it may send forms there.
    """
    policy = _policy(code, sheet, connect, forms)
    return Page("".join(_texts(title, code, sheet, data, policy)), policy)


def page_texts(title: str, code: str, sheet: str, data: Mapping[str, object]) -> Iterator[str]:
    """The texts that make up such a page, in order."""
    return _texts(title, code, sheet, data, _policy(code, sheet, connect=False, forms=False))


def _policy(code: str, sheet: str, connect: bool, forms: bool) -> str:
    rules = [
        "default-src 'none'",
        f"script-src '{_digest(code)}'",
        f"style-src '{_digest(sheet)}'",
        "media-src blob:",
        *(["connect-src 'self'"] if connect else []),
        "base-uri 'none'",
        "form-action 'self'" if forms else "form-action 'none'",
    ]
    return "; ".join(rules)


def _texts(title: str, code: str, sheet: str, data: Mapping[str, object], policy: str) -> Iterator[str]:
    yield f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title><style>{sheet}</style></head><body>
<noscript><p>This page needs JavaScript. <code>realtape show FILE</code> lists a recording as text.</p></noscript>
"""
    for name, value in data.items():
        yield f'<script type="application/json" id="{name}">'
        if isinstance(value, JsonTexts):
            yield from (text.translate(_HARMLESS) for text in value.texts)
        elif isinstance(value, Mapping):
            yield from _object_texts(value)
        else:
            yield _json(value)
        yield "</script>\n"
    yield f"<script>{code}</script>\n</body></html>\n"


def _json(value: object) -> str:
    """JSON that cannot end the element that it is in."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(_HARMLESS)


def _object_texts(value: Mapping[str, object]) -> Iterator[str]:
    """The JSON of an object, its lists a thousand elements at a time: a call has many frames."""
    for number, (key, each) in enumerate(value.items()):
        yield f"{',' if number else '{'}{_json(key)}:"
        if isinstance(each, list | PackedRows) and len(each) > _AT_ONCE:
            for begin in range(0, len(each), _AT_ONCE):
                yield f"{',' if begin else '['}{_json(each[begin : begin + _AT_ONCE])[1:-1]}"
            yield "]"
        else:
            yield _json(each[:] if isinstance(each, PackedRows) else each)
    yield "}" if value else "{}"


_AT_ONCE = 1000
"""Elements of a list that are written at once."""
_HARMLESS = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()
