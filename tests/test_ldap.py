"""Signing in by a real directory: passwords it takes, groups it names, and what it is not asked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone
from rest_framework.test import APIClient
from servers import Server
from servers.identity import directory

from slipway.tenancy import services
from slipway.tenancy.models import IdentityProvider, Membership, SignInFailure, SignOnDomain, User

pytestmark = pytest.mark.django_db

LDIF = """
dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: cn=reader,dc=example,dc=com
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: look-up

dn: uid=ada,dc=example,dc=com
objectClass: inetOrgPerson
uid: ada
cn: Ada Lovelace
sn: Lovelace
mail: ada@example.com
userPassword: analytical engine

dn: uid=bob,dc=example,dc=com
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Bob
mail: bob@example.com
userPassword: bobs password

dn: cn=engineers,dc=example,dc=com
objectClass: groupOfNames
cn: engineers
member: uid=ada,dc=example,dc=com
"""


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for `localhost` that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private


@pytest.fixture(scope="module")
def server(papers: tuple[Path, Path]) -> Iterator[Server]:
    made = directory(LDIF, *papers)
    yield made
    made.stop()


@pytest.fixture
def admin(owner: Any, api_for: Any, settings: Any, papers: tuple[Path, Path]) -> Any:
    settings.EXTERNAL_NETWORKS = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
    settings.EXTERNAL_CA = str(papers[0])
    Membership.objects.create(
        user_id=owner.user_id, organisation_id=owner.organisation_id, role="owner"
    )
    head = services.principal_of(user=User.objects.get(pk=owner.user_id))
    return api_for(head, role="admin")


@pytest.fixture
def provider(admin: Any, server: Server) -> Any:
    group = admin.post("/api/v1/groups", {"name": "eng", "people": []}, format="json").json()
    admin.post("/api/v1/members", {"group": group["id"], "role": "operator"}, format="json")
    body = {
        "name": "office", "kind": "ldap", "secret": "look-up", "domains": ["example.com"],
        "settings": {"url": server.fresh(), "base_dn": "dc=example,dc=com",
                     "bind_dn": "cn=reader,dc=example,dc=com",
                     "group_base": "dc=example,dc=com"},
        "groups": {"engineers": group["id"]}, "default_role": "reader",
    }  # fmt: skip
    made = admin.post("/api/v1/identity-providers", body, format="json")
    assert made.status_code == 201, made.json()
    SignOnDomain.objects.update(proved_at=timezone.now())
    return made.json()


def sign_in(name: str, password: str) -> Any:
    client = APIClient()
    body = {"user": name, "password": password}
    client.answer = client.post("/api/v1/session", body, format="json")
    return client


def test_the_directory_takes_the_password_and_names_the_groups(provider: Any, admin: Any) -> None:
    ada = sign_in("ada@example.com", "analytical engine")
    assert ada.answer.status_code == 200, ada.answer.json()
    assert ada.get("/api/v1/me").json()["role"] == "operator"
    assert User.objects.get(username="ada@example.com").last_name == "Lovelace"
    assert sign_in("bob@example.com", "bobs password").answer.json()["role"] == "reader"
    again = sign_in("Ada@Example.com", "analytical engine")
    assert again.answer.json()["user"] == "ada@example.com", "the same person"
    checked = admin.post(f"/api/v1/identity-providers/{provider['id']}/check").json()
    assert checked["trouble"] == ""
    csrf = {"HTTP_X_CSRFTOKEN": ada.cookies["csrftoken"].value}
    proof = {"password": "analytical engine"}
    assert ada.post("/api/v1/session/proof", proof, format="json", **csrf).status_code == 204


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada@example.com", "wrong"),
        ("ada@example.com", "bobs password"),
        ("nobody@example.com", "x"),
        ("*@example.com", "analytical engine"),
        ("ada@example.com)(uid=*@example.com", "analytical engine"),
        ("*)(uid=ada))(|(mail=x@example.com", "analytical engine"),
    ],
)
def test_what_the_directory_does_not_take_lets_nobody_in(
    provider: Any, name: str, password: str
) -> None:
    refused = sign_in(name, password).answer
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "not_signed_in")
    assert SignInFailure.objects.count() == 1, "guessing gets slower here too"
    assert not User.objects.filter(email__contains="example.com").exists()


def test_an_empty_password_is_never_a_bind_as_nobody(provider: Any) -> None:
    from slipway.tenancy.services.signon import ldap
    from slipway.tenancy.services.signon.seen import Untrusted

    with pytest.raises(Untrusted):
        ldap.check(IdentityProvider.objects.get(), name="ada@example.com", password="")


def test_it_demands_more_than_its_password_where_the_organisation_does(
    provider: Any, admin: Any
) -> None:
    rules = {"requires_sign_on": True, "requires_second_factor": True}
    admin.put("/api/v1/sign-in-rules", rules, format="json")
    refused = sign_in("ada@example.com", "analytical engine").answer
    assert refused.json()["error"]["code"] == "second_factor_required"


def test_a_directory_that_is_down_or_another_is_told_apart(
    provider: Any, admin: Any, server: Server, settings: Any, owner: Any
) -> None:
    settings.EXTERNAL_CA = ""
    away = sign_in("ada@example.com", "analytical engine").answer
    assert (away.status_code, away.json()["error"]["code"]) == (503, "provider_down"), (
        "its certificate is not known"
    )
    settings.EXTERNAL_NETWORKS = []
    inside = sign_in("ada@example.com", "analytical engine").answer
    assert "not public" in inside.json()["error"]["message"]
    assert sign_in(owner.user_name, "correct horse").answer.status_code == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "http://localhost"}, "settings.url"),
        ({"user_filter": "(mail={name.__class__})"}, "settings.user_filter"),
        ({"user_filter": "(mail={name}"}, "settings.user_filter"),
        ({"user_filter": "(objectClass=*)"}, "settings.user_filter"),
    ],
)
def test_settings_that_cannot_be_are_refused(admin: Any, change: Any, field: str) -> None:
    told = {"url": "ldaps://ldap.example.com", "base_dn": "dc=example,dc=com"} | change
    body = {"name": "x", "kind": "ldap", "settings": told}
    wrong = admin.post("/api/v1/identity-providers", body, format="json")
    assert (wrong.status_code, wrong.json()["error"]["details"][0]["field"]) == (422, field)
