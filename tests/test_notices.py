"""Notices: a real mail server and a real webhook receiver get them, signed, once, or later."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from slipway.core import reconcile
from slipway.core.errors import Invalid
from slipway.core.models import Event
from slipway.metering import services as metering
from slipway.metering.models import Alert, Budget
from slipway.metering.services import prices
from slipway.notices import services
from slipway.notices.models import Delivery, Target
from slipway.notices.reconcile import WATCHED
from slipway.tenancy import services as tenancy
from slipway.tenancy.models import Membership, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def receiver() -> Iterator[Any]:
    """Somebody's own server; `status` is what it answers, `got` what it was told."""
    seen = SimpleNamespace(got=[], status=204)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.got.append((self.path, dict(self.headers.items()), body))
            self.send_response(seen.status)
            self.send_header("location", "http://127.0.0.1:1/")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    seen.url = f"http://127.0.0.1:{server.server_port}/hook/?team=a"
    yield seen
    server.shutdown()
    server.server_close()


@pytest.fixture
def inside(settings: Any) -> None:
    settings.EXTERNAL_NETWORKS = [ip_network("127.0.0.0/8")]


@pytest.fixture
def hook(api: Any, receiver: Any, inside: None) -> dict[str, Any]:
    made = api.post("/api/v1/notices", {"kind": "webhook", "address": receiver.url}, format="json")
    assert made.status_code == 201, made.json()
    return dict(made.json())


def budget_reached(principal: Any, percent: int = 80) -> Alert:
    budget, _ = Budget.objects.get_or_create(
        organisation_id=principal.organisation_id, reach="project",
        target_id=principal.project_id, period="month", defaults={"limit": 100},
    )  # fmt: skip
    return Alert.objects.create(
        budget=budget, percent=percent, period_start=timezone.now(), spent=percent
    )


def run(at: Any = None) -> None:
    """What the worker does: look what happened, take one step with each that is due."""
    services.look(now=at or timezone.now())
    for model, step in WATCHED:
        reconcile.run_due(model, step, now=at or timezone.now())


def test_a_webhook_is_told_once_and_can_check_who_tells_it(
    hook: Any, receiver: Any, owner: Any
) -> None:
    budget_reached(owner)
    run()
    run()
    ((path, headers, body),) = receiver.got
    assert path == "/hook/?team=a"
    told = Webhook(hook["secret"]).verify(body, {k.lower(): v for k, v in headers.items()})
    assert (told["type"], told["data"]["percent"]) == ("budget.reached", 80)
    with pytest.raises(WebhookVerificationError):
        Webhook(hook["secret"]).verify(
            body.replace(b"80", b"90"), {k.lower(): v for k, v in headers.items()}
        )
    assert Delivery.objects.get().phase == "sent"
    budget_reached(owner, 100)
    run()
    assert len(receiver.got) == 2


def test_what_is_not_taken_is_tried_again_ever_later_and_then_failed(
    hook: Any, receiver: Any, owner: Any, api: Any
) -> None:
    receiver.status = 500
    budget_reached(owner)
    run()
    row = Delivery.objects.get()
    assert row.phase == "queued"
    assert 3 < (row.look_at - timezone.now()).total_seconds() < 6
    (shown,) = api.get(f"/api/v1/notices/{hook['id']}/deliveries").json()["data"]
    assert shown["reason"] == "attempt 1: it answered with status 500"
    for attempt in range(len(services.WAITS)):
        assert Delivery.objects.get().phase == "queued", attempt
        Delivery.objects.update(look_at=timezone.now() - timedelta(seconds=1))
        run()
    assert Delivery.objects.get().phase == "failed"
    ids = {headers["webhook-id"] for _, headers, _ in receiver.got}
    assert (len(receiver.got), len(ids)) == (8, 1), "one id, so that a receiver knows it again"


