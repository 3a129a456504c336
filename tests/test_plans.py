"""Plans: a fee per term, paid in advance and once; what units give begins and ends with it."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from django.core.wsgi import get_wsgi_application
from django.db import connection

from slipway.cli import client, root
from slipway.core.errors import Conflict, Invalid, NotFound
from slipway.core.reconcile import run_due
from slipway.gateway.loader import Loader
from slipway.leaving.services import stopping
from slipway.limits import services as limits
from slipway.metering import services as metering
from slipway.metering.models import Entry, Kind
from slipway.metering.services import bills, budgets, rollups
from slipway.notices.services import happenings
from slipway.plans import rules, services
from slipway.plans.models import Phase, Plan, Subscription
from slipway.tenancy import services as tenancy
from slipway.tenancy.models import ApiKey, Project, User

NOON = datetime(2026, 11, 10, 12, 0, tzinfo=UTC)
BASE = {"name": "base", "fee": Decimal(0), "term": "month", "everybody": True,
        "requests_per_minute": 60, "tokens_per_minute": 10_000}  # fmt: skip
FAST = {"name": "fast", "fee": Decimal(30), "term": "month", "tokens_per_minute": 50_000,
        "most_units": 4}  # fmt: skip


def offer(**terms: Any) -> Plan:
    return services.offer(now=NOON, **terms)


def take(owner: Any, plan: Plan, units: int = 1, now: datetime = NOON) -> Subscription:
    return services.subscribe(principal=owner, plan_id=plan.pk, units=units, now=now)


def change(owner: Any, row: Subscription, now: datetime, **asked: Any) -> Subscription:
    return services.change(principal=owner, subscription_id=row.pk, now=now, **asked)


def fees() -> list[Decimal]:
    rows = Entry.objects.filter(kind=Kind.PLAN_FEE).order_by("created_at", "pk")
    return [Decimal(row.quantity) / 10**6 for row in rows]


def step(row: Subscription, now: datetime) -> Subscription:
    row.refresh_from_db()
    services.renew(row, now)
    row.refresh_from_db()
    return row


def pay(owner: Any, amount: int) -> None:
    metering.pay_in(organisation_id=owner.organisation_id, amount=Decimal(amount), made_by="t")


@pytest.fixture
def boss(owner: Any) -> Any:
    """The owner, who looks after the whole installation."""
    User.objects.filter(pk=owner.user_id).update(is_superuser=True)
    return tenancy.principal_of(user=User.objects.get(pk=owner.user_id))


def test_terms_are_counted_from_their_beginning() -> None:
    last = datetime(2026, 1, 31, 8, 30, tzinfo=UTC)
    starts = [rules.start_of(last, "month", number) for number in range(4)]
    assert [(at.month, at.day) for at in starts] == [(1, 31), (2, 28), (3, 31), (4, 30)]
    assert {(at.hour, at.minute) for at in starts} == {(8, 30)}
    leap = rules.start_of(datetime(2027, 12, 29, tzinfo=UTC), "month", 2)
    assert leap == datetime(2028, 2, 29, tzinfo=UTC)
    assert rules.start_of(last, "hour", 30) == last + timedelta(hours=30)
    assert rules.term_at(last, "hour", 1, last + timedelta(hours=1)) == 1
    assert rules.term_at(last, "hour", 1, last + timedelta(hours=7, minutes=1)) == 7
    end = last + timedelta(hours=4)
    assert rules.share_left(last, end, last + timedelta(hours=3)) == Decimal("0.25")
    assert rules.share_left(last, end, last - timedelta(hours=3)) == 1
    assert rules.share_left(last, end, end + timedelta(hours=3)) == 0
    assert rules.fee_of(Decimal(1), 1, Fraction(1, 3)) == Decimal("0.333334"), "rounded up"
    left = rules.share_left(last, last + timedelta(hours=1), last + timedelta(seconds=3549))
    exact = rules.fee_of(Decimal("6827303.86"), 6, left)
    assert exact == Decimal("580320.8281"), "and no millionth more"


@pytest.mark.django_db
def test_the_first_term_is_paid_at_once_and_is_a_line_of_the_bill(owner: Any) -> None:
    offer(**BASE)
    row = take(owner, offer(**FAST), units=2)
    assert (row.phase, row.term_ends_at) == (Phase.ACTIVE, datetime(2026, 12, 10, 12, tzinfo=UTC))
    assert fees() == [60]
    assert rollups.differences() == []
    bill = bills.bill(
        organisation_id=owner.organisation_id, organisation="acme", month="2026-11", now=NOON,
        project_ids=[owner.project_id],
    )  # fmt: skip
    (line,) = bill.lines
    assert (line.kind, line.model, line.cost) == ("plan_fee", "fast", Decimal(60))
    (traced,) = bills.rows_of(bill, 1)
    assert bills.traced(traced, line.kind).subject == f"subscription {row.pk}"
    with pytest.raises(Conflict, match="already"):
        take(owner, row.plan)
    assert fees() == [60]


@pytest.mark.django_db
def test_what_a_limit_does_not_leave_is_neither_taken_nor_charged(owner: Any) -> None:
    offer(**BASE)
    plan = offer(**FAST)
    pay(owner, 50)
    with pytest.raises(metering.BudgetSpent, match="credit"):
        take(owner, plan, units=2)
    assert not Subscription.objects.exists()
    take(owner, plan)
    assert budgets.balance(organisation_id=owner.organisation_id) == 20
    row = Subscription.objects.get()
    with pytest.raises(metering.BudgetSpent):
        change(owner, row, NOON, units=2)
    row.refresh_from_db()
    assert (row.units, fees()) == (1, [30])


@pytest.mark.django_db
def test_a_key_with_a_budget_of_its_own_binds_nobody_to_pay(owner: Any, api: Any) -> None:
    offer(**BASE)
    body = {"plan_id": str(offer(**FAST).pk)}
    key = ApiKey.objects.latest("created_at")
    limit = budgets.set_budget(
        organisation_id=owner.organisation_id, reach="key", target_id=key.pk, period="total",
        limit=Decimal(500), hard=True, alert_at=[],
    )  # fmt: skip
    refused = api.post("/api/v1/subscriptions", body, format="json")
    assert (refused.status_code, fees()) == (403, [])
    assert "budget of its own" in refused.json()["error"]["message"]
    row = take(owner, Plan.objects.get(name="fast"))
    one = f"/api/v1/subscriptions/{row.pk}"
    assert api.patch(one, {"units": 2}, format="json").status_code == 403
    assert api.patch(one, {"renews": False}, format="json").status_code == 200, "less it may"
    assert api.patch(one, {"renews": True}, format="json").status_code == 403
    limit.delete()
    assert api.patch(one, {"units": 2, "renews": True}, format="json").status_code == 200


@pytest.mark.django_db
def test_no_book_prices_a_fee(boss: Any, api_for: Any) -> None:
    admin = api_for(boss, role="admin")
    for kind in ("plan_fee", "paid_milliseconds"):
        book = {"name": "b", "prices": [{"kind": kind, "amount": "2", "per": 1}]}
        assert admin.post("/api/v1/price-books", book, format="json").status_code == 422


@pytest.mark.django_db
def test_more_units_cost_what_is_left_of_the_term_and_fewer_wait_for_the_next(owner: Any) -> None:
    offer(**BASE)
    plan = offer(name="hourly", fee=Decimal(6), term="hour", tokens_per_minute=1, most_units=4)
    row = take(owner, plan)
    half = NOON + timedelta(minutes=30)
    change(owner, row, half, units=3)
    assert fees() == [6, 6], "two more for half an hour"
    row = change(owner, row, half, units=1)
    assert (row.units, row.next_units) == (3, 1)
    row = change(owner, row, half, units=3)
    assert row.next_units is None, "taken back"
    change(owner, row, half, units=1)
    assert services.renew(row, half) == timedelta(minutes=30), "nothing before the term is over"
    row = step(row, NOON + timedelta(hours=1, seconds=2))
    assert (row.units, row.next_units, row.term) == (1, None, 1)
    assert row.term_ends_at == NOON + timedelta(hours=2), "no second is lost to the look"
    assert fees() == [6, 6, 6]
    with pytest.raises(Invalid, match="1 to 4"):
        change(owner, row, NOON + timedelta(hours=1, minutes=1), units=5)


@pytest.mark.django_db
def test_a_term_is_paid_once_and_whole_terms_that_nobody_had_are_not(owner: Any) -> None:
    offer(**BASE)
    plan = offer(name="hourly", fee=Decimal(6), term="hour", tokens_per_minute=1)
    row = take(owner, plan)
    one, other = Subscription.objects.get(), Subscription.objects.get()
    later = NOON + timedelta(hours=5, minutes=10)
    services.renew(one, later)
    assert services.renew(other, later) == timedelta(minutes=50), "it was renewed meanwhile"
    row.refresh_from_db()
    assert (row.term, row.term_ends_at) == (5, NOON + timedelta(hours=6))
    assert fees() == [6, 6]
    assert rollups.differences() == []


@pytest.mark.django_db
def test_what_is_changed_at_the_last_moment_counts(owner: Any) -> None:
    offer(**BASE)
    row, end = take(owner, offer(**FAST), units=3), datetime(2026, 12, 10, 12, tzinfo=UTC)
    worker = Subscription.objects.get()
    change(owner, row, end - timedelta(seconds=1), units=1)
    services.renew(worker, end)
    row.refresh_from_db()
    assert (row.units, fees()) == (1, [90, 30])
    worker = Subscription.objects.get()
    change(owner, row, row.term_ends_at - timedelta(seconds=1), renews=False)
    services.renew(worker, row.term_ends_at)
    assert worker.phase == Phase.ENDED
    assert fees() == [90, 30]


@pytest.mark.django_db
def test_who_wants_less_of_it_can_say_so_until_the_next_term_is_paid(owner: Any) -> None:
    offer(**BASE)
    row = take(owner, offer(**FAST), units=3)
    # The term is over, and the worker has not looked yet.
    late = row.term_ends_at + timedelta(hours=1)
    with pytest.raises(Conflict, match="in a moment"):
        change(owner, row, late, units=4)
    change(owner, row, late, units=1)
    row = step(row, late)
    assert (row.units, fees()) == (1, [90, 30])
    late = row.term_ends_at + timedelta(hours=1)
    change(owner, row, late, renews=False)
    row = step(row, late)
    assert (row.phase, fees()) == (Phase.ENDED, [90, 30])


@pytest.mark.django_db
def test_nobody_pays_again_for_what_the_house_does_not_limit(owner: Any) -> None:
    base = offer(**BASE)
    row = take(owner, offer(**FAST))
    services.withdraw(plan_id=base.pk)
    with pytest.raises(Conflict, match="would give nothing"):
        change(owner, row, NOON + timedelta(days=1), units=2)
    row = step(row, row.term_ends_at)
    assert (row.phase, fees()) == (Phase.ENDED, [30])
    assert "does not limit" in row.reason


@pytest.mark.django_db
def test_an_organisation_that_goes_pays_no_next_term(owner: Any, stranger: Any) -> None:
    offer(**BASE)
    plan = offer(**FAST)
    kept, row = take(owner, plan), take(stranger, plan)
    stopping.stop(organisation_id=stranger.organisation_id, now=NOON)
    assert step(row, row.term_ends_at).phase == Phase.ENDED
    assert step(kept, kept.term_ends_at).phase == Phase.ACTIVE
    assert fees() == [30, 30, 30]


@pytest.mark.django_db
def test_trouble_that_is_over_is_not_told(owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(**BASE)
    row = take(owner, offer(**FAST))
    Subscription.objects.update(look_at=NOON, term_ends_at=NOON)
    with monkeypatch.context() as broken:
        broken.setattr(metering, "charge_fee", lambda **_: 1 / 0)
        run_due(Subscription, services.renew, now=NOON)
    row.refresh_from_db()
    assert ("trouble" in row.reason, fees()) == (True, [30])
    Subscription.objects.update(look_at=NOON)
    run_due(Subscription, services.renew, now=NOON)
    row.refresh_from_db()
    assert (row.reason, fees()) == ("", [30, 30])


@pytest.mark.django_db
@pytest.mark.parametrize("why", ["cancelled", "withdrawn", "binned", "unpaid"])
def test_a_subscription_ends_with_its_term_and_says_why(owner: Any, why: str) -> None:
    offer(**BASE)
    plan = offer(**FAST)
    pay(owner, 50)
    row, end = take(owner, plan), datetime(2026, 12, 10, 12, tzinfo=UTC)
    if why == "cancelled":
        change(owner, row, NOON, renews=False)
    if why == "withdrawn":
        services.withdraw(plan_id=plan.pk)
    if why == "binned":
        Project.objects.filter(pk=owner.project_id).update(archived_at=NOON)
    assert step(row, end - timedelta(seconds=1)).phase == Phase.ACTIVE, "paid to the end"
    row = step(row, end)
    assert row.phase == Phase.ENDED
    said = {"cancelled": "not to be renewed", "withdrawn": "offered no more",
            "binned": "in the bin", "unpaid": "20 of the credit is left"}  # fmt: skip
    assert said[why] in row.reason
    assert fees() == [30]
    assert row.units == 1
    told = [each for each in happenings.happened(end) if each.happening == "plan.ended"]
    assert [each.data["subscription"] for each in told] == [str(row.pk)]
    with pytest.raises(Conflict, match="ended"):
        change(owner, row, end, units=2)


@pytest.mark.django_db
def test_the_worker_looks_when_the_term_is_over(owner: Any) -> None:
    offer(**BASE)
    row = take(owner, offer(**FAST))
    assert row.look_at == row.term_ends_at
    assert run_due(Subscription, services.renew, now=NOON) == 0
    Subscription.objects.update(look_at=NOON, term_ends_at=NOON)
    assert run_due(Subscription, services.renew, now=NOON) == 1
    row.refresh_from_db()
    assert timedelta(0) <= row.look_at - row.term_ends_at < timedelta(seconds=2)
    assert row.term_ends_at > NOON
    assert fees() == [30, 30]


def rates(owner: Any, model: str = "") -> tuple[int | None, int | None] | None:
    found = Loader()().limits.get((str(owner.project_id), "", model))
    return found and (found.requests_per_minute, found.tokens_per_minute)


@pytest.mark.django_db
def test_the_gateway_keeps_what_the_house_lets_a_project_ask(owner: Any, stranger: Any) -> None:
    assert rates(owner) is None
    plan = offer(**FAST)
    with pytest.raises(Conflict, match="would give nothing"):
        take(owner, plan)
    offer(**BASE)
    assert rates(owner) == rates(stranger) == (60, 10_000)
    row = take(owner, plan, units=2)
    assert rates(owner) == (60, 110_000)
    assert rates(stranger) == (60, 10_000), "what one buys is not another's"
    limits.set_limit(maker=owner, tokens_per_minute=20_000)
    assert rates(owner) == (60, 20_000), "one's own limit is heeded too"
    limits.set_limit(maker=owner, tokens_per_minute=10**6)
    assert rates(owner) == (60, 110_000), "and does not lift the house's"
    change(owner, row, NOON, renews=False)
    assert rates(owner) == (60, 110_000), "paid to the end of the term"
    step(row, row.term_ends_at)
    assert rates(owner) == (60, 10_000)
    offer(**(BASE | {"tokens_per_minute": 500, "requests_per_minute": 0}))
    assert rates(owner) == (None, 500), "another plan of everybody takes the place of the first"
    offer(**(BASE | {"name": "m", "model": "m"}))
    assert rates(owner, "m") == (60, 10_000)


@pytest.mark.django_db
def test_a_running_gateway_sees_a_plan_taken_and_a_project_made(owner: Any) -> None:
    load = Loader()
    load()
    offer(**BASE)
    assert load().limits[str(owner.project_id), "", ""].tokens_per_minute == 10_000
    made = tenancy.open_project(organisation="acme", name="second")
    assert load().limits[str(made.pk), "", ""].tokens_per_minute == 10_000
    row = take(owner, offer(**FAST))
    assert load().limits[str(owner.project_id), "", ""].tokens_per_minute == 60_000
    change(owner, row, NOON, units=3)
    assert load().limits[str(owner.project_id), "", ""].tokens_per_minute == 160_000


@pytest.mark.django_db
def test_plans_that_cannot_be_are_refused(owner: Any) -> None:
    with pytest.raises(Invalid, match="must give something"):
        offer(name="nothing", fee=Decimal(1), term="hour")
    for wrong in ({"fee": Decimal(1)}, {"replicas": 1}, {"most_units": 2}):
        with pytest.raises(Invalid, match="everybody"):
            offer(**(BASE | wrong))
    with pytest.raises(Invalid, match="name of their deployments"):
        offer(name="replicas", fee=Decimal(1), term="hour", replicas=2)
    with pytest.raises(Invalid, match="than the books can hold"):
        offer(**(FAST | {"fee": Decimal(999_999_999), "most_units": 10_000}))
    plan = offer(**FAST)
    with pytest.raises(Conflict, match="fast is offered already"):
        offer(**FAST)
    services.withdraw(plan_id=plan.pk)
    offer(**FAST)
    with pytest.raises(NotFound):
        take(owner, plan)
    with pytest.raises(Conflict, match="Everybody has"):
        take(owner, offer(**BASE))


@pytest.mark.django_db
def test_over_rest_by_whom_it_is_for(boss: Any, stranger: Any, api_for: Any) -> None:
    offer(**BASE)
    api, theirs = api_for(boss, role="admin"), api_for(stranger)
    terms = {"name": "fast", "fee": "30", "term": "month", "tokens_per_minute": 5, "most_units": 9}
    assert theirs.post("/api/v1/plans", terms, format="json").status_code == 403
    made = api.post("/api/v1/plans", terms, format="json")
    assert made.status_code == 201, made.content
    names = [each["name"] for each in theirs.get("/api/v1/plans").json()["data"]]
    assert names == ["fast", "base"]
    taken = theirs.post(
        "/api/v1/subscriptions", {"plan_id": made.json()["id"], "units": 2}, format="json"
    )
    assert taken.status_code == 201, taken.content
    assert (taken.json()["plan"]["name"], taken.json()["next_fee"]) == ("fast", "60.000000")
    one = f"/api/v1/subscriptions/{taken.json()['id']}"
    for method in (api.get, api.patch):
        assert method(one, {"units": 1}, format="json").status_code == 404, "another's"
    reader = api_for(stranger, role="reader")
    assert reader.patch(one, {"units": 1}, format="json").status_code == 403
    seen = theirs.get(one)
    fewer = theirs.patch(one, {"units": 1}, format="json", headers={"if-match": seen["etag"]})
    assert (fewer.status_code, fewer.json()["next_fee"]) == (200, "30.000000")
    late = theirs.patch(one, {"units": 3}, format="json", headers={"if-match": seen["etag"]})
    assert late.status_code == 412
    ended = theirs.patch(one, {"renews": False}, format="json")
    assert (ended.status_code, ended.json()["next_fee"]) == (200, None)
    gone = f"/api/v1/plans/{made.json()['id']}"
    assert theirs.delete(gone).status_code == 403
    assert api.delete(gone).json()["offered"] is False
    assert api.delete(gone).status_code == 404


@pytest.mark.django_db
def test_from_the_command_line(boss: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tenancy.issue_key(maker=boss, name="t", role="admin").secret
    monkeypatch.setenv("SLIPWAY_URL", "http://localhost")
    monkeypatch.setenv("SLIPWAY_API_KEY", secret)
    real = httpx.Client
    monkeypatch.setattr(
        client.httpx, "Client",
        lambda **given: real(transport=httpx.WSGITransport(app=get_wsgi_application()), **given),
    )  # fmt: skip

    def told(*words: str) -> str:
        done = CliRunner().invoke(root.root, [*words])
        assert done.exit_code == 0, done.output + str(done.exception)
        return done.output.strip()

    told("plans", "offer", "base", "0", "month", "--everybody", "--tokens-per-minute", "9")
    said = ("--tokens-per-minute", "7", "--most-units", "3", "--json")
    plan = json.loads(told("plans", "offer", "fast", "30", "month", *said))
    assert "fast" in told("plans", "list")
    row = json.loads(told("plans", "take", plan["id"], "--units", "2", "--json"))
    assert (row["units"], row["phase"]) == (2, "active")
    assert "fast" in told("plans", "mine")
    fewer = json.loads(told("plans", "change", row["id"], "--units", "1", "--json"))
    assert fewer["next_units"] == 1
    assert "False" in told("plans", "change", row["id"], "--no-renew")
    assert told("plans", "withdraw", plan["id"]) == "withdrawn"

    # Its neighbour on the command line: asking for more of a limit.
    limit = limits.set_limit(maker=boss, tokens_per_minute=10)
    asked = ("quotas", "ask", str(limit.pk), "tokens_per_minute=20", "--why", "w", "--json")
    request = json.loads(told(*asked))
    assert "granted" in told("quotas", "grant", request["id"])
    request = json.loads(told(*(word.replace("=20", "=30") for word in asked)))
    assert "refused" in told("quotas", "refuse", request["id"], "--answer", "no")


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_the_credit_pays_those_it_reaches(owner: Any) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("one writes at a time to SQLite; test_second_net.py runs this one")
    offer(**BASE)
    plan = offer(**FAST)
    pay(owner, 100)
    homes = [tenancy.open_project(organisation="acme", name=f"p{number}") for number in range(6)]
    principals = [dataclasses.replace(owner, project_id=home.pk) for home in homes]
    # Twice each: a project has a plan once.
    start = threading.Barrier(2 * len(homes))

    def one(principal: Any) -> str:
        start.wait()
        try:
            return str(take(principal, plan).phase)
        except (metering.BudgetSpent, Conflict) as refused:
            return type(refused).__name__
        finally:
            connection.close()

    with ThreadPoolExecutor(2 * len(homes)) as crowd:
        said = Counter(crowd.map(one, principals * 2))
    assert said[Phase.ACTIVE] == 3, said
    assert set(said) <= {Phase.ACTIVE, "BudgetSpent", "Conflict"}
    assert fees() == [30, 30, 30]
    assert Subscription.objects.count() == 3
    assert budgets.balance(organisation_id=owner.organisation_id) == 10
    assert rollups.differences() == []
