"""The `openai` package for Node, which dials `wss:` only: behind a front that adds TLS."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mockserver.testing.mock_server import MockServer
from tests.clients import programs
from tests.clients.reports import check_report
from tests.clients.steps import Steps

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with key.pem and cert.pem for localhost. Skips without OpenSSL."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("OpenSSL is not installed, and the client dials nothing without TLS")
    folder = tmp_path_factory.mktemp("tls")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem"]
    name = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", "cert.pem"]
    subprocess.run([openssl, "req", "-x509", *key, *name], cwd=folder, capture_output=True, timeout=30, check=True)
    return folder


def test_openai_in_node(
    sdk_folder: Path,
    certificate: Path,
    mock: MockServer,
    dialect: str,
    model: str,
    speech: bytes,
    took: Callable[[str], Steps],
):
    steps = took(f"openai {programs.version(sdk_folder, 'openai')} (Node)")
    trust = {**os.environ, "NODE_EXTRA_CA_CERTS": str(certificate / "cert.pem")}
    words = ["openai_sdk.js", mock.http_url, mock.api_key, dialect, model, str(certificate)]
    check_report(programs.report_of(programs.run(sdk_folder, words, speech, trust)), mock, steps)
