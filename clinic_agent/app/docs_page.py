"""The server's routes as one plain page, made from its OpenAPI description; nothing is loaded from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from starlette.responses import HTMLResponse

_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'"


def page(api: Mapping[str, Any]) -> HTMLResponse:
    """The page of an OpenAPI description."""
    title = escape(api["info"]["title"])
    known = api["components"]["schemas"]
    routes = ((method, path, told) for path, way in api["paths"].items() for method, told in way.items())
    body = "\n".join(_route(method, path, told, known) for method, path, told in routes)
    html = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="icon" href="web/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="web/style.css"></head>
<body class="docs"><h1>{title}</h1>
<p>{escape(api["info"].get("description", ""))} The same for machines: <a href="openapi.json">openapi.json</a>.</p>
{body}
</body></html>"""
    return HTMLResponse(html, headers={"Content-Security-Policy": _POLICY})


def _route(method: str, path: str, told: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    parts = [
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>",
        *(f"<p>{escape(text)}</p>" for text in told.get("description", "").split("\n\n") if text),
        *(f"<pre>{escape(example)}</pre>" for example in _examples(method, path, told, known)),
        "</section>",
    ]
    return "\n".join(parts)


def _examples(method: str, path: str, told: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    content = told.get("requestBody", {}).get("content", {})
    call = f"curl http://127.0.0.1:8080{path}"
    if not content:
        yield call if method == "get" else f"curl -X {method.upper()} http://127.0.0.1:8080{path}"
    schema = content.get("application/json", {}).get("schema", {})
    schema = known.get(schema.get("$ref", "").rpartition("/")[2], schema)
    for example in schema.get("examples", []):
        yield f"{call} --json '{json.dumps(example)}'"
    if "multipart/form-data" in content:
        yield f"{call} -F audio=@turn-1.wav -F audio=@turn-2.wav"
    if "audio/wav" in content:
        yield f"{call} -H 'Content-Type: audio/wav' --data-binary @turn.wav"
