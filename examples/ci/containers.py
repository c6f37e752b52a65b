"""The mock in a container, for tests that have no realtape installed: `pip install testcontainers pytest`.

IMAGE is an image of realtape's Dockerfile: `docker build -t realtape /path/to/realtape`. The control plane needs the
token, since its caller is outside of the container.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from urllib.request import Request, urlopen

import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.waiting_utils import wait_for_logs

IMAGE = os.environ.get("REALTAPE_IMAGE", "realtape")
TOKEN = "a-token-of-this-run"


def container(*options: str) -> DockerContainer:
    """A mock that is not started yet; `options` are those of `realtape serve`."""
    command = ["serve", "--host", "0.0.0.0", "--port", "8765", *options]
    return DockerContainer(IMAGE).with_command(command).with_env("REALTAPE_ADMIN_TOKEN", TOKEN).with_exposed_ports(8765)


@pytest.fixture(scope="session")
def realtime_origin() -> Iterator[str]:
    """Host and port of a running mock: clients connect to `ws://{realtime_origin}/v1/realtime`."""
    with container("--scenario", "clinic") as running:
        wait_for_logs(running, r"ready ws://", timeout=30)
        yield f"{running.get_container_host_ip()}:{running.get_exposed_port(8765)}"


def findings(origin: str) -> list[dict[str, str]]:
    """The mistakes that the mock found in its clients."""
    request = Request(f"http://{origin}/_mock/findings", headers={"Authorization": f"Bearer {TOKEN}"})
    with urlopen(request, timeout=10) as answer:
        found: list[dict[str, str]] = json.load(answer)
    return found
