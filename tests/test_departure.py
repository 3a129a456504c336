"""An organisation goes: after its days and all of it, and nothing of anybody else's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models
from django.utils import timezone
from tenant_world import HOUSES, Scene
from test_leaving import HERE, ON_BOTH, THERE, fill, own_models, put
from test_own_sessions import signed_in

from slipway.backends.objects import Objects
from slipway.core import reconcile
from slipway.core.models import Record
from slipway.leaving.models import Departure, DeparturePhase
from slipway.leaving.services import departures, kinds, removing, stopping
from slipway.metering import services as metering
from slipway.metering.services import bills
from slipway.tenancy import services
from slipway.tenancy.models import ApiKey, Membership, Organisation, Project, SignedIn, User
from slipway.worker.tasks import watched

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store", "world")]
CANARY, THEIRS = "acmes-own-", "rivals-own-"
ADDRESS = "organisation/departure"
#: Tables whose rows stay, and what of them may bear a name that the organisation gave.
STAYS = {"audit.Entry", "metering.UsageRecord", "metering.Entry", "metering.Rollup",
         "metering.PriceBook", "metering.Credit", "metering.Price"}  # fmt: skip


@pytest.fixture
def scene(owner: Any, stranger: Any, store: Objects) -> Scene:
    """Two tenants with a row in every table and bytes below every prefix."""
    made = Scene(owner, stranger)
    for tenant, data in ((made.owner, HERE), (made.stranger, THERE)):
        fill(tenant)
        put(tenant, data)
        for label in ("training.TrainingJob", "evaluation.EvaluationRun"):
            row = tenant.owned[label]
            row.output_uri = store.uri(f"projects/{row.project_id}/jobs/{row.pk}")
            row.save()
    Departure.objects.all().delete()
    # Pools are the platform's.
    made.owner.owned.pop("capacity.Pool").delete()
    return made


def ask(owner: Any, name: str = "acme") -> Any:
    return signed_in(owner.user_name).change("POST", ADDRESS, {"name": name})


def step(label: str, now: Any = None) -> int:
    model, look = watched()[label]
    return reconcile.run_due(model, look, now=now or timezone.now())


def make_due(organisation_id: Any) -> None:
    past = timezone.now() - timedelta(seconds=1)
    here = Departure.objects.filter(organisation_id=organisation_id)
    here.update(due_at=past, look_at=past, rows_gone_at=None)


def end(owner: Any) -> Departure:
    """Until all is gone, however long it has to wait for work to end."""
    make_due(owner.organisation_id)
    for _ in range(60):
        past = timezone.now() - timedelta(seconds=1)
        row = Departure.objects.get(organisation_id=owner.organisation_id)
        if row.phase == DeparturePhase.DONE:
            return row
        Departure.objects.filter(pk=row.pk).update(look_at=past)
        Departure.objects.filter(pk=row.pk, rows_gone_at__isnull=False).update(
            rows_gone_at=past - reconcile.LEASE
        )
        for label in ("leaving.departure", *(name.lower() for name in stopping.RUNNING)):
            step(label)
    raise AssertionError(f"{row.phase}: {row.reason}")


def columns_with(*words: str) -> set[str]:
    """Tables anywhere, but for the house's, that hold one of these words, in whatever column."""
    tables = connection.introspection.table_names()
    found = set()
    for model in (each for each in apps.get_models() if each._meta.db_table in tables):
        if model._meta.label in HOUSES:
            continue
        for field in model._meta.concrete_fields:
            for word in words:
                kind = (models.CharField, models.TextField, models.JSONField, models.UUIDField)
                if not isinstance(field, kind) and not field.is_relation:
                    continue
                with connection.cursor() as cursor:
                    cursor.execute(
                        f'SELECT count(*) FROM "{model._meta.db_table}" WHERE '
                        f'lower(CAST("{field.column}" AS text)) LIKE %s', [f"%{word.lower()}%"]
                    )  # fmt: skip
                    if cursor.fetchone()[0]:
                        found.add(model._meta.label)
    return found


