"""The documentation page of the routes, made from their OpenAPI description, without external scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from starlette.responses import HTMLResponse

_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'"


def page(api: Mapping[str, Any]) -> HTMLResponse:
    """The documentation page for an OpenAPI description."""
    title = escape(api["info"]["title"])
    schemas = api["components"]["schemas"]
    body = "\n".join(
        _route(method, path, operation, schemas)
        for path, operations in api["paths"].items()
        for method, operation in operations.items()
    )
    html = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="icon" href="web/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="web/style.css"></head>
<body class="docs"><h1>{title}</h1>
<p>{escape(api["info"].get("description", ""))} Machine-readable: <a href="openapi.json">openapi.json</a>.</p>
{body}
</body></html>"""
    return HTMLResponse(html, headers={"Content-Security-Policy": _POLICY})


def _route(method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    parts = [
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>",
        *(f"<p>{escape(text)}</p>" for text in operation.get("description", "").split("\n\n") if text),
        *(f"<pre>{escape(example)}</pre>" for example in _examples(method, path, operation, schemas)),
        "</section>",
    ]
    return "\n".join(parts)


def _examples(method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    content = operation.get("requestBody", {}).get("content", {})
    call = f"curl http://127.0.0.1:8080{path}"
    if not content:
        yield call if method == "get" else f"curl -X {method.upper()} http://127.0.0.1:8080{path}"
    schema = content.get("application/json", {}).get("schema", {})
    schema = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
    for example in schema.get("examples", []):
        yield f"{call} --json '{json.dumps(example)}'"
    if "multipart/form-data" in content:
        yield f"{call} -F audio=@turn-1.wav -F audio=@turn-2.wav"
    if "audio/wav" in content:
        yield f"{call} -H 'Content-Type: audio/wav' --data-binary @turn.wav"
