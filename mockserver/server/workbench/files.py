"""The page of the workbench and its modules: the files in web/, and the policy that browsers enforce.

The page has no script or style of its own and asks no other server. Texts reach it as JSON, and it inserts them as
text only, so that nothing of a call can run.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from aiohttp import web

WEB = Path(__file__).with_name("web")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src data:",  # the editor underlines mistakes with an image in its style
        "media-src blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".txt": "text/plain"}


@lru_cache(maxsize=1)
def names() -> frozenset[str]:
    """The files that the page may load, as paths below web/."""
    return frozenset(path.relative_to(WEB).as_posix() for path in WEB.rglob("*") if path.suffix in _TYPES)


def answer(name: str) -> web.Response:
    """A file of the page. Raises HTTPNotFound for any other name."""
    if name not in names():
        raise web.HTTPNotFound(text="there is no such file of the workbench")
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    path = WEB / name
    return web.Response(
        text=path.read_text(encoding="utf-8"), content_type=_TYPES[path.suffix], charset="utf-8", headers=headers
    )