def test_who_answers_gone_is_told_nothing_more(hook: Any, receiver: Any, owner: Any) -> None:
    receiver.status = 410
    budget_reached(owner)
    run()
    assert Delivery.objects.get().phase == "failed"
    assert Target.objects.get().stopped
    budget_reached(owner, 100)
    run()
    assert len(receiver.got) == 1


def test_redirects_are_not_followed(hook: Any, receiver: Any, owner: Any) -> None:
    receiver.status = 302
    budget_reached(owner)
    run()
    assert "status 302" in Delivery.objects.get().reason


@pytest.mark.parametrize(
    "address",
    ["https://127.0.0.1/x", "https://localhost/x", "https://169.254.169.254/latest/meta-data",
     "https://[::ffff:127.0.0.1]/x", "https://2130706433/x"],
)  # fmt: skip
def test_nobody_is_sent_to_private_addresses(api: Any, owner: Any, address: str) -> None:
    made = api.post("/api/v1/notices", {"kind": "webhook", "address": address}, format="json")
    assert made.status_code == 201, made.json()
    budget_reached(owner)
    run()
    assert "not public" in Delivery.objects.get().reason


@pytest.mark.parametrize("address", ["http://example.com/x", "ftp://x", "https://u@x.de/", "x"])
def test_addresses_that_are_none_are_refused(api: Any, address: str) -> None:
    made = api.post("/api/v1/notices", {"kind": "webhook", "address": address}, format="json")
    assert made.status_code == 422


def test_mail_goes_to_people_of_the_organisation(api: Any, owner: Any, post_office: Any) -> None:
    Membership.objects.create(
        user_id=owner.user_id, organisation_id=owner.organisation_id, role="owner"
    )
    User.objects.filter(pk=owner.user_id).update(email="owner@example.com")
    stranger = {"kind": "mail", "address": "somebody@else.example"}
    assert api.post("/api/v1/notices", stranger, format="json").status_code == 422
    mine = {"kind": "mail", "address": "Owner@example.com", "wants": ["key.expiring"]}
    assert api.post("/api/v1/notices", mine, format="json").status_code == 201
    budget_reached(owner)
    key = tenancy.issue_key(
        maker=owner, name="ci\nBcc: all@example.com",
        expires_at=timezone.now() + timedelta(days=30),
    ).key  # fmt: skip
    run()
    assert not post_office.got, "neither wanted, nor soon"
    later = timezone.now() + timedelta(days=24)
    run(later)
    run(later)
    ((to, letter),) = post_office.got
    assert to == ["Owner@example.com"]
    assert letter["subject"].startswith("Slipway: the key ci Bcc: all@example.com expires on")
    assert letter["bcc"] is None
    assert str(key.pk) in letter.get_payload()


def test_a_mail_server_that_is_away_is_tried_again(
    api: Any, owner: Any, post_office: Any, settings: Any
) -> None:
    User.objects.filter(pk=owner.user_id).update(email="owner@example.com")
    api.post("/api/v1/notices", {"kind": "mail", "address": "owner@example.com"}, format="json")
    settings.EMAIL_PORT = 1
    budget_reached(owner)
    run()
    assert Delivery.objects.get().reason.startswith("attempt 1: ConnectionRefusedError")


