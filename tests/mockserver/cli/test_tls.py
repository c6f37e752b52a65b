"""`serve --tls`: a client that nobody edited reaches the mock under the service's own address."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from mockserver.server import certificates
from mockserver.server.hosts import is_served

NOW = 1_790_000_000.0
# As an application has it: nothing in it knows of a mock.
APPLICATION = """
import asyncio, json
from websockets.asyncio.client import connect

URL = "wss://api.x.ai/v1/realtime?model=grok-voice-latest"

async def main():
    async with connect(URL, additional_headers={"Authorization": "Bearer xai-anything"}) as service:
        await service.send(json.dumps({"type": "response.create"}))
        while (event := json.loads(await service.recv()))["type"] != "response.done":
            pass
        print(event["response"]["status"])

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("tls")
    command = [sys.executable, "-m", "realtape", "serve", "--port", "0", "--pacing", "burst", "--json"]
    with subprocess.Popen(
        [*command, "--tls", "--tls-dir", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            ready = json.loads(process.stdout.readline())
            yield {**ready, "told": "".join(process.stderr.readline() for _ in range(7))}
        finally:
            process.terminate()


def environment(**more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return {**clean, **more}


def port(served: dict[str, Any]) -> int:
    return int(served["proxy"].rsplit(":", 1)[1])


def client_of(served: dict[str, Any], host: str) -> ssl.SSLSocket:
    """A TLS connection whose client takes the mock for this host, as a hosts entry makes it do."""
    trusting = ssl.create_default_context(cafile=served["ca"])
    plain = socket.create_connection(("127.0.0.1", port(served)), timeout=10)
    return trusting.wrap_socket(plain, server_hostname=host)


@pytest.mark.slow
def test_an_unedited_client_reaches_the_mock_by_two_environment_variables(served: dict[str, Any], tmp_path: Path):
    application = tmp_path / "application.py"
    application.write_text(APPLICATION, encoding="utf-8")
    pointed = environment(SSL_CERT_FILE=served["ca"], HTTPS_PROXY=served["proxy"])
    done = subprocess.run(
        [sys.executable, str(application)], env=pointed, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("completed\n", 0), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("host", ["api.x.ai", "api.openai.com", "me.openai.azure.com", "localhost", "127.0.0.1"])
def test_the_certificate_holds_for_the_services_and_this_machine(served: dict[str, Any], host: str):
    with client_of(served, host) as secure:
        secure.sendall(b"GET /_mock/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert secure.recv(15) == b"HTTP/1.1 200 OK"


@pytest.mark.slow
def test_it_holds_for_nobody_else_and_no_client_trusts_it_by_itself(served: dict[str, Any]):
    with pytest.raises(ssl.SSLCertVerificationError):
        client_of(served, "example.com")
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(
            socket.create_connection(("127.0.0.1", port(served))), server_hostname="api.x.ai"
        )


@pytest.mark.slow
def test_plain_clients_are_served_on_the_same_port_and_nothing_is_forwarded(served: dict[str, Any]):
    for request, status in (
        (b"GET /_mock/health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200"),
        (b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", b"403"),
        (b"CONNECT api.x.ai:443 HTTP/1.1\r\nHost: api.x.ai\r\n\r\n", b"200"),
    ):
        with socket.create_connection(("127.0.0.1", port(served)), timeout=10) as plain:
            plain.sendall(request)
            assert plain.recv(100).split(b" ", 2)[1] == status


@pytest.mark.slow
def test_it_says_how_to_trust_it_and_how_to_get_here(served: dict[str, Any]):
    assert served["ws"].startswith("wss://127.0.0.1:")
    for told in (
        f"SSL_CERT_FILE={served['ca']}",
        f"NODE_EXTRA_CA_CERTS={served['ca']}",
        f"HTTPS_PROXY={served['proxy']}",
        "127.0.0.1 api.x.ai api.openai.com",
        "the system's store is untouched",
    ):
        assert told in served["told"]


def test_the_authority_is_kept_until_it_ends_and_its_key_is_the_owners(tmp_path: Path):
    first = certificates.authority(tmp_path / "tls", NOW).read_bytes()
    assert certificates.authority(tmp_path / "tls", NOW + 300 * 86_400).read_bytes() == first
    assert certificates.authority(tmp_path / "tls", NOW + 360 * 86_400).read_bytes() != first
    if sys.platform != "win32":
        assert (tmp_path / "tls" / "ca.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("host", "served_here"),
    [("api.x.ai", True), ("EU.api.x.ai.", True), ("localhost", True), ("x.ai", False), ("evilapi.x.ai.example", False)],
)
def test_only_the_services_and_this_machine_are_answered_for(host: str, served_here: bool):
    assert is_served(host) is served_here