def all_rows(organisation_id: Any) -> dict[str, Any]:
    return {
        kind.label: list(kind.rows(organisation_id).values())
        for kind in kinds.KINDS
        if kind.label != "audit.Entry"
    }


@ON_BOTH
def test_nothing_is_left_but_books_and_the_audit_log(
    scene: Scene, world: Any, store: Objects, caplog: pytest.LogCaptureFixture
) -> None:
    owner, stranger = scene.owner.owner, scene.stranger.owner
    month = f"{timezone.now():%Y-%m}"
    projects = list(Project.objects.filter(organisation_id=owner.organisation_id))
    ids = [project.pk for project in projects]

    def bill() -> Any:
        return bills.bill(organisation_id=owner.organisation_id, organisation="", month=month,
                          project_ids=ids, now=timezone.now())  # fmt: skip

    metering.add_entry(
        key="k", at=timezone.now(), project_id=owner.project_id, kind="gpu_milliseconds",
        quantity=5, model="m", subject="training job",
    )  # fmt: skip
    before, theirs = bill(), all_rows(stranger.organisation_id)
    users = [User.objects.get(pk=owner.user_id).username, "neighbour"]
    stays = STAYS | {"tenancy.Project", "tenancy.Organisation"}
    gone_ids = [
        str(row.pk)
        for row in scene.owner.owned.values()
        if isinstance(row, Record) and row._meta.label not in stays
    ]
    with caplog.at_level(logging.INFO):
        assert ask(owner).status_code == 202
        done = end(owner)
    assert done.made_by == ""
    # The database: the canary is in what stays only; ids of what went are in the log only.
    assert columns_with(CANARY) <= STAYS
    assert columns_with(*users, "acme@") <= {"audit.Entry"}
    assert columns_with(*gone_ids, *(each.replace("-", "") for each in gone_ids)) <= STAYS | {
        "traffic.Touched",
        "limits.Share",
    }
    # The object store: no byte of theirs.
    kept = {found.key: store.read(found.key) for found in store.list("")}
    assert HERE not in b"".join(kept.values())
    assert sum(THERE in data for data in kept.values()) == 3
    # The tracker was told of every project, and the logs tell nothing.
    assert sorted(world.tracking.forgotten) == sorted(2 * [str(each) for each in ids])
    assert CANARY not in caplog.text
    # Books: the same sum, without a name.
    after = bill()
    assert (after.total, len(after.lines)) == (before.total, len(before.lines))
    assert {line.project[:5] for line in after.lines} == {"gone-"}
    assert Organisation.objects.get(pk=owner.organisation_id).name.startswith("gone-")
    # Nothing of anybody else's was touched.
    now = all_rows(stranger.organisation_id)
    moved = {"look_at", "phase", "reason", "last_used_at"}
    for label, rows in theirs.items():
        bare = [{k: v for k, v in row.items() if k not in moved} for row in rows]
        assert [{k: v for k, v in row.items() if k not in moved} for row in now[label]] == bare
    assert User.objects.filter(pk=stranger.user_id, is_active=True).exists()
    assert done.removed["people"] >= 2
    assert done.removed["objects"] >= 6
    assert done.removed["bytes"] >= 6 * len(HERE)


