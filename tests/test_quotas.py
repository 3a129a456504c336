"""Limits are seen before they bite; who asks for more gets an answer, and a grant has its term."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from slipway.limits import services as limits
from slipway.metering import services as metering
from slipway.metering.models import Budget
from slipway.metering.services import budgets, prices
from slipway.notices.models import Delivery, Target
from slipway.notices.services import look
from slipway.quotas import services
from slipway.quotas.models import Request
from slipway.quotas.reconcile import sweep
from slipway.tenancy import services as tenancy
from slipway.tenancy.models import User

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def member(owner: Any) -> Any:
    user = tenancy.ensure_member(
        user_name="ada", password="correct horse", project_id=owner.project_id, role="reader"
    )
    return tenancy.principal_of(user=user)


def budget(owner: Any, amount: str = "100") -> Budget:
    return budgets.set_budget(
        organisation_id=owner.organisation_id, reach="project", target_id=owner.project_id,
        period="month", limit=Decimal(amount), hard=True, alert_at=[],
    )  # fmt: skip


def ask(member: Any, row: Budget, amount: str = "500", **more: Any) -> Request:
    given: dict[str, Any] = {"why": "a bigger run", "until": None, "now": NOON} | more
    return services.ask(
        principal=member, kind="budget", limit_id=row.pk, wanted={"limit": amount}, **given
    )


def test_a_member_asks_an_owner_grants_and_the_term_ends(
    owner: Any, member: Any, api: Any, api_for: Any
) -> None:
    row, theirs = budget(owner), api_for(member, role="reader")
    (seen,) = theirs.get("/api/v1/quotas").json()["data"]
    assert (seen["kind"], seen["fields"], seen["used"]) == ("budget", {"limit": "100.000000"}, 0.0)
    assert seen["scope"] == {"reach": "project", "period": "month"}
    until = timezone.now() + timedelta(days=3)
    body = {"kind": "budget", "limit_id": seen["limit_id"], "wanted": {"limit": "500"},
            "why": "a bigger run", "until": until.isoformat()}  # fmt: skip
    made = theirs.post("/api/v1/quota-requests", body, format="json")
    assert made.status_code == 201, made.content
    assert made.json()["scope"] == seen["scope"]
    one = f"/api/v1/quota-requests/{made.json()['id']}"
    assert made.json()["may_answer"] is False
    assert theirs.post("/api/v1/quota-requests", body, format="json").status_code == 409
    assert theirs.post(f"{one}/grant", {}, format="json").status_code == 403
    assert Budget.objects.get(pk=row.pk).limit == 100, "asking changes nothing"
    assert api.get(one).json()["may_answer"] is True
    granted = api.post(
        f"{one}/grant", {"given": {"limit": "300"}, "answer": "this much"}, format="json"
    )
    assert granted.status_code == 200, granted.content
    assert granted.json()["granted"] == {"limit": "300.000000"}
    assert Budget.objects.get(pk=row.pk).limit == 300
    assert theirs.get(one).json()["answer"] == "this much"
    assert api.post(f"{one}/refuse", {"answer": "no"}, format="json").status_code == 409
    sweep(until - timedelta(seconds=1))
    assert Budget.objects.get(pk=row.pk).limit == 300
    sweep(until)
    sweep(until)
    assert Budget.objects.get(pk=row.pk).limit == 100
    assert theirs.get(one).json()["state"] == "lapsed"


def test_rates_are_asked_for_the_same_way(owner: Any, member: Any) -> None:
    row = limits.set_limit(maker=owner, requests_per_minute=60, at_once=4)
    wanted = {"requests_per_minute": 600}
    made = services.ask(
        principal=member, kind="rate", limit_id=row.pk, wanted=wanted, why="load test",
        until=NOON + timedelta(days=1), now=NOON,
    )  # fmt: skip
    services.grant(principal=owner, request_id=made.pk, now=NOON)
    row.refresh_from_db()
    assert (row.requests_per_minute, row.at_once) == (600, 4)
    services.lapse(now=NOON + timedelta(days=1))
    row.refresh_from_db()
    assert (row.requests_per_minute, row.at_once) == (60, 4)


@pytest.mark.parametrize(
    "wanted", [{}, {"limit": "100"}, {"limit": "NaN"}, {"limit": "1e30"}, {"limit": "x"},
               {"limit": "101.1234567"}, {"hard": "false"}, {"limit": None}]
)  # fmt: skip
def test_what_is_no_more_is_refused(
    owner: Any, member: Any, api_for: Any, wanted: dict[str, Any]
) -> None:
    row = budget(owner)
    body = {"kind": "budget", "limit_id": str(row.pk), "wanted": wanted, "why": "?"}
    asked = api_for(member, role="reader").post("/api/v1/quota-requests", body, format="json")
    assert asked.status_code == 422, asked.content


def test_who_may_not_set_a_limit_may_not_grant_more_of_it(
    owner: Any, member: Any, stranger: Any, api_for: Any
) -> None:
    row = budgets.set_budget(
        organisation_id=owner.organisation_id, reach="organisation",
        target_id=owner.organisation_id, period="month", limit=Decimal(10), hard=True, alert_at=[],
    )  # fmt: skip
    made = ask(member, row)
    grant = f"/api/v1/quota-requests/{made.pk}/grant"
    # A project's owner is not the organisation's.
    assert api_for(owner).post(grant, {}, format="json").status_code == 403
    assert api_for(stranger).post(grant, {}, format="json").status_code == 404
    assert Budget.objects.get(pk=row.pk).limit == 10
    other = budget(stranger)
    body = {"kind": "budget", "limit_id": str(other.pk), "wanted": {"limit": "999"}, "why": "?"}
    theirs = api_for(member, role="reader")
    assert theirs.post("/api/v1/quota-requests", body, format="json").status_code == 404


def test_only_the_asker_takes_it_back(owner: Any, member: Any, api: Any, api_for: Any) -> None:
    made = ask(member, budget(owner))
    one = f"/api/v1/quota-requests/{made.pk}"
    assert api.delete(one).status_code == 403
    assert api_for(member, role="reader").delete(one).json()["state"] == "withdrawn"
    assert api.post(f"{one}/grant", {}, format="json").status_code == 409
    assert [r["state"] for r in api.get("/api/v1/quota-requests").json()["data"]] == ["withdrawn"]
    assert api.get("/api/v1/quota-requests?state=asked").json()["data"] == []


def test_a_limit_that_was_set_anew_meanwhile_stays(owner: Any, member: Any) -> None:
    row = budget(owner)
    made = ask(member, row, until=NOON + timedelta(days=1))
    services.grant(principal=owner, request_id=made.pk, now=NOON)
    Budget.objects.filter(pk=row.pk).update(limit=750)
    services.lapse(now=NOON + timedelta(days=2))
    assert Budget.objects.get(pk=row.pk).limit == 750


def test_grants_upon_grants_end_where_the_first_began(owner: Any, member: Any) -> None:
    row = budget(owner)
    first = ask(member, row, "200", until=NOON + timedelta(days=1))
    services.grant(principal=owner, request_id=first.pk, now=NOON)
    second = ask(member, row, "400", until=NOON + timedelta(days=5))
    services.grant(principal=owner, request_id=second.pk, now=NOON + timedelta(hours=1))
    services.lapse(now=NOON + timedelta(days=2))
    assert Budget.objects.get(pk=row.pk).limit == 400, "the second runs on"
    services.lapse(now=NOON + timedelta(days=6))
    assert Budget.objects.get(pk=row.pk).limit == 100


def test_when_it_will_bite_is_told_by_the_pace_of_a_day(owner: Any, member: Any) -> None:
    prices.open_book(
        name="book", organisation_id=None, valid_from=NOON - timedelta(days=2), now=NOON
        - timedelta(days=2), prices=[{"kind": "training_tokens", "amount": Decimal(1), "per": 1}],
    )  # fmt: skip
    budget(owner, "100")
    limits.set_limit(maker=owner, requests_per_minute=60)
    metering.add_entry(
        key="a", at=NOON - timedelta(hours=3), project_id=owner.project_id,
        kind="training_tokens", quantity=25, model="m", subject="s",
    )  # fmt: skip
    first, rate = services.bounds(principal=member, now=NOON)
    assert first.used == 0.25
    assert first.bites_at == NOON + timedelta(days=3)
    assert (rate.kind, rate.used) == ("rate", None)
    metering.add_entry(
        key="b", at=NOON, project_id=owner.project_id, kind="training_tokens", quantity=80,
        model="m", subject="s",
    )  # fmt: skip
    assert services.bounds(principal=member, now=NOON)[0].bites_at == NOON


def test_those_who_answer_and_those_who_ask_are_told(owner: Any, member: Any) -> None:
    now = timezone.now()
    target = Target.objects.create(
        organisation_id=owner.organisation_id, kind="webhook", address="https://example.com/",
        made_by="x", created_at=now - timedelta(days=1),
    )  # fmt: skip
    made = ask(member, budget(owner), now=now, until=now + timedelta(hours=1))
    look(now=now)
    services.grant(principal=owner, request_id=made.pk, now=now, answer="good luck")
    look(now=now)
    services.lapse(now=now + timedelta(hours=2))
    look(now=now + timedelta(hours=2))
    look(now=now + timedelta(hours=2))
    told = Delivery.objects.filter(target=target).order_by("created_at", "pk")
    assert sorted(one.happening for one in told) == [
        "quota.answered", "quota.asked", "quota.lapsed",
    ]  # fmt: skip
    said = {one.happening: one.body["data"]["text"] for one in told}
    assert said["quota.asked"].startswith("ada asks for more of the project's budget")


def test_who_can_answer_is_mailed_without_having_asked_for_it(
    owner: Any, member: Any, stranger: Any, settings: Any
) -> None:
    for principal, name in ((owner, "boss"), (member, "ada"), (stranger, "far")):
        User.objects.filter(pk=principal.user_id).update(email=f"{name}@example.com")
    now = timezone.now()
    made = ask(member, budget(owner), now=now)
    look(now=now)
    assert not Delivery.objects.exists(), "there is no mail server"
    settings.EMAIL_HOST = "mail.example.com"
    look(now=now)
    look(now=now)
    (asked,) = Delivery.objects.select_related("target")
    assert (asked.target.address, asked.happening) == ("boss@example.com", "quota.asked")
    services.grant(principal=owner, request_id=made.pk, now=now, answer="good luck")
    look(now=now)
    look(now=now)
    answered = Delivery.objects.select_related("target").exclude(pk=asked.pk).get()
    assert (answered.target.address, answered.happening) == ("ada@example.com", "quota.answered")


def test_who_asked_to_be_told_is_not_told_twice(owner: Any, member: Any, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    User.objects.filter(pk=owner.user_id).update(email="Boss@example.com")
    now = timezone.now()
    Target.objects.create(
        organisation_id=owner.organisation_id, kind="mail", address="boss@example.com",
        made_by="x", created_at=now - timedelta(days=1),
    )  # fmt: skip
    ask(member, budget(owner), now=now)
    look(now=now)
    assert Delivery.objects.count() == 1
