"""Prices, costs, budgets and bills: sums are exact, and no limit is ever passed."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner
from django.utils import timezone
from rest_framework.test import APIClient
from run_world import Runtime, Shelf, look

from slipway.audit import services as audit
from slipway.cli.root import root as cli
from slipway.core.errors import Invalid
from slipway.core.reconcile import run_due
from slipway.datasets import services as datasets
from slipway.gateway.admit import Gate, Ticket, Usage
from slipway.gateway.facts import Key, Route, Snapshot
from slipway.metering import services
from slipway.metering.models import Alert, Budget, Credit, Entry, Rollup, UsageRecord
from slipway.metering.rules import pdf as pdf_rules
from slipway.metering.rules import reserver as purses
from slipway.metering.rules import signed
from slipway.metering.rules.reserver import Limit, Reserver
from slipway.metering.services import bills, budgets, ledger, prices, rollups
from slipway.registry import services as registry
from slipway.tenancy import services as tenancy
from slipway.tenancy.models import User
from slipway.training import services as training
from slipway.training.models import TrainingJob
from slipway.training.reconcile import step
from slipway.training.services import charging
from slipway_contracts.progress import Note, NoteKind
from slipway_contracts.usage import UsageLine
from slipway_contracts.workload import State

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MODEL = "chart-base"


def use(project_id: Any, number: int, **changes: Any) -> dict[str, Any]:
    made = UsageLine(
        request_id=f"req_{number}", at=NOON.timestamp(), project_id=str(project_id),
        key_id=str(UUID(int=2)), deployment_id=str(UUID(int=3)), version_id=str(UUID(int=4)),
        model=MODEL, endpoint="/v1/chat/completions", status=200, stream=False, prompt_tokens=10,
        completion_tokens=5, estimated=False, latency_ms=1.0, first_byte_ms=None,
    )  # fmt: skip
    return dataclasses.asdict(dataclasses.replace(made, **changes))


def take_in(directory: Path, name: int, rows: list[dict[str, Any]]) -> int:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (directory / f"usage-{name}-1.jsonl").write_text(text)
    return ledger.ingest_spool(now=timezone.now(), directory=directory)


def book(valid_from: datetime, organisation_id: Any = None, **amounts: str) -> Any:
    """Prices per million of each kind, from a moment on."""
    return prices.open_book(
        name="book",
        organisation_id=organisation_id,
        valid_from=valid_from,
        prices=[{"kind": k, "amount": Decimal(a), "per": 10**6} for k, a in amounts.items()],
        now=valid_from,
    )


# The sums are the ledger's


def test_sums_equal_the_ledger_whatever_comes_twice_and_in_which_order(
    owner: Any, stranger: Any, tmp_path: Path
) -> None:
    pick = random.Random(7)
    rows = [
        use(
            pick.choice([owner.project_id, stranger.project_id]),
            number,
            at=NOON.timestamp() + pick.randrange(-90_000, 90_000),
            model=pick.choice(["a", "b"]),
            prompt_tokens=pick.randrange(1000),
            completion_tokens=pick.randrange(1000),
            key_id=str(UUID(int=pick.randrange(1, 4))),
        )
        for number in range(300)
    ]
    for name in range(4):
        take_in(tmp_path, name, pick.sample(rows, 200))
    take_in(tmp_path, 9, [*rows, *rows])
    assert UsageRecord.objects.count() == 300
    for number in range(20):
        for _ in range(2):
            services.add_entry(
                key=f"use {number}", at=NOON, project_id=owner.project_id,
                kind="cpu_milliseconds", quantity=number, model="a", subject="job",
            )  # fmt: skip
    assert rollups.differences() == []
    Rollup.objects.filter(kind="requests").first().delete()
    assert rollups.differences(), "a difference would be seen"


def test_a_bill_is_the_ledger_priced_row_by_row(owner: Any, tmp_path: Path) -> None:
    book(NOON - timedelta(days=9), prompt_tokens="2.5", completion_tokens="7.25", requests="100")
    book(NOON, prompt_tokens="3", completion_tokens="8.125")
    pick = random.Random(3)
    rows = [
        use(
            owner.project_id,
            number,
            at=NOON.timestamp() + pick.randrange(-7200, 7200),
            prompt_tokens=pick.randrange(10**6) * 8,
            completion_tokens=pick.randrange(10**6) * 8,
        )
        for number in range(100)
    ]
    take_in(tmp_path, 1, rows)
    expected = Decimal(0)
    for row in rows:
        old = row["at"] < NOON.timestamp()
        one, two, each = ("2.5", "7.25", "100") if old else ("3", "8.125", "0")
        expected += Decimal(one) * row["prompt_tokens"] + Decimal(two) * row["completion_tokens"]
        expected += Decimal(each)
    made = bill(owner)
    assert made.total == expected / 10**6
    spent = services.spent(organisation_id=owner.organisation_id, since=None)
    assert spent == made.total
    # A line can be traced to the rows it sums.
    line = next(x for x in made.lines if x.kind == "prompt_tokens" and x.amount == 3)
    traced = UsageRecord.objects.filter(
        project_id=line.project_id, key_id=line.key_id, model=line.model,
        created_at__gte=NOON, created_at__lt=line.start + timedelta(days=1),
    )  # fmt: skip
    assert sum(row.prompt_tokens for row in traced) == line.quantity


def bill(owner: Any) -> bills.Bill:
    return bills.bill(
        organisation_id=owner.organisation_id, organisation="acme",
        project_ids=[owner.project_id], month="2026-11", now=NOON,
    )  # fmt: skip


def test_csv_and_pdf_carry_the_same_lines(owner: Any, api: Any, tmp_path: Path) -> None:
    book(NOON, prompt_tokens="1000000")
    rows = [use(owner.project_id, n, model=f"=m{n}", prompt_tokens=n) for n in range(1, 120)]
    take_in(tmp_path, 1, rows)
    text = api.get("/api/v1/bills/2026-11/csv").content.decode()
    table = list(csv.DictReader(io.StringIO(text)))
    lines, total = table[:-1], table[-1]
    assert sum(Decimal(line["cost"]) for line in lines) == Decimal(total["cost"]) == 119 * 60
    assert all(line["model"].startswith("'=") for line in lines), "names are no formulas"
    pdf = api.get("/api/v1/bills/2026-11/pdf").content
    assert pdf.startswith(b"%PDF-1.4")
    assert pdf.count(b"/Type /Page ") > 1
    assert pdf.count(b"prompt_tokens") == 119
    assert hashlib.sha256(text.encode()).hexdigest().encode() in pdf
    start = int(pdf.rsplit(b"startxref\n", 1)[1].split()[0])
    assert pdf[start : start + 4] == b"xref"
    shown = api.get("/api/v1/bills/2026-11").json()
    assert Decimal(shown["total"]) == 119 * 60
    assert api.get("/api/v1/bills/2026-13").status_code == 422


def test_a_bill_is_proved_offline_and_any_change_is_found(
    owner: Any, api: Any, tmp_path: Path
) -> None:
    book(NOON, prompt_tokens="1000000", completion_tokens="2000000")
    take_in(tmp_path, 1, [use(owner.project_id, n, model="问数模型·甲") for n in range(1, 30)])
    files = {}
    for ending in ("csv", "pdf", "signature"):
        files[ending] = tmp_path / f"bill.{ending}"
        files[ending].write_bytes(api.get(f"/api/v1/bills/2026-11/{ending}").content)
    said = json.loads(files["signature"].read_text())

    def verified(*more: str) -> Any:
        asked = ["bill", "verify", str(files["signature"]), str(files["csv"]), *more]
        return CliRunner().invoke(cli, asked)

    pdf = ("--pdf", str(files["pdf"]))
    whole = verified(*pdf, "--public-key", said["public_key"])
    assert whole.exit_code == 0, whole.output
    assert "the key given" in whole.output
    assert verified("--public-key", "00" * 32).exit_code == 1, "another's key"
    for name in ("csv", "pdf"):
        kept = files[name].read_bytes()
        for place in random.Random(5).sample(range(len(kept) * 8), 60):
            changed = bytearray(kept)
            changed[place // 8] ^= 1 << place % 8
            files[name].write_bytes(changed)
            assert verified(*pdf).exit_code == 1, f"{name}: bit {place}"
        files[name].write_bytes(kept)
    for field, value in said.items():
        other = (not value) if isinstance(value, bool) else f"{value}0"
        files["signature"].write_text(json.dumps(said | {field: other}))
        assert verified(*pdf).exit_code != 0, field
    # Whoever has the key cannot sign sums that are wrong either.
    table = files["csv"].read_text().replace(",290,", ",280,", 1).encode()
    forged = said | {"csv_sha256": hashlib.sha256(table).hexdigest()}
    forged["signature"] = audit.sign(signed.text_of(forged)).hex()
    key = bytes.fromhex(said["public_key"])
    assert list(signed.faults(forged, public_key=key, table=table)) != []


def test_a_line_leads_to_the_rows_it_sums(owner: Any, api: Any, tmp_path: Path) -> None:
    book(NOON - timedelta(hours=3), prompt_tokens="1000000", cpu_milliseconds="5")
    book(NOON + timedelta(hours=1), prompt_tokens="2000000", cpu_milliseconds="5")
    rows = [
        use(
            owner.project_id,
            n,
            at=NOON.timestamp() + n % 3 * 3600,
            key_id=str(UUID(int=n % 2)),
            endpoint="/v1/embeddings" if n % 4 == 0 else "/v1/chat/completions",
        )
        for n in range(1, 25)
    ]
    take_in(tmp_path, 1, rows)
    for n in range(3):
        services.add_entry(
            key=f"e{n}", at=NOON, project_id=owner.project_id, kind="cpu_milliseconds",
            quantity=7, model="a", subject=f"training job {n}",
        )  # fmt: skip
    lines = api.get("/api/v1/bills/2026-11").json()["lines"]
    assert len({(line["kind"], line["amount"]) for line in lines}) > 3, "a day has two prices"
    for line in lines:
        found = api.get(f"/api/v1/bills/2026-11/lines/{line['number']}/rows?limit=500").json()
        assert sum(row["quantity"] for row in found["data"]) == line["quantity"], line
    assert api.get("/api/v1/bills/2026-11/lines/99/rows").status_code == 404


def test_chinese_on_a_bill_stands_in_its_columns() -> None:
    """Characters are written as such (UTF-16 of Adobe-GB1), each two columns wide."""
    made = pdf_rules.text_pages(["账单 2026"], [pdf_rules.cell("甲乙丙丁", 5) + "|", "(é)"])
    assert "账单".encode("utf-16-be").hex().encode() in made
    assert b"/Encoding /UniGB-UTF16-H" in made
    assert pdf_rules.cell("甲乙丙丁", 5) == "甲乙 "
    assert pdf_rules.columns("ab甲") == 4
    assert b"(\\(\xe9\\))" in made
    assert b"( 2026)" in made
    assert b"(?)" in pdf_rules.text_pages([], ["\U0001f600"])


def test_embedded_tokens_have_a_price_of_their_own(owner: Any, tmp_path: Path) -> None:
    book(NOON - timedelta(days=1), prompt_tokens="8")
    rows = [use(owner.project_id, 1), use(owner.project_id, 2, endpoint="/v1/embeddings",
                                          model="words", completion_tokens=0)]  # fmt: skip
    take_in(tmp_path, 1, rows)

    def paid() -> dict[tuple[str, str], Decimal]:
        return {(line.model, line.kind): line.cost for line in bill(owner).lines if line.cost}

    # Where a book does not price them, they are tokens of a prompt.
    assert paid() == {
        (MODEL, "prompt_tokens"): Decimal("0.00008"),
        ("words", "embedding_tokens"): Decimal("0.00008"),
    }
    book(NOON, prompt_tokens="8", embedding_tokens="1")
    assert paid()["words", "embedding_tokens"] == Decimal("0.00001")
    assert rollups.differences() == []
    wanted = {(str(owner.organisation_id), "words")}
    (fact,) = prices.price_facts(wanted=wanted, at=NOON).values()
    assert fact[1] == 8 * 10**6, "the gateway sets the dearer aside"


def test_ones_own_book_goes_before_the_general_one(owner: Any, stranger: Any) -> None:
    book(NOON, prompt_tokens="10", completion_tokens="20")
    book(NOON, organisation_id=owner.organisation_id, prompt_tokens="5")
    quantities = {"prompt_tokens": 10**6, "completion_tokens": 10**6}
    for principal, expected in ((owner, 25), (stranger, 30)):
        found = services.cost(
            organisation_id=principal.organisation_id, model="m", quantities=quantities, at=NOON
        )
        assert found == expected


def test_a_book_cannot_change_the_past(owner: Any) -> None:
    with pytest.raises(Invalid):
        prices.open_book(
            name="late", organisation_id=None, valid_from=NOON - timedelta(hours=1), prices=[],
            now=NOON,
        )  # fmt: skip


def test_costs_are_grouped_as_wished(owner: Any, api: Any, tmp_path: Path) -> None:
    book(NOON, prompt_tokens="1000000", completion_tokens="2000000")
    rows = [use(owner.project_id, n, model="ab"[n % 2]) for n in range(10)]
    take_in(tmp_path, 1, rows)
    span = {"since": "2026-11-20T00:00:00Z", "until": "2026-11-21T00:00:00Z"}
    by_model = api.get("/api/v1/costs", span).json()
    assert {g["group"]["model"]: Decimal(g["cost"]) for g in by_model["data"]} == {
        "a": 100,
        "b": 100,
    }
    by_kind = api.get("/api/v1/costs", span | {"group_by": "kind"}).json()
    assert Decimal(by_kind["total"]) == 200
    assert len(by_kind["data"]) == 3
    assert api.get("/api/v1/costs", span | {"group_by": "moon"}).status_code == 422


# Limits


def limit(owner: Any, amount: str, **more: Any) -> Budget:
    given = {"reach": "project", "target_id": owner.project_id, "period": "total",
             "limit": Decimal(amount), "hard": True, "alert_at": []} | more  # fmt: skip
    return budgets.set_budget(organisation_id=owner.organisation_id, **given)


def reserve(owner: Any, subject: str, amount: str, **more: Any) -> bool:
    try:
        services.reserve(
            subject=subject, organisation_id=owner.organisation_id, project_id=owner.project_id,
            amount=Decimal(amount), now=NOON, **more,
        )  # fmt: skip
    except services.BudgetSpent:
        return False
    return True


def test_what_is_set_aside_counts_until_it_is_let_go(owner: Any) -> None:
    limit(owner, "10")
    assert reserve(owner, "a", "6")
    assert not reserve(owner, "b", "5")
    assert reserve(owner, "c", "4"), "to the last bit"
    services.release(subject="a", now=NOON)
    assert reserve(owner, "b", "5")


@pytest.mark.parametrize("reach", ["organisation", "project", "key"])
def test_a_limit_holds_at_every_reach(owner: Any, stranger: Any, reach: str) -> None:
    key = uuid4()
    target = {"organisation": owner.organisation_id, "project": owner.project_id, "key": key}
    limit(owner, "10", reach=reach, target_id=target[reach])
    assert not reserve(owner, "a", "11", key_id=key)
    assert reserve(stranger, "b", "11"), "nobody else's business"
    if reach == "key":
        assert reserve(owner, "c", "11", key_id=uuid4())


def test_a_new_month_begins_at_nothing(owner: Any, tmp_path: Path) -> None:
    book(NOON, prompt_tokens="1000000")
    row = limit(owner, "10", period="month")
    take_in(tmp_path, 1, [use(owner.project_id, 1, prompt_tokens=9)])
    assert budgets.standing(row, NOON + timedelta(hours=1)).left == 1
    assert budgets.standing(row, NOON + timedelta(days=11)).left == 10


def test_credit_paid_in_advance_is_a_limit(owner: Any) -> None:
    assert reserve(owner, "before", "1000000"), "who pays afterwards has none"
    services.release(subject="before", now=NOON)
    Credit.objects.create(organisation_id=owner.organisation_id, amount=Decimal(5), made_by="x")
    assert reserve(owner, "a", "5")
    assert not reserve(owner, "b", "0.000001")


def test_alerts_are_raised_once(owner: Any, api: Any, tmp_path: Path) -> None:
    book(NOON, prompt_tokens="1000000")
    limit(owner, "10", hard=False, alert_at=[50, 100])
    take_in(tmp_path, 1, [use(owner.project_id, 1, prompt_tokens=6)])
    assert [alert.percent for alert in budgets.raise_alerts(now=NOON)] == [50]
    assert budgets.raise_alerts(now=NOON) == []
    take_in(tmp_path, 2, [use(owner.project_id, 2, prompt_tokens=6)])
    assert [alert.percent for alert in budgets.raise_alerts(now=NOON)] == [100]
    assert Alert.objects.count() == 2
    assert {a["percent"] for a in api.get("/api/v1/alerts").json()["data"]} == {50, 100}


def test_budgets_over_http(owner: Any, api: Any, stranger: Any, api_for: Any) -> None:
    made = api.post("/api/v1/budgets", {"reach": "project", "limit": "10"}, format="json")
    assert made.status_code == 201, made.json()
    one = f"/api/v1/budgets/{made.json()['id']}"
    assert (
        api.post("/api/v1/budgets", {"reach": "project", "limit": "1"}, "json").status_code == 409
    )
    assert api.put(one, {"limit": "20"}, format="json").json()["left"] == "20.000000"
    beyond = api.post("/api/v1/budgets", {"reach": "organisation", "limit": "1"}, format="json")
    assert beyond.status_code == 403
    theirs = {"reach": "project", "limit": "1", "target_id": str(stranger.project_id)}
    assert api.post("/api/v1/budgets", theirs, format="json").status_code == 404
    assert api_for(stranger).get(one).status_code == 404
    operator = api_for(owner, role="operator")
    assert operator.put(one, {"limit": "99"}, format="json").status_code == 403
    paid = {"organisation_id": str(owner.organisation_id), "amount": "1"}
    assert api.post("/api/v1/credit", paid, format="json").status_code == 403
    assert api.delete(one).status_code == 204


def test_prices_are_set_by_the_platforms_administrators(owner: Any, api: Any) -> None:
    body = {"name": "2026", "prices": [{"kind": "requests", "amount": "1", "per": 1000}]}
    assert api.post("/api/v1/price-books", body, format="json").status_code == 403
    User.objects.filter(pk=owner.user_id).update(is_superuser=True)
    admin = tenancy.principal_of(user=User.objects.get(pk=owner.user_id))
    issued = tenancy.issue_key(maker=admin, name="a", role="admin")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issued.secret}")
    assert client.post("/api/v1/price-books", body, format="json").status_code == 201
    assert api.get("/api/v1/price-books").json()["data"][0]["prices"][0]["per"] == 1000


# Training


@pytest.fixture
def ask(owner: Any, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> training.Ask:
    shelf = Shelf()
    for module, names in (
        (registry, ("ready_version", "hold", "release", "register_result")),
        (datasets, ("published_version", "hold", "release")),
    ):
        for name in names:
            fake = create_autospec(getattr(module, name), side_effect=getattr(shelf, name))
            monkeypatch.setattr(module, name, fake)
    return training.Ask(
        name="lines",
        base_version_id=shelf.add_model(owner.project_id).id,
        dataset_version_id=shelf.add_dataset(owner.project_id).id,
        hyperparameters={"epochs": 3, "batch_size": 8},
    )


def submit(owner: Any, ask: training.Ask, **more: Any) -> TrainingJob:
    return training.create_job(project_id=owner.project_id, ask=ask, now=timezone.now(), **more)


def test_a_job_that_would_cross_the_limit_is_refused_before_it_starts(
    owner: Any, ask: training.Ask
) -> None:
    book(timezone.now(), training_tokens="1000000")
    price = Decimal(
        training.plan(project_id=owner.project_id, ask=ask, now=timezone.now()).estimate.price
    )
    assert price > 0
    limit(owner, str(price * 2 - 1))
    submit(owner, ask)
    with pytest.raises(services.BudgetSpent) as refused:
        submit(owner, ask)
    assert refused.value.status == 429
    assert str(price - 1).rstrip("0").rstrip(".") in refused.value.message, "what is left is said"
    assert TrainingJob.objects.count() == 1


def test_at_quota_less_one_exactly_one_of_many_passes(owner: Any, ask: training.Ask) -> None:
    book(timezone.now(), training_tokens="1000000")
    price = Decimal(
        training.plan(project_id=owner.project_id, ask=ask, now=timezone.now()).estimate.price
    )
    limit(owner, str(price), reach="organisation", target_id=owner.organisation_id)
    passed = 0
    for _ in range(5):
        with contextlib.suppress(services.BudgetSpent):
            submit(owner, ask)
            passed += 1
    assert passed == 1


def test_what_a_job_cost_is_in_the_ledger_and_on_the_bill(owner: Any, ask: training.Ask) -> None:
    now = timezone.now()
    book(now, training_tokens="1000000", cpu_milliseconds="1000")
    limit(owner, "1000000")
    key = uuid4()
    job = submit(owner, ask, key_id=key)
    seen = budgets.standing(Budget.objects.get(), now)
    assert seen.reserved >= Decimal(job.estimate["price"]) > 0
    TrainingJob.objects.filter(pk=job.pk).update(
        phase="cancelling", started_at=now - timedelta(days=1),
        placed_at=now - timedelta(seconds=10), step=5, total_steps=15, look_at=now,
    )  # fmt: skip
    run_due(TrainingJob, step, now=timezone.now())
    job.refresh_from_db()
    assert job.phase == "cancelled"
    seen = budgets.standing(Budget.objects.get(), now)
    assert seen.reserved == 0
    quantities = dict(Entry.objects.values_list("kind", "quantity"))
    assert quantities["training_tokens"] == job.estimate["tokens"] // 3, "steps done, no others"
    assert 10_000 <= quantities["cpu_milliseconds"] < 60_000
    expected = quantities["training_tokens"] + Decimal(quantities["cpu_milliseconds"]) / 1000
    assert seen.spent == expected.quantize(prices.CENT)
    assert set(Entry.objects.values_list("key_id", flat=True)) == {key}
    assert rollups.differences() == []


def test_a_retried_job_does_not_pay_twice_for_its_steps(owner: Any, ask: training.Ask) -> None:
    job = submit(owner, ask)
    job.placed_at, job.total_steps, job.step = job.queued_at, 15, 5
    now = timezone.now()
    charging.charge(job, now=now)
    charging.charge(job, now=now)
    job.attempt, job.step = 2, 15
    charging.charge(job, now=now)
    counted = Entry.objects.filter(kind="training_tokens")
    assert sum(row.quantity for row in counted) == job.estimate["tokens"]
    assert counted.count() == 2


def run_over(owner: Any, job: TrainingJob, world: Any) -> Runtime:
    """The job runs; every look at it weighs its cost anew."""
    runtime = Runtime(world.compute, job)
    look((TrainingJob, step))
    runtime.sees(State.RUNNING)
    look((TrainingJob, step))
    return runtime


def weigh(job: TrainingJob, seconds: float, *, total: int = 15) -> None:
    """So much later: the attempt has run for `seconds`."""
    begun = timezone.now() - timedelta(seconds=seconds)
    TrainingJob.objects.filter(pk=job.pk).update(
        placed_at=begun, weighed_at=None, total_steps=total
    )
    look((TrainingJob, step))
    job.refresh_from_db()


def test_a_job_that_outgrows_its_budget_pauses_at_a_checkpoint_and_goes_on(
    owner: Any, ask: training.Ask, world: SimpleNamespace, api: Any
) -> None:
    """What was set aside was too little; it stops whole, says why, and resumes once it may."""
    book(timezone.now(), cpu_milliseconds="1000")  # a coin a second
    job = submit(owner, ask)
    high = Decimal(str(job.estimate["seconds_high"])).quantize(Decimal(1)) + 1
    row = limit(owner, str(high + 100))
    charging.reserve(job, now=timezone.now())
    runtime = run_over(owner, job, world)
    runtime.steps(1, 4, total=15, seconds=10)
    weigh(job, float(high) + 20)
    assert job.phase == "running", "it may use what nobody else has"
    assert budgets.standing(row, timezone.now()).reserved > high
    weigh(job, float(high) + 80)
    assert (job.phase, job.short_since is None) == ("running", False), "to the next checkpoint"
    runtime.tells(
        Note(kind=NoteKind.CHECKPOINT, at=timezone.now().timestamp() + 1, step=5,
             uri=f"{job.output_uri}/checkpoints/5", values={}),
    )  # fmt: skip
    look((TrainingJob, step))
    weigh(job, float(high) + 81)
    assert job.phase == "pausing"
    look((TrainingJob, step), times=2)
    job.refresh_from_db()
    assert job.phase == "paused"
    assert "checkpoint of step 5" in job.reason
    assert "budget" in job.reason
    assert job.workload_name in world.compute.deleted
    seen = budgets.standing(row, timezone.now())
    assert (seen.reserved, seen.spent <= row.limit) == (0, True), "never more than the limit"
    assert seen.spent > high
    refused = api.post(f"/api/v1/jobs/{job.pk}/resume")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
    Budget.objects.filter(pk=row.pk).update(limit=high + 1000)
    assert api.post(f"/api/v1/jobs/{job.pk}/resume").json()["phase"] == "queued"
    job.refresh_from_db()
    again = run_over(owner, job, world)
    assert world.compute.applied[job.workload_name].output_uri == job.output_uri
    again.steps(6, 15, total=15)
    again.reports(metrics={"train_loss": 0.1, "tokens": 400.0, "seconds": 4.0})
    again.sees(State.SUCCEEDED)
    look((TrainingJob, step), times=4)
    job.refresh_from_db()
    assert (job.phase, job.attempt) == ("succeeded", 2)
    tokens = Entry.objects.filter(kind="training_tokens")
    assert sum(entry.quantity for entry in tokens) == job.estimate["tokens"], "each step once"


def test_a_job_without_a_checkpoint_in_time_stops_before_the_limit(
    owner: Any, ask: training.Ask, world: SimpleNamespace
) -> None:
    book(timezone.now(), cpu_milliseconds="1000")
    job = submit(owner, ask)
    high = Decimal(str(job.estimate["seconds_high"])).quantize(Decimal(1)) + 1
    row = limit(owner, str(high + 5))
    charging.reserve(job, now=timezone.now())
    runtime = run_over(owner, job, world)
    runtime.steps(1, 4, total=15, seconds=10)
    weigh(job, float(high) - 10)
    assert job.phase == "pausing"
    look((TrainingJob, step), times=2)
    job.refresh_from_db()
    assert (job.phase, "its beginning" in job.reason) == ("paused", True)
    assert budgets.standing(row, timezone.now()).spent < row.limit


def test_a_limit_that_was_lowered_pauses_what_runs_above_it_only(
    owner: Any, ask: training.Ask, world: SimpleNamespace
) -> None:
    book(timezone.now(), cpu_milliseconds="1000")
    row = limit(owner, "100000")
    job = submit(owner, ask)
    run_over(owner, job, world)
    Budget.objects.filter(pk=row.pk).update(limit=60)
    weigh(job, 10)
    assert job.phase == "running", "there is room for what it needs next"
    assert budgets.standing(Budget.objects.get(), timezone.now()).left >= 0
    Budget.objects.filter(pk=row.pk).update(limit=15)
    weigh(job, 14)
    assert job.phase == "pausing"


def test_somebody_pauses_and_resumes(
    owner: Any, ask: training.Ask, world: SimpleNamespace, api: Any
) -> None:
    job = submit(owner, ask)
    runtime = run_over(owner, job, world)
    runtime.steps(1, 3)
    assert api.post(f"/api/v1/jobs/{job.pk}/pause").json()["phase"] == "pausing"
    assert api.post(f"/api/v1/jobs/{job.pk}/pause").json()["phase"] == "pausing", "twice is once"
    look((TrainingJob, step), times=2)
    assert api.get(f"/api/v1/jobs/{job.pk}").json()["phase"] == "paused"
    assert api.post(f"/api/v1/jobs/{job.pk}/pause").status_code == 200
    assert api.post(f"/api/v1/jobs/{job.pk}/resume").json()["phase"] == "queued"
    assert api.post(f"/api/v1/jobs/{job.pk}/resume").status_code == 409
    other = submit(owner, ask)
    api.post(f"/api/v1/jobs/{other.pk}/pause")
    look((TrainingJob, step), times=2)
    assert api.post(f"/api/v1/jobs/{other.pk}/cancel").json()["phase"] == "cancelling"


def test_a_job_that_ends_while_it_is_being_paused_has_ended(
    owner: Any, ask: training.Ask, world: SimpleNamespace
) -> None:
    job = submit(owner, ask)
    runtime = run_over(owner, job, world)
    training.pause(job, now=timezone.now(), by="ada")
    runtime.reports()
    look((TrainingJob, step), times=4)
    job.refresh_from_db()
    assert job.phase == "succeeded"


def test_what_is_kept_and_what_is_hosted_is_counted_by_the_hour(owner: Any) -> None:
    asked = []

    def sizes() -> dict[Any, int]:
        asked.append(1)
        return {owner.project_id: 3 * 2**20 + 1}

    for minutes in (0, 10, 59, 61):
        at = NOON + timedelta(minutes=minutes)
        services.count_storage(what="models", sizes=sizes, now=at)
    kept = Entry.objects.filter(kind="storage_mib_hours")
    assert [row.quantity for row in kept] == [4, 4], "begun MiB whole, each hour once"
    assert len(asked) == 2
    assert rollups.differences() == []


# The gateway's own count


OWNERS = (("project", "p"), ("key", "k"))


def test_200_calls_at_once_never_spend_more_than_the_budget() -> None:
    for round_number in range(100):
        pick = random.Random(round_number)
        reserver = Reserver()
        budget = 50 * 1000
        reserver.refresh({OWNERS[0]: Limit(left=budget, spent=0)})
        ledger_spent = paid = settled = 0
        running: list[tuple[int, int]] = []
        calls = [(pick.randrange(500, 2000), pick.random()) for _ in range(200)]
        while calls or running:
            if calls and (not running or pick.random() < 0.6):
                most, share = calls.pop()
                if purses.reserve(reserver.over(OWNERS), most) is None:
                    running.append((most, int(most * share)))
            else:
                most, cost = running.pop(pick.randrange(len(running)))
                purses.settle(reserver.over(OWNERS), reserved=most, cost=cost)
                paid += cost
                settled += cost
            if pick.random() < 0.1:
                # The ledger lags: it has seen any part of what was settled.
                seen = pick.randrange(settled + 1)
                ledger_spent, settled = ledger_spent + seen, settled - seen
                reserver.refresh({OWNERS[0]: Limit(left=budget - ledger_spent, spent=ledger_spent)})
            assert paid + sum(most for most, _ in running) <= budget
        assert paid > budget * 0.5, "the budget is usable"


def test_the_narrowest_limit_decides_and_is_named() -> None:
    reserver = Reserver()
    reserver.refresh({OWNERS[0]: Limit(left=100, spent=0), OWNERS[1]: Limit(left=10, spent=0)})
    over = reserver.over(OWNERS)
    assert purses.reserve(over, 11) == OWNERS[1]
    assert reserver.left(OWNERS[0]) == 100, "nothing is set aside by a refusal"
    assert purses.reserve(over, 10) is None
    assert purses.reserve(over, 1) == OWNERS[1]
    purses.settle(over, reserved=10, cost=0)
    assert purses.reserve(over, 10) is None
    assert purses.reserve(reserver.over([("project", "other")]), 10**30) is None, (
        "no limit, no bounds"
    )


def test_a_limit_that_appears_or_goes_while_requests_run() -> None:
    reserver = Reserver()
    before = reserver.over(OWNERS)
    assert purses.reserve(before, 50) is None
    reserver.refresh({OWNERS[0]: Limit(left=10, spent=0)})
    purses.settle(before, reserved=50, cost=50)
    assert reserver.left(OWNERS[0]) == 10
    during = reserver.over(OWNERS)
    assert purses.reserve(during, 10) is None
    reserver.refresh({})
    purses.settle(during, reserved=10, cost=10)
    assert reserver.left(OWNERS[0]) is None


def test_the_gateways_facts_are_never_below_the_bills_prices(owner: Any, tmp_path: Path) -> None:
    book(NOON, prompt_tokens="0.333333", completion_tokens="7", requests="1")
    place = (str(owner.organisation_id), MODEL)
    one, prompt, answer = services.price_facts(wanted=[place], at=NOON)[place]
    assert (one, prompt, answer) == (10**6, 333333, 7 * 10**6)
    limit(owner, "5")
    take_in(tmp_path, 1, [use(owner.project_id, 1, completion_tokens=10**5)])
    (fact,) = services.budget_facts(now=NOON + timedelta(hours=1))
    assert fact.left + fact.spent == 5 * 10**12
    assert fact.spent >= 7 * 10**11


def test_the_gateway_refuses_what_the_budget_cannot_pay() -> None:
    """Through the real gate: reserved before the model works, settled after, none left over."""
    key = Key(id="k", project_id="p", organisation_id="o")
    route = Route(
        project_id="p", name=MODEL, deployment_id="d", version_id="v", endpoints=("unix:/x",),
        state="live", context_length=100,
    )  # fmt: skip
    gate = Gate(digest=lambda secret: secret)
    body = json.dumps({"model": MODEL, "messages": [], "max_tokens": 10}).encode()

    def world(left: int, spent: int) -> Snapshot:
        return Snapshot(
            keys={"s": key}, routes={("p", MODEL): route},
            budgets={("project", "p"): Limit(left=left, spent=spent)},
            prices={("o", MODEL): (0, 0, 5)},
        )  # fmt: skip

    def ask(snapshot: Snapshot) -> Any:
        return gate.admit(
            endpoint="/v1/chat/completions", authorization=b"Bearer s", body=body,
            snapshot=snapshot, now=0.0, request_id="r",
        )  # fmt: skip

    first = world(120, 0)
    one, two = ask(first), ask(first)
    assert isinstance(one, Ticket)
    assert isinstance(two, Ticket)
    refused = ask(first)
    assert (refused.status, refused.code) == (429, "insufficient_quota")
    assert (b"x-should-retry", b"false") in refused.headers()
    for ticket, tokens in ((one, 10), (two, 2)):
        gate.settle(
            ticket, served=route, status=200, usage=Usage(0, tokens), latency_ms=1.0,
            first_byte_ms=None,
        )  # fmt: skip
    # 60 of 120 are spent: one more fits, and after the ledger caught up still only one.
    assert isinstance(ask(first), Ticket)
    assert ask(first).status == 429
    assert ask(world(60, 60)).status == 429


@pytest.mark.parametrize(
    ("path", "asked", "tokens"),
    [
        ("completions", {"prompt": ["a"] * 50, "max_tokens": 10}, 500),
        ("completions", {"prompt": [1, 2, 3], "max_tokens": 10}, 10),
        ("completions", {"prompt": ["a", "b"], "max_tokens": 10, "n": 3}, 60),
        ("chat/completions", {"messages": [], "n": 8}, 800),
        (
            "chat/completions",
            {"messages": [], "max_tokens": 1, "max_completion_tokens": 10**6},
            10**6,
        ),
        ("chat/completions", {"messages": [], "max_tokens": 7, "tools": ["x" * 20_000]}, 7),
    ],
)
def test_what_is_set_aside_is_the_most_that_a_request_may_cost(
    path: str, asked: dict[str, Any], tokens: int
) -> None:
    key = Key(id="k", project_id="p", organisation_id="o")
    route = Route(
        project_id="p", name=MODEL, deployment_id="d", version_id="v", endpoints=("unix:/x",),
        state="live", context_length=100,
    )  # fmt: skip
    snapshot = Snapshot(
        keys={"s": key}, routes={("p", MODEL): route},
        budgets={("project", "p"): Limit(left=10**12, spent=0)},
        prices={("o", MODEL): (0, 1, 1000)},
    )  # fmt: skip
    body = json.dumps({"model": MODEL, **asked}).encode()
    ticket = Gate(digest=lambda secret: secret).admit(
        endpoint=f"/v1/{path}", authorization=b"Bearer s", body=body, snapshot=snapshot, now=0.0,
        request_id="r",
    )  # fmt: skip
    assert isinstance(ticket, Ticket)
    prompt = ticket.aside.amount - tokens * 1000
    assert len(body) <= prompt < len(body) + 50 * 256 + 1


def test_keys_that_may_not_call_or_not_from_there_are_refused_at_the_gate() -> None:
    gate = Gate(digest=lambda secret: secret)
    keys = {
        "mute": Key(id="1", project_id="p", may_call=False),
        "bound": Key(id="2", project_id="p", networks=("10.0.0.0/8",)),
    }
    snapshot = Snapshot(keys=keys)
    assert gate.authorize(b"Bearer mute", snapshot, 0.0).status == 403
    assert gate.authorize(b"Bearer bound", snapshot, 0.0, "192.0.2.1").status == 403
    assert gate.authorize(b"Bearer bound", snapshot, 0.0, "10.2.3.4") is keys["bound"]
