"""The inspector page at /_mock/: the viewer with the server's sessions beside it, and its Content-Security-Policy.

The policy allows the page's own script and style, by their hashes, and requests to this server. The page inserts
traffic as text only, so that no content of a frame can run.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from aiohttp import web

from replay.viewer import assets

WEB = Path(__file__).with_name("web")
"""The modules of the page besides those of the viewer."""


@lru_cache(maxsize=1)
def page() -> assets.Page:
    """The page without data, the same for each server."""
    script = assets.script("inspector", (WEB, assets.WEB))
    return assets.page("realtape", script, assets.style([WEB / "inspector.css"]), {}, connect=True)


def answer() -> web.Response:
    """The page, with the policy that browsers enforce."""
    made = page()
    headers = {
        "Content-Security-Policy": f"{made.policy}; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return web.Response(text=made.html, content_type="text/html", charset="utf-8", headers=headers)
