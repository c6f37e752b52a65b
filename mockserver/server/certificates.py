"""An own certificate authority for the services' host names, and certificates by it. Needs the extra `tls`.

The authority is kept in a folder, so that clients have to be told of it once. Its name constraints allow it no
other host: its key can vouch for the services and for this machine, and for nobody else.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mockserver.server.hosts import SERVICE_HOSTS

AUTHORITY = "ca.pem"
"""The certificate of the authority: what clients have to trust."""
_KEY = "ca.key"
_DAYS = 365
_LEFT_DAYS = 7
"""An authority that ends within this time is replaced."""
_LOOPBACK = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


def authority(folder: Path, unix_s: float) -> Path:
    """The path of the authority's certificate in the folder; it is made if there is none, or if it ends soon.

    The key beside it is readable by its owner alone. `unix_s`: the Unix second that it is. Raises OSError, and
    ValueError for files that hold something else.
    """
    path, now = folder / AUTHORITY, datetime.fromtimestamp(unix_s, timezone.utc)
    if path.exists() and (folder / _KEY).exists():
        found = x509.load_pem_x509_certificate(path.read_bytes())
        if found.not_valid_after_utc > now + timedelta(days=_LEFT_DAYS) and _names(found) == set(SERVICE_HOSTS):
            return path
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "realtape mock, this machine only")])
    allowed: list[x509.GeneralName] = [x509.DNSName(host) for host in (*SERVICE_HOSTS, "localhost")]
    allowed += [x509.IPAddress(network) for network in _LOOPBACK]
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    made = (
        _dated(name, name, now, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=allowed, excluded_subtrees=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(folder / _KEY, _pem(key))
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


def context(folder: Path, unix_s: float) -> ssl.SSLContext:
    """What a server of the services' host names and of this machine speaks TLS with. Raises as `authority`."""
    issuer = x509.load_pem_x509_certificate(authority(folder, unix_s).read_bytes())
    issuer_key = serialization.load_pem_private_key((folder / _KEY).read_bytes(), password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{folder / _KEY}: not the key of this authority; delete the folder")
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.fromtimestamp(unix_s, timezone.utc)
    hosts: list[x509.GeneralName] = [x509.DNSName(host) for host in _served(SERVICE_HOSTS)]
    hosts += [x509.IPAddress(IPv4Address("127.0.0.1")), x509.IPAddress(IPv6Address("::1"))]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "realtape mock")])
    made = (
        _dated(name, issuer.subject, now, key)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.set_alpn_protocols(["http/1.1"])
    with TemporaryDirectory() as held:  # ssl reads files only
        chain = Path(held) / "server.pem"
        _write(chain, _pem(key) + made.public_bytes(serialization.Encoding.PEM))
        found.load_cert_chain(chain)
    return found


def _served(hosts: Sequence[str]) -> list[str]:
    """The names of a certificate: each host, those one level below it, and this machine."""
    return [*hosts, *(f"*.{host}" for host in hosts), "localhost"]


def _names(found: x509.Certificate) -> set[str]:
    """The host names that an authority may vouch for, besides this machine."""
    constraints = found.extensions.get_extension_for_class(x509.NameConstraints).value
    allowed = constraints.permitted_subtrees or []
    return {each.value for each in allowed if isinstance(each, x509.DNSName)} - {"localhost"}


def _dated(
    subject: x509.Name, issuer: x509.Name, now: datetime, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    made: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made


def _write(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
