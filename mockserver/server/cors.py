"""What web pages may read of the answers: Cross-Origin Resource Sharing.

Pages of this machine, and those of `--allow-origin`, read every answer. Pages of another origin read refusals alone, so
that the browser shows why it was refused. Of the control plane they read nothing, unless an admin token guards it.
"""

from __future__ import annotations

from aiohttp import hdrs, web

from mockserver.server.options import Options
from mockserver.server.origins import is_foreign
from replay.addresses import is_loopback_url

_EXPOSED = f"{hdrs.RETRY_AFTER}, X-Request-Id"
_PRIVATE_NETWORK = "Access-Control-Request-Private-Network"


def preflight(request: web.Request) -> web.Response | None:
    """The answer to a browser's question before a request of a page; None for any other request. It allows every method
    and header, also at routes that refuse: the request itself is answered then."""
    asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD)
    if request.method != hdrs.METH_OPTIONS or asked is None or hdrs.ORIGIN not in request.headers:
        return None
    headers: dict[str, str] = {hdrs.ACCESS_CONTROL_ALLOW_METHODS: asked}
    if (names := request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS)) is not None:
        headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = names
    if _PRIVATE_NETWORK in request.headers:
        headers["Access-Control-Allow-Private-Network"] = "true"
    return web.Response(status=204, headers=headers)


def share(request: web.Request, response: web.StreamResponse, options: Options) -> None:
    """Let the page that asked read the response, if it may."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None or response.prepared:
        return
    if request.path.startswith("/_mock"):
        may = options.admin_token is not None or is_loopback_url(origin)
    else:
        may = (
            response.status >= 400
            or request.method == hdrs.METH_OPTIONS
            or not is_foreign(origin, request.host, options.allow_origins)
        )
    response.headers.add(hdrs.VARY, hdrs.ORIGIN)
    if may:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers.setdefault(hdrs.ACCESS_CONTROL_EXPOSE_HEADERS, _EXPOSED)
