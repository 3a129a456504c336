"""Two people edit one thing: the second one is told, and nothing of the first one is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.django_db


def a_role(api: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    made = api.post("/api/v1/roles", {"name": "r", "levels": {"datasets": "read"}}, format="json")
    return (
        f"/api/v1/roles/{made.data['id']}",
        {"levels": {"datasets": "operate"}},
        {"levels": {"models": "read"}},
    )


def a_group(api: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    made = api.post("/api/v1/groups", {"name": "g", "people": ["owner-of-acme"]}, format="json")
    return f"/api/v1/groups/{made.data['id']}", {"people": ["owner-of-acme"]}, {"people": []}


def a_budget(api: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    made = api.post("/api/v1/budgets", {"reach": "project", "limit": "5"}, format="json")
    return f"/api/v1/budgets/{made.data['id']}", {"limit": "6"}, {"limit": "7"}


def a_limit(api: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    made = api.put("/api/v1/limits", {"requests_per_minute": 5}, format="json")
    return (
        f"/api/v1/limits/{made.data['id']}",
        {"requests_per_minute": 6},
        {"tokens_per_minute": 7},
    )


def a_dataset(api: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    made = api.post("/api/v1/datasets", {"name": "d"}, format="json")
    return f"/api/v1/datasets/{made.data['id']}", {"description": "one"}, {"description": "two"}


def an_external(api: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    body = {"name": "far", "url": "https://api.example.com/v1"}
    made = api.post("/api/v1/externals", body, format="json")
    return f"/api/v1/externals/{made.data['id']}", {"model": "a"}, {"model": "b"}


def a_deployment(api: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    from slipway.deployments.models import Deployment
    from slipway.tenancy.models import Project

    project = Project.objects.get(pk=api.get("/api/v1/me").data["project"]["id"])
    row = Deployment.objects.create(project=project, name="d", phase="live", version_id=project.pk)
    return f"/api/v1/deployments/{row.pk}", {"queue": 1}, {"sleep_after_seconds": 900}


@pytest.fixture
def house(owner: Any, api_for: Callable[..., Any]) -> Any:
    """A client of somebody who owns the whole organisation."""
    from slipway.tenancy import services
    from slipway.tenancy.models import Membership, User

    user = User.objects.get(pk=owner.user_id)
    Membership.objects.create(user=user, organisation_id=owner.organisation_id, role="owner")
    return api_for(services.principal_of(user=user), role="admin")


PUT = (a_role, a_group, a_budget, a_limit)
MAKERS = (*PUT, a_dataset, an_external, a_deployment)


@pytest.mark.parametrize("make", MAKERS)
def test_the_second_of_two_editors_is_told(make: Any, house: Any) -> None:
    address, mine, theirs = make(house)
    change = house.put if make in PUT else house.patch
    seen = house.get(address)["etag"]
    assert house.get(address)["etag"] == seen, "what nobody edits keeps its tag"
    first = change(address, theirs, format="json", HTTP_IF_MATCH=seen)
    assert first.status_code == 200, first.data
    assert first["etag"] == house.get(address)["etag"] != seen
    stored = house.get(address).data
    refused = change(address, mine, format="json", HTTP_IF_MATCH=seen)
    assert refused.status_code == 412
    assert refused.data["error"]["code"] == "changed_meanwhile"
    assert house.get(address).data == stored, "nothing of the second one was stored"
    again = change(address, mine, format="json", HTTP_IF_MATCH=house.get(address)["etag"])
    assert again.status_code == 200
    assert change(address, theirs, format="json").status_code == 200, "without a tag as before"


def test_what_moves_by_itself_is_no_edit(house: Any) -> None:
    from slipway.metering.models import Budget

    address, _, _ = a_budget(house)
    seen = house.get(address)["etag"]
    Budget.objects.update(period="total")
    assert house.get(address)["etag"] == seen
