"""Where clients find a server, or one namespace of it."""

from __future__ import annotations

from dataclasses import dataclass

WEBHOOK_SECRET = "OPENAI_WEBHOOK_SECRET"
"""The environment variable in which the openai packages look for the secret of webhooks."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of a namespace. `authority`: host and port. `namespace`: its id; empty for the root."""

    authority: str
    namespace: str = ""
    secure: bool = False

    @property
    def ws(self) -> str:
        """Where clients connect: `ws://127.0.0.1:PORT/v1/realtime`."""
        return f"ws{self._s}://{self.authority}{self._path}/v1/realtime"

    @property
    def http(self) -> str:
        """The base of the REST routes: `http://127.0.0.1:PORT/v1`."""
        return f"{self.origin}{self._path}/v1"

    @property
    def control(self) -> str:
        """The base of the control plane: `http://127.0.0.1:PORT/_mock`."""
        return f"{self.origin}/_mock" + (f"/namespaces/{self.namespace}" if self.namespace else "")

    @property
    def origin(self) -> str:
        """The server without a path: `http://127.0.0.1:PORT`."""
        return f"http{self._s}://{self.authority}"

    @property
    def _s(self) -> str:
        return "s" if self.secure else ""

    @property
    def _path(self) -> str:
        return f"/{self.namespace}" if self.namespace else ""


def environment(ws_url: str, http_url: str, api_key: str, openai_key: str | None = None) -> dict[str, str]:
    """The environment variables by which clients find their service: the clinic agent's and the openai packages'.
    `openai_key`: the key of the latter, if it is another."""
    return {
        "XAI_REALTIME_URL": ws_url,
        "XAI_HTTP_URL": http_url,
        "XAI_API_KEY": api_key,
        "OPENAI_BASE_URL": http_url,
        "OPENAI_WEBSOCKET_BASE_URL": ws_url.removesuffix("/realtime"),
        "OPENAI_API_KEY": api_key if openai_key is None else openai_key,
    }
