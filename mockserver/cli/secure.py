"""What `serve --tls` serves with, and how clients come to trust it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

from mockserver.server.clock import wall_clock
from mockserver.server.hosts import SERVICE_HOSTS
from replay.cli.usage import Unusable
from replay.version import install_command


class Secure(NamedTuple):
    """What `--tls` serves with, and the path of the CA that clients have to trust."""

    context: ssl.SSLContext
    authority: Path


def secure_with(folder: Path) -> Secure:
    """Makes the CA if there is none in the folder. Raises Unusable."""
    try:
        from mockserver.server import certificates  # an extra
    except ImportError as missing:
        raise Unusable(f"--tls needs {missing.name}; install it with: {install_command('tls')}") from missing
    try:
        return Secure(certificates.context(folder, wall_clock()), folder / certificates.AUTHORITY)
    except (OSError, ValueError) as problem:
        raise Unusable(f"--tls: {folder} cannot be used ({problem}); name another folder with --tls-dir") from problem


def trust(authority: Path, port: int) -> str:
    """How clients come to trust the CA, and how they get here."""
    hosts = " ".join(SERVICE_HOSTS[:2])
    return "\n".join(
        (
            f"the services' host names, by the CA {authority}; the system's store is untouched. Trust it:",
            f"  Python  export SSL_CERT_FILE={authority}   (requests: REQUESTS_CA_BUNDLE)",
            f"  Node    export NODE_EXTRA_CA_CERTS={authority}",
            f"  Go      export SSL_CERT_FILE={authority}",
            "and gets here, without a change to its address, with one of:",
            f"  proxy   export HTTPS_PROXY=http://127.0.0.1:{port}   (Node 24: also NODE_USE_ENV_PROXY=1)",
            f"  hosts   127.0.0.1 {hosts}   in /etc/hosts, and --port 443",
        )
    )