def test_a_spend_alert_is_mailed_once_a_month_and_amount(
    owner: Any, stranger: Any, api: Any, post_office: Any
) -> None:
    Membership.objects.create(
        user_id=owner.user_id, organisation_id=owner.organisation_id, role="owner"
    )
    User.objects.filter(pk=owner.user_id).update(email="owner@example.com")
    # In the middle of a month to come.
    noon = (timezone.now() + timedelta(days=62)).replace(day=15, hour=12)
    prices.open_book(
        name="book", organisation_id=None, valid_from=timezone.now(), now=timezone.now(),
        prices=[{"kind": "training_tokens", "amount": Decimal(1), "per": 1}],
    )  # fmt: skip

    def spend(project_id: Any, at: Any, quantity: int) -> None:
        metering.add_entry(
            key=f"use {uuid4()}", at=at, project_id=project_id, kind="training_tokens",
            quantity=quantity, model="m", subject="job",
        )  # fmt: skip

    def alert(principal: Any, project_id: Any, amount: int, **more: str) -> Any:
        told = {"recipients": ["Owner@example.com"], "subject_prefix": ""} | more
        return metering.add_spend_alert(
            organisation_id=principal.organisation_id, project_id=project_id,
            amount=Decimal(amount), **told,
        )  # fmt: skip

    with pytest.raises(Invalid, match="people of the organisation"):
        alert(stranger, None, 1)
    row = alert(owner, owner.project_id, 100, subject_prefix="[spend]")
    alert(owner, None, 1000)
    spend(owner.project_id, noon - timedelta(days=30), 5000)  # last month's
    spend(stranger.project_id, noon, 5000)
    spend(owner.project_id, noon, 99)
    run(noon)
    assert post_office.got == []
    spend(owner.project_id, noon, 1)
    run(noon)
    run(noon + timedelta(hours=1))
    ((recipients, letter),) = post_office.got
    assert recipients == ["Owner@example.com"]
    assert letter["subject"] == "[spend] a project has spent 100.00 CNY this month"
    # Whoever is told of everything else here is not told of it, nor is it listed among them.
    assert api.get("/api/v1/notices").json()["data"] == []
    # Another amount is another thing to tell, and so is another month.
    change = {"recipients": ["owner@example.com"], "subject_prefix": ""}
    metering.change_spend_alert(row, amount=Decimal(50), **change)
    run(noon)
    assert post_office.got[1][1]["subject"].startswith("Slipway: a project has spent 50.00")
    following = noon + timedelta(days=30)
    spend(owner.project_id, following, 1000)
    run(following)
    run(following)
    subjects = sorted(letter["subject"] for _, letter in post_office.got[2:])
    assert [subject.split(" has ")[0] for subject in subjects] == [
        "Slipway: a project", "Slipway: the organisation",
    ]  # fmt: skip
    row.delete()
    run(following + timedelta(days=31))
    assert len(post_office.got) == 4


def test_without_a_mail_server_mail_is_refused(api: Any) -> None:
    made = api.post("/api/v1/notices", {"kind": "mail", "address": "a@b.cd"}, format="json")
    assert (made.status_code, "SLIPWAY_SMTP_URL" in made.content.decode()) == (409, True)


def test_other_tenants_are_told_nothing(hook: Any, receiver: Any, stranger: Any) -> None:
    budget_reached(stranger)
    run()
    assert receiver.got == []


def test_an_owner_tries_it_out(hook: Any, receiver: Any, api: Any) -> None:
    assert api.post(f"/api/v1/notices/{hook['id']}/test").status_code == 201
    run()
    assert b'"type":"test"' in receiver.got[0][2]
    assert "whsec_" not in api.get("/api/v1/notices").content.decode()
    assert hook["secret"] not in Target.objects.get().secret
    assert api.delete(f"/api/v1/notices/{hook['id']}").status_code == 204


def test_a_job_that_ended_is_told(hook: Any, receiver: Any, owner: Any) -> None:
    from tenant_world import minimal

    job = minimal(
        apps.get_model("training.TrainingJob"),
        {"project_id": owner.project_id, "look_at": None, "name": "charts"},
    )
    for target in ("running", "failed"):
        Event.objects.create(
            subject=f"training.TrainingJob:{job.pk}", source="queued", target=target,
            reason="out of memory", at=timezone.now(),
        )  # fmt: skip
    run()
    run()
    ((_, _, body),) = receiver.got
    told = json.loads(body)
    assert told["type"] == "job.ended"
    assert told["data"]["text"] == "the job charts ended: failed"
    assert told["data"]["reason"] == "out of memory"