def test_keys_end_at_once_and_it_can_be_taken_back(
    scene: Scene, api_for: Callable[..., Any]
) -> None:
    owner, stranger = scene.owner.owner, scene.stranger.owner
    boss = services.principal_of(user=User.objects.get(pk=owner.user_id))
    program, other = api_for(boss, role="admin"), api_for(stranger)
    assert program.post(f"/api/v1/{ADDRESS}", {"name": "acme"}, format="json").status_code == 403
    here = signed_in(owner.user_name)
    assert here.get(f"/api/v1/{ADDRESS}").data["phase"] == ""
    wrong = here.change("POST", ADDRESS, {"name": "acne"})
    assert (wrong.status_code, Departure.objects.count()) == (422, 0)
    told = here.change("POST", ADDRESS, {"name": "acme"})
    assert (told.status_code, told.data["phase"], told.data["days"]) == (202, "waiting", 30)
    assert here.change("POST", ADDRESS, {"name": "acme"}).data["due_at"] == told.data["due_at"]
    assert program.get("/api/v1/datasets").status_code == 401
    assert other.get("/api/v1/datasets").status_code == 200
    assert here.get("/api/v1/datasets").status_code == 200
    for _ in range(3):
        step("leaving.departure")
    row = Departure.objects.get()
    assert row.phase == DeparturePhase.WAITING
    assert here.change("DELETE", ADDRESS).data["phase"] == ""
    assert here.change("DELETE", ADDRESS).status_code == 404
    assert here.get("/api/v1/datasets").data["data"]
    assert ask(owner).status_code == 202
    make_due(owner.organisation_id)
    step("leaving.departure")
    late = here.change("DELETE", ADDRESS)
    assert late.status_code == 409


@pytest.mark.parametrize("where", [0, 1, 7, 20, 40, 55])
def test_broken_off_anywhere_it_goes_on(
    scene: Scene, where: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = scene.owner.owner
    assert ask(owner).status_code == 202
    left = [where]
    real = removing.Event.objects.filter

    class Killed(BaseException):
        """As a worker that is killed in the midst of a transaction."""

    def dies(*args: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] == -1:
            raise Killed
        return real(*args, **more)

    monkeypatch.setattr(removing.Event.objects, "filter", dies)
    with pytest.raises(Killed):
        end(owner)
    done = end(owner)
    assert columns_with(CANARY) <= STAYS
    counted = {k: v for k, v in done.removed.items() if "." in k}
    assert counted["datasets.Dataset"] == 1, "rows that were rolled back are not counted twice"


def test_who_is_known_elsewhere_stays(scene: Scene) -> None:
    owner, stranger = scene.owner.owner, scene.stranger.owner
    both = User.objects.get(username="neighbour")
    Membership.objects.create(user=both, project_id=stranger.project_id, role="reader")
    admin = services.ensure_member(
        user_name="root", password="correct horse", project_id=owner.project_id, role="owner"
    )
    User.objects.filter(pk=admin.pk).update(is_superuser=True)
    signed_in("neighbour")
    assert ask(owner).status_code == 202
    end(owner)
    assert {"neighbour", "root", stranger.user_name} <= set(
        User.objects.values_list("username", flat=True)
    )
    assert not User.objects.filter(pk=owner.user_id).exists()
    assert SignedIn.objects.filter(user=both).exists()
    assert not ApiKey.objects.filter(project__organisation_id=owner.organisation_id).exists()


def test_the_last_organisation_is_not_taken_down(owner: Any) -> None:
    Membership.objects.create(
        user_id=owner.user_id, organisation_id=owner.organisation_id, role="owner"
    )
    assert ask(owner).status_code == 409


def test_books_go_when_their_years_are_over(scene: Scene) -> None:
    owner, stranger = scene.owner.owner, scene.stranger.owner
    assert ask(owner).status_code == 202
    done = end(owner)
    departures.forget_books(timezone.now() + timedelta(days=9 * 365))
    assert Organisation.objects.filter(pk=owner.organisation_id).exists()
    theirs = all_rows(stranger.organisation_id)
    departures.forget_books(timezone.now() + timedelta(days=11 * 365))
    assert columns_with(CANARY) <= {"audit.Entry"}
    assert not Organisation.objects.filter(pk=owner.organisation_id).exists()
    assert not Departure.objects.filter(pk=done.pk).exists()
    assert all_rows(stranger.organisation_id) == theirs


def test_own_models_are_all_searched() -> None:
    assert {"audit.Entry", "door.Response"} <= {model._meta.label for model in own_models()}
