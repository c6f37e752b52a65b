"""The inspector page at /_mock/: the file inspector.html and its Content-Security-Policy.

The policy allows the page's own script and style, by their hashes, and requests to this server. The page inserts
traffic as text only, so that no content of a frame can run.
"""

from __future__ import annotations

import re
from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from aiohttp import web

PAGE = Path(__file__).with_name("inspector.html")


@lru_cache(maxsize=1)
def _page() -> tuple[str, str]:
    text = PAGE.read_text(encoding="utf-8")
    script, style = (_hash(text, name) for name in ("script", "style"))
    rules = (
        "default-src 'none'",
        f"script-src '{script}'",
        f"style-src '{style}'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return text, "; ".join(rules)


def _hash(page: str, element: str) -> str:
    (content,) = re.findall(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
    return "sha256-" + b64encode(sha256(content.encode()).digest()).decode()


def answer() -> web.Response:
    """The page, with the policy that browsers enforce."""
    text, policy = _page()
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=headers)
