"""What PostgreSQL itself keeps apart; run by test_second_net.py, as a user whom policies hold."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from django.apps import apps
from django.db import ProgrammingError, connection, transaction
from django.urls import include, path
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from slipway.core import tenants
from slipway.datasets.models import Dataset
from slipway.door.models import Conversation
from slipway.limits.models import RateLimit
from slipway.metering.models import Budget, PriceBook
from slipway.registry.models import Model
from slipway.tenancy import services
from slipway.tenancy.models import ApiKey, User
from slipway.traffic.models import PromptPolicy

pytestmark = [pytest.mark.django_db, pytest.mark.urls("rows_of_tenants")]

#: Tables that name a tenant and are seen by all: who somebody is has to be known before, and may
#: span organisations; shares of pools are the platform's; an alias may let another tenant in.
OPEN = {
    "tenancy_project", "tenancy_group", "tenancy_customrole", "tenancy_membership",
    "tenancy_invite", "tenancy_apikey", "capacity_share", "traffic_alias",
}  # fmt: skip
KINDS: tuple[Any, ...] = (Dataset, Model, PromptPolicy, Conversation, RateLimit)


class Forgetful(APIView):
    """Looks at everything, as a query without its filter would."""

    module = "datasets"
    audited: ClassVar = False

    def get(self, request: Request) -> Response:
        return Response(_seen())

    def post(self, request: Request) -> Response:
        return Response(_seen(), status=request.data["status"])


def _seen() -> dict[str, list[str]]:
    seen = {k.__name__: [str(r.project_id) for r in k._default_manager.all()] for k in KINDS}
    return seen | {"Budget": [str(row.organisation_id) for row in Budget.objects.all()]}


urlpatterns = [path("all", Forgetful.as_view()), path("", include("slipway.urls"))]


def _fill(principal: Any) -> None:
    project = principal.project_id
    Dataset.objects.create(project_id=project, name="d")
    Model.objects.create(project_id=project, name="m")
    PromptPolicy.objects.create(project_id=project, days=1)
    Conversation.objects.create(project_id=project)
    RateLimit.objects.create(project_id=project)
    organisation = principal.organisation_id
    Budget.objects.create(
        organisation_id=organisation, reach="organisation", target_id=organisation,
        period="month", limit=1,
    )  # fmt: skip


@pytest.fixture
def both(owner: Any, stranger: Any) -> None:
    _fill(owner)
    _fill(stranger)


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("status", [None, 200, 409])
def test_a_query_that_forgot_its_filter_sees_one_tenant(
    owner: Any, stranger: Any, api_for: Any, status: int | None
) -> None:
    for principal in (owner, stranger, owner):
        client = api_for(principal)
        asked = (
            client.get("/all")
            if status is None
            else client.post("/all", {"status": status}, format="json")
        )
        project = [str(principal.project_id)]
        assert asked.json() == {
            **dict.fromkeys(
                ("Dataset", "Model", "PromptPolicy", "Conversation", "RateLimit"), project
            ),
            "Budget": [str(principal.organisation_id)],
        }
        assert _variable() == "", "the connection keeps a tenant after the request"
        assert Dataset.objects.count() == 2, "workers do not see everything"


@pytest.mark.usefixtures("both")
def test_a_session_is_held_too_and_who_administers_the_platform_is_not(owner: Any) -> None:
    client = APIClient()
    client.force_login(User.objects.get(pk=owner.user_id))
    assert client.get("/all").json()["Dataset"] == [str(owner.project_id)]
    User.objects.filter(pk=owner.user_id).update(is_superuser=True)
    assert len(client.get("/all").json()["Dataset"]) == 2


@pytest.mark.usefixtures("both")
def test_a_key_of_who_administers_the_platform_is_held_unless_it_may_do_so_too(
    owner: Any, stranger: Any, api_for: Any
) -> None:
    narrow, wide, theirs = api_for(owner), api_for(owner), api_for(stranger)
    ApiKey.objects.filter(digest=services.digest_of(wide.secret)).update(role="admin")
    User.objects.filter(pk=owner.user_id).update(is_superuser=True)
    for _ in range(2):
        assert narrow.get("/all").json()["Dataset"] == [str(owner.project_id)]
        assert len(wide.get("/all").json()["Dataset"]) == 2
        assert theirs.get("/all").json()["Dataset"] == [str(stranger.project_id)]
        assert _variable() == ""


@pytest.mark.usefixtures("both")
def test_who_is_let_in_nowhere_leaves_nothing_entered(owner: Any, api_for: Any) -> None:
    bound = api_for(owner)
    ApiKey.objects.filter(digest=services.digest_of(bound.secret)).update(networks=["192.0.2.7"])
    assert bound.get("/all").status_code == 403
    assert _variable() == ""
    found = services.check_key(secret=bound.secret, now=timezone.now())
    assert found is not None
    assert _variable() == "", "only a request is asked to enter"


@pytest.mark.usefixtures("both")
def test_rows_of_others_cannot_be_written_moved_or_deleted(owner: Any, stranger: Any) -> None:
    tenants.enter(owner.organisation_id)
    theirs, mine = {"project_id": stranger.project_id}, {"project_id": owner.project_id}
    for write in (
        lambda: Dataset.objects.create(name="x", **theirs),
        lambda: Dataset.objects.filter(**mine).update(**theirs),
        lambda: PriceBook.objects.create(name="everybody's", valid_from=timezone.now()),
    ):
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            write()
    assert Dataset.objects.filter(**theirs).update(name="taken") == 0
    assert Dataset.objects.filter(**theirs).delete()[0] == 0
    with tenants.everyone():
        assert Dataset.objects.filter(name="d").count() == 2
    assert Dataset.objects.count() == 1
    tenants.leave()


def test_no_table_that_names_a_tenant_is_forgotten() -> None:
    """A new model with a tenant needs a policy (`tenants.protect` in its migration)."""
    named = {
        model._meta.db_table
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if field.attname in {"organisation_id", "project_id"}
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid"
            " WHERE relrowsecurity AND relforcerowsecurity"
        )
        held = {row[0] for row in cursor.fetchall()}
    assert named - held == OPEN
    assert held <= named


def test_a_user_whom_policies_hold_has_nothing_to_mend() -> None:
    assert tenants.why_not() == ""


def _variable() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s, true)", [tenants.VARIABLE])
        return cursor.fetchone()[0] or ""
