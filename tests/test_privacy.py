"""What is known of a person is told to them, and is gone when they are."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models
from django.utils import timezone
from tenant_world import minimal
from test_own_sessions import signed_in

from slipway.audit.models import Entry
from slipway.datasets.models import Dataset
from slipway.tenancy import services
from slipway.tenancy.models import ApiKey, Invite, Organisation, Provisioned, SignedIn, User
from slipway.tenancy.services import privacy

pytestmark = pytest.mark.django_db
NAME, MAIL = "ada-of-privacy", "ada@privacy.example"


@pytest.fixture
def ada(owner: Any) -> Any:
    user = services.ensure_member(
        user_name=NAME, password="correct horse", project_id=owner.project_id, role="operator"
    )
    User.objects.filter(pk=user.pk).update(email=MAIL, first_name="Ada", last_name="Lovelace")
    return services.principal_of(user=User.objects.get(pk=user.pk))


def plant(owner: Any) -> int:
    """The name in every column of every table that says by whom something was done."""
    tables, planted = connection.introspection.table_names(), 0
    for model in (each for each in apps.get_models() if each._meta.db_table in tables):
        named = {
            field.name: NAME
            for field in model._meta.concrete_fields
            if isinstance(field, models.CharField)
            and (field.name.endswith("_by") or field.name == "user_name")
        }
        # A directory's name of somebody goes with that somebody.
        if named and model is not Provisioned:
            minimal(model, {"project_id": owner.project_id, "text": "some-", **named})
            planted += len(named)
    return planted


def columns_with(word: str) -> list[str]:
    """Columns of texts anywhere that hold it."""
    found = []
    # Other tests of the process have models of their own, whose tables are gone.
    tables = connection.introspection.table_names()
    for model in (each for each in apps.get_models() if each._meta.db_table in tables):
        for field in model._meta.concrete_fields:
            texts = isinstance(field, models.CharField | models.TextField | models.JSONField)
            if texts and model._default_manager.filter(**{f"{field.name}__icontains": word}):
                found.append(f"{model._meta.label}.{field.name}")
    return found


def test_a_person_sees_what_is_known_of_them_and_no_secret(ada: Any, owner: Any) -> None:
    services.issue_key(maker=ada, name="laptop")
    here = signed_in(NAME)
    told = here.get("/api/v1/session/data").json()
    assert (told["user"], told["email"], told["last_name"]) == (NAME, MAIL, "Lovelace")
    assert told["memberships"][0]["role"] == "operator"
    assert [key["name"] for key in told["keys"]] == ["laptop"]
    assert told["sessions"][0]["agent"] == "Firefox"
    assert "digest" not in str(told)
    assert here.get(f"/api/v1/people/{owner.user_name}/data").status_code == 403


def test_who_is_forgotten_is_in_the_audit_log_only(ada: Any, owner: Any, api_for: Any) -> None:
    asking = api_for(ada, role="operator")
    asked = {"name": "rows", "format": "openai-chat"}
    assert asking.post("/api/v1/datasets", asked, "json").status_code == 201
    here = signed_in(NAME)
    boss = services.ensure_member(
        user_name="boss", password="x" * 12, project_id=owner.project_id, role="owner"
    )
    User.objects.filter(pk=boss.pk).update(is_superuser=True)
    admin = api_for(services.principal_of(user=User.objects.get(pk=boss.pk)), role="admin")
    assert admin.get(f"/api/v1/people/{NAME}/data").json()["email"] == MAIL
    Invite.objects.create(
        project_id=owner.project_id, email=MAIL, role="reader", invited_by=boss, digest="d",
        expires_at=ApiKey.objects.latest("created_at").created_at,
    )  # fmt: skip
    assert plant(owner) > 15
    assert admin.delete(f"/api/v1/people/{NAME}").status_code == 204
    assert asking.get("/api/v1/datasets").status_code == 401
    assert here.get("/api/v1/datasets").status_code == 401
    assert not SignedIn.objects.filter(user__pk=ada.user_id).exists()
    assert all(row.made_by.startswith("gone-") for row in Dataset.objects.all())
    for word in (NAME, MAIL, "Lovelace"):
        assert {where.partition(".")[0] for where in columns_with(word)} <= {"audit"}, word
    assert Entry.objects.filter(action__startswith="DELETE", subject=NAME).exists()
    assert admin.delete(f"/api/v1/people/{NAME}").status_code == 404


def test_who_is_called_the_same_elsewhere_stays(ada: Any) -> None:
    other = User.objects.create(username=f"{NAME}-2")
    theirs = Organisation.objects.create(name="theirs")
    now = timezone.now()
    Provisioned.objects.create(organisation=theirs, user=other, user_name=NAME, changed_at=now)
    privacy.forget(user_name=NAME, now=now)
    assert Provisioned.objects.get().user_name == NAME, "another organisation's directory says so"


def test_who_alone_owns_something_is_not_forgotten(owner: Any, stranger: Any, api_for: Any) -> None:
    User.objects.filter(pk=stranger.user_id).update(is_superuser=True)
    boss = services.principal_of(user=User.objects.get(pk=stranger.user_id))
    refused = api_for(boss, role="admin").delete(f"/api/v1/people/{owner.user_name}")
    assert (refused.status_code, User.objects.get(pk=owner.user_id).is_active) == (409, True)
