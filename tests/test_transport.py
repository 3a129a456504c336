"""What goes over the wire: TLS where addresses ask for it, and what answers say of themselves."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.db import OperationalError
from django.db.utils import ConnectionHandler
from django.test import Client
from gateway_world import SECRET, wait_until, world
from urllib3.util.ssl_ import create_urllib3_context

from slipway.cli import web
from slipway.core import outward
from slipway.settings import _database


def authority(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that certifies itself for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


def connected(url: str) -> str:
    """The version of TLS that a connection of ours speaks there; empty for none."""
    connection = ConnectionHandler({"default": _database(url)})["default"]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return str(cursor.fetchone()[0] or "")
    finally:
        connection.close()


@pytest.mark.django_db
def test_the_database_is_who_the_address_says_or_nobody(tmp_path: Path) -> None:
    import psycopg

    server = servers.own_postgres(servers.new_folder("postgres-tls"))
    try:
        url = server.fresh()
        ours, key = authority(tmp_path, "ours")
        others, _ = authority(tmp_path, "others")
        with psycopg.connect(url, autocommit=True) as connection:
            data = Path(connection.execute("SHOW data_directory").fetchone()[0])  # type: ignore[index]
            owner = data.stat()
            for source, name in ((ours, "server.crt"), (key, "server.key")):
                (data / name).write_bytes(source.read_bytes())
                (data / name).chmod(0o600)
                os.chown(data / name, owner.st_uid, owner.st_gid)
            assert connected(url) == "", "not yet"
            connection.execute("ALTER SYSTEM SET ssl = on")
            connection.execute("SELECT pg_reload_conf()")
        wait_until(lambda: connected(f"{url}?sslmode=require"))
        strict = f"{url}?sslmode=verify-full&sslrootcert="
        assert connected(f"{strict}{ours}") in {"TLSv1.2", "TLSv1.3"}
        with pytest.raises(OperationalError, match="certificate verify failed"):
            connected(f"{strict}{others}")
        with pytest.raises(OperationalError, match="does not match host"):
            connected(f"{strict}{ours}".replace("127.0.0.1", "localhost"))
    finally:
        server.stop()


def test_a_misspelt_option_of_the_database_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match=r"has \?ssl_mode, which is not known here; known are ssl"):
        _database("postgres://u@db/slipway?ssl_mode=verify-full")


def test_whatever_we_ask_speaks_current_tls_with_good_ciphers_to_who_it_should_be() -> None:
    # Of webhooks, providers and external models; of the gateway; of the S3 and MLflow clients.
    for context in (outward.tls(), ssl.create_default_context(), create_urllib3_context()):
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
        assert context.verify_mode is ssl.CERT_REQUIRED
        ciphers = [each["name"] for each in context.get_ciphers()]
        assert ciphers[0].startswith("TLS_"), "the newest first"
        weak = [name for name in ciphers if not name.startswith(("TLS_", "ECDHE-", "DHE-"))]
        assert weak == [], "without forward secrecy"
        assert not [n for n in ciphers if any(w in n for w in ("NULL", "RC4", "DES", "MD5", "EXP"))]
    assert outward.tls().check_hostname


def test_browsers_are_told_to_come_back_by_tls_only(settings: Any) -> None:
    settings.PUBLIC_URL = "https://slipway.example.com"
    assert web.server_config().headers == [
        ("strict-transport-security", "max-age=31536000; includeSubDomains")
    ]
    settings.PUBLIC_URL = "http://127.0.0.1:8000"
    assert web.server_config().headers == []


def test_what_the_server_says_with_every_answer_is_said_by_gateway_and_django_alike() -> None:
    name, value = web.TLS_ONLY
    with world() as gw:
        gw._server.config.encoded_headers.append((name.encode(), value.encode()))
        ask = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
        line = {"authorization": f"Bearer {SECRET}"}

        def answers() -> list[httpx.Response]:
            return [
                gw.http.post(f"{gw.url}/chat/completions", json=ask, headers=line),
                gw.http.post(f"{gw.url}/chat/completions", json=ask),
                gw.http.get(f"{gw.url}/models", headers=line),
                gw.http.get(f"{gw.url}/nothing"),
            ]

        # They are put together once in a second.
        wait_until(lambda: name in answers()[0].headers)
        time.sleep(1.1)
        found = answers()
        assert [each.headers.get(name) for each in found] == [value] * 4
        assert [each.status_code for each in found] == [200, 401, 200, 404]


@pytest.mark.django_db
def test_text_says_that_it_is_utf_8_and_json_that_it_is_json(
    api: Any, settings: Any, tmp_path: Path
) -> None:
    settings.CONSOLE_DIR = tmp_path
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "a-12345678.js").write_text("1")
    (tmp_path / "index.html").write_text("<html></html>")
    kinds = {
        "/": "text/html; charset=utf-8",
        "/assets/a-12345678.js": "text/javascript; charset=utf-8",
        "/storage/nothing?x=1": "text/plain; charset=utf-8",
    }
    for path, kind in kinds.items():
        assert Client().get(path)["content-type"] == kind, path
    month = "2026-01"
    for path, kind in {
        "/api/v1/me": "application/json",
        "/api/v1/nothing": "application/json",
        f"/api/v1/bills/{month}/csv": "text/csv; charset=utf-8",
        f"/api/v1/bills/{month}/pdf": "application/pdf",
        "/api/v1/changes": "text/event-stream; charset=utf-8",
        "/scim/v2/Nothing": "application/scim+json",
    }.items():
        answer = api.get(path)
        assert answer["content-type"] == kind, (path, answer.status_code)
