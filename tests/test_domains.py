"""Whose a mail domain is: claimed by anybody, proved by a record of a real DNS server."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from rest_framework.test import APIClient

from slipway.tenancy import services
from slipway.tenancy.models import Membership, SignOnDomain, User

pytestmark = pytest.mark.django_db


class Zone(socketserver.ThreadingUDPServer):
    """A DNS server of TXT records, by name with its dot; other names are not there."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Question)
        self.records: dict[str, list[str]] = {}
        self.code = dns.rcode.NOERROR
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Question(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, out = self.request
        zone: Any = self.server
        asked = dns.message.from_wire(data)
        answer = dns.message.make_response(asked)
        answer.flags |= dns.flags.AA | dns.flags.RA
        name = asked.question[0].name
        found = zone.records.get(name.to_text())
        answer.set_rcode(zone.code or (dns.rcode.NOERROR if found else dns.rcode.NXDOMAIN))
        if found and not zone.code:
            answer.answer.append(
                dns.rrset.from_text(name, 60, "IN", "TXT", *(f'"{text}"' for text in found))
            )
        out.sendto(answer.to_wire(), self.client_address)


@pytest.fixture
def zone(settings: Any) -> Iterator[Zone]:
    with Zone() as server:
        settings.DNS_SERVERS = [("127.0.0.1", server.server_address[1])]
        yield server
        server.shutdown()


def head_of(principal: Any, api_for: Any) -> Any:
    Membership.objects.create(
        user_id=principal.user_id, organisation_id=principal.organisation_id, role="owner"
    )
    return api_for(services.principal_of(user=User.objects.get(pk=principal.user_id)), role="admin")


@pytest.fixture
def admin(owner: Any, api_for: Any) -> Any:
    return head_of(owner, api_for)


@pytest.fixture
def rival(stranger: Any, api_for: Any) -> Any:
    return head_of(stranger, api_for)


def connect(admin: Any, name: str = "company", domain: str = "Example.com") -> str:
    body = {
        "name": name, "kind": "oidc", "domains": [domain],
        "settings": {"issuer": "https://id.example.com", "client_id": "x"},
    }  # fmt: skip
    made = admin.post("/api/v1/identity-providers", body, format="json")
    assert made.status_code == 201, made.json()
    assert made.json()["domains"] == [domain.lower()]
    return f"/api/v1/identity-providers/{made.json()['id']}"


def offered(email: str = "ada@example.com") -> list[str]:
    told = APIClient().post("/api/v1/sign-on/offers", {"email": email}, format="json").json()
    return [each["name"] for each in told["data"]]


def looked(admin: Any, provider: str) -> dict[str, Any]:
    answer = admin.post(f"{provider}/domains")
    assert answer.status_code == 200, answer.json()
    (found,) = answer.json()["data"]
    return dict(found)


def test_a_claim_sends_nobody_anywhere_until_its_record_is_seen(admin: Any, zone: Zone) -> None:
    provider = connect(admin)
    assert admin.get(provider).json()["unproved_domains"] == ["example.com"]
    assert offered() == []
    found = looked(admin, provider)
    assert (found["record"], found["proved_at"]) == ("_slipway.example.com", None)
    assert "no TXT record at _slipway.example.com yet" in found["trouble"]

    zone.records["_slipway.example.com."] = ["slipway-domain=of-somebody-else"]
    assert "not 'slipway-domain=" in looked(admin, provider)["trouble"]
    zone.code = dns.rcode.SERVFAIL
    assert "does not answer" in looked(admin, provider)["trouble"]
    assert offered() == []

    zone.code = dns.rcode.NOERROR
    zone.records["_slipway.example.com."] = ["v=spf1 -all", found["value"]]
    proved = looked(admin, provider)
    assert (proved["trouble"], bool(proved["proved_at"])) == ("", True)
    assert admin.get(provider).json()["unproved_domains"] == []
    assert offered("Ada@EXAMPLE.com") == ["company"]
    assert offered("ada@sub.example.com") == []
    # It stays proved; nobody is asked once more.
    zone.records.clear()
    assert looked(admin, provider) == proved
    assert admin.get(f"{provider}/domains").json()["data"] == [proved]


def test_a_record_proves_one_organisation_and_one_provider(
    admin: Any, rival: Any, zone: Zone
) -> None:
    mine, theirs = connect(admin), connect(rival, "catcher")
    own = looked(admin, mine)["value"]
    assert looked(rival, theirs)["value"] != own
    zone.records["_slipway.example.com."] = [own]
    assert looked(rival, theirs)["proved_at"] is None
    assert looked(admin, mine)["proved_at"]
    # Two records, as while a domain is sold: who was first stays until they let go.
    zone.records["_slipway.example.com."].append(looked(rival, theirs)["value"])
    assert "another provider answers for it" in looked(rival, theirs)["trouble"]
    assert offered() == ["company"]
    assert admin.delete(mine).status_code == 204
    assert looked(rival, theirs)["proved_at"]
    assert offered() == ["catcher"]
    # The value is an organisation's for good: made anew, it needs no new record.
    again = connect(admin, "company-2")
    assert looked(admin, again)["value"] == own


def test_other_organisations_see_no_claims(admin: Any, rival: Any, zone: Zone) -> None:
    provider = connect(admin)
    assert rival.get(f"{provider}/domains").status_code == 404
    assert rival.post(f"{provider}/domains").status_code == 404
    assert SignOnDomain.objects.get().proved_at is None


def test_where_all_is_one_company_nobody_proves_anything(admin: Any, settings: Any) -> None:
    settings.EDITION = "private"
    connect(admin)
    assert offered() == ["company"]
    body = {
        "name": "second", "kind": "oidc", "domains": ["example.com"],
        "settings": {"issuer": "https://id.example.com", "client_id": "x"},
    }  # fmt: skip
    assert admin.post("/api/v1/identity-providers", body, format="json").status_code == 409


def test_who_administers_the_platform_is_believed(owner: Any, api_for: Any) -> None:
    User.objects.filter(pk=owner.user_id).update(is_superuser=True)
    head = services.principal_of(user=User.objects.get(pk=owner.user_id))
    connect(api_for(head, role="admin"))
    assert offered() == ["company"]
