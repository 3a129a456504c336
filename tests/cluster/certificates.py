"""The certificates and keys of a test's cluster: one CA, the API server, its calls to kubelets."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

_ADMINISTRATORS = x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "system:masters")


def write(folder: Path, *addresses: str) -> None:
    """Write {ca,server,kubelet-client}.crt, {server,kubelet-client,accounts}.key and accounts.pub.

    The API server's certificate names the addresses beside its own names.
    """
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([_name("test-ca")])
    basic = x509.BasicConstraints(ca=True, path_length=None)
    ca = _certificate(ca_name, ca_name, ca_key).add_extension(basic, critical=True)
    _write(folder / "ca.crt", ca.sign(ca_key, hashes.SHA256()))

    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.DNSName("kubernetes.default.svc"),
        *(x509.IPAddress(ipaddress.ip_address(each)) for each in addresses),
    ]
    key = ec.generate_private_key(ec.SECP256R1())
    server = _certificate(x509.Name([_name("kube-apiserver")]), ca_name, key)
    server = server.add_extension(x509.SubjectAlternativeName(names), critical=False)
    _write(folder / "server.crt", server.sign(ca_key, hashes.SHA256()))
    _write(folder / "server.key", key)

    key = ec.generate_private_key(ec.SECP256R1())
    client = _certificate(x509.Name([_ADMINISTRATORS, _name("kube-apiserver")]), ca_name, key)
    usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH])
    client = client.add_extension(usage, critical=False)
    _write(folder / "kubelet-client.crt", client.sign(ca_key, hashes.SHA256()))
    _write(folder / "kubelet-client.key", key)

    accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write(folder / "accounts.key", accounts)
    public = accounts.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "accounts.pub").write_bytes(public)


def _name(common: str) -> x509.NameAttribute:
    return x509.NameAttribute(x509.NameOID.COMMON_NAME, common)


def _certificate(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=30))
    )


def _write(path: Path, thing: Any) -> None:
    if isinstance(thing, x509.Certificate):
        path.write_bytes(thing.public_bytes(serialization.Encoding.PEM))
        return
    path.write_bytes(
        thing.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
