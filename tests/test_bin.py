"""The bin: deleted datasets and model versions come back, or go when their term is over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from slipway.core import lifecycle
from slipway.datasets import reconcile as datasets
from slipway.datasets.models import Dataset
from slipway.datasets.services import catalogue
from slipway.door import reconcile as door
from slipway.door.models import Response as Answer
from slipway.door.models import StoredCompletion
from slipway.registry import reconcile as registry
from slipway.registry.models import Model, ModelVersion, VersionPhase
from slipway.registry.services import keeping

pytestmark = pytest.mark.django_db


def names(api: Any, query: str = "") -> list[str]:
    return [each["name"] for each in api.get(f"/api/v1/datasets{query}").data["data"]]


def test_a_dataset_lies_in_the_bin_unseen_and_comes_back(api: Any) -> None:
    made = api.post("/api/v1/datasets", {"name": "charts"}, format="json").data
    address = f"/api/v1/datasets/{made['id']}"
    version = api.post(f"{address}/versions", {}, format="json").data
    assert api.delete(f"{address}?bin=true").status_code == 204
    assert (names(api), names(api, "?deleted=true")) == ([], ["charts"])
    assert api.get(address).status_code == 404
    assert api.get(f"/api/v1/dataset-versions/{version['id']}").status_code == 404
    taken = api.post("/api/v1/datasets", {"name": "charts"}, format="json")
    assert taken.status_code == 409
    assert "bin" in taken.data["error"]["details"][0]["fix"]
    assert api.post(f"{address}/restore").data["deleted_at"] is None
    assert api.get(f"/api/v1/dataset-versions/{version['id']}").status_code == 200
    assert (names(api), names(api, "?deleted=true")) == (["charts"], [])


def test_the_bin_of_datasets_is_emptied_by_term_or_by_hand(api: Any) -> None:
    now = timezone.now()
    for name in ("old", "new", "by hand"):
        made = api.post("/api/v1/datasets", {"name": name}, format="json").data
        assert api.delete(f"/api/v1/datasets/{made['id']}?bin=true").status_code == 204
        if name == "old":
            Dataset.objects.filter(pk=made["id"]).update(deleted_at=now - timedelta(days=8))
    catalogue.empty_bin(until=now - timedelta(days=7))
    assert sorted(names(api, "?deleted=true")) == ["by hand", "new"]
    assert api.delete(f"/api/v1/datasets/{made['id']}").status_code == 204
    assert names(api, "?deleted=true") == ["new"]


def test_a_version_that_somebody_needs_does_not_go_into_the_bin(api: Any) -> None:
    made = api.post("/api/v1/datasets", {"name": "held"}, format="json").data
    version = api.post(f"/api/v1/datasets/{made['id']}/versions", {}, format="json").data
    from slipway.datasets import services

    services.hold(version_id=version["id"], holder="job nightly")
    told = api.delete(f"/api/v1/datasets/{made['id']}?bin=true")
    assert told.status_code == 409
    assert "job nightly" in told.data["error"]["message"]


@pytest.fixture
def version(owner: Any) -> ModelVersion:
    model = Model.objects.create(project_id=owner.project_id, name="chart")
    return ModelVersion.objects.create(
        project_id=owner.project_id, model=model, number=1, phase=VersionPhase.READY, look_at=None
    )


def test_a_model_version_comes_back_ready_with_its_alias(api: Any, version: ModelVersion) -> None:
    address = f"/api/v1/model-versions/{version.pk}"
    alias = f"/api/v1/models/{version.model_id}/aliases/live"
    assert api.put(alias, {"version_id": str(version.pk)}, format="json").status_code == 200
    assert api.delete(f"{address}?bin=true").data["phase"] == "binned"
    assert api.get("/api/v1/model-versions").data["data"] == []
    assert len(api.get("/api/v1/model-versions?phase=binned").data["data"]) == 1
    assert api.get("/api/v1/model-versions?reference=chart@live").status_code == 404
    assert api.get(f"/api/v1/models/{version.model_id}").data["versions"] == 0
    assert api.post(f"{address}/restore").data["phase"] == "ready"
    assert api.get("/api/v1/model-versions?reference=chart@live").status_code == 200
    assert api.post(f"{address}/restore").status_code == 409


def test_the_bin_of_models_is_emptied_by_term(version: ModelVersion) -> None:
    now = timezone.now()
    lifecycle.advance(
        version, VersionPhase.BINNED, now=now, reason="", binned_at=now - timedelta(days=8)
    )
    keeping.empty_bin(until=now - timedelta(days=7), now=now)
    version.refresh_from_db()
    assert version.phase == VersionPhase.DELETING


def test_two_who_move_aliases_or_change_a_rule_are_told_of_each_other(
    api: Any, version: ModelVersion
) -> None:
    model = f"/api/v1/models/{version.model_id}"
    seen = api.get(model)["etag"]
    body = {"version_id": str(version.pk)}
    assert api.put(f"{model}/aliases/a", body, format="json").status_code == 200
    late = api.put(f"{model}/aliases/b", body, format="json", HTTP_IF_MATCH=seen)
    assert late.status_code == 412
    again = api.put(f"{model}/aliases/b", body, format="json", HTTP_IF_MATCH=api.get(model)["etag"])
    assert again.status_code == 200


def test_a_project_keeps_shorter_than_the_installation_and_never_longer(
    api: Any, owner: Any, stranger: Any
) -> None:
    now = timezone.now()
    rows: dict[str, list[Any]] = {"mine": [], "theirs": []}
    for whose, project_id in (("mine", owner.project_id), ("theirs", stranger.project_id)):
        for days in (1, 3, 40):
            at = now - timedelta(days=days)
            rows[whose] += [
                Dataset.objects.create(project_id=project_id, name=f"d{days}", deleted_at=at),
                Answer.objects.create(project_id=project_id, created_at=at, body={}),
                StoredCompletion.objects.create(
                    project_id=project_id, created_at=at, name=f"c{days}", body={},
                    request_id=f"{whose}-{days}", model="m", messages=[],
                ),
            ]  # fmt: skip
    seen = api.get("/api/v1/retention").data
    assert seen["own"] == {"bin": None, "completions": None, "responses": None}
    assert seen["longest"] == {"bin": 7, "completions": 30, "responses": 30}
    longer = api.put(
        "/api/v1/retention", {"bin": 8, "completions": None, "responses": 2}, format="json"
    )
    assert (longer.status_code, longer.data["error"]["details"][0]["field"]) == (422, "bin")
    days = {"bin": 2, "completions": 2, "responses": 2}
    assert api.put("/api/v1/retention", days, format="json").data["own"] == days
    for domain in (datasets, door):
        domain.sweep(now)

    def left(whose: str) -> int:
        return sum(type(row).objects.filter(pk=row.pk).exists() for row in rows[whose])

    assert (left("mine"), left("theirs")) == (3, 6), "1 day here; 1 and 3 days there"


def test_a_model_version_goes_from_the_bin_after_its_projects_days(
    api: Any, version: ModelVersion
) -> None:
    now = timezone.now()
    lifecycle.advance(
        version, VersionPhase.BINNED, now=now, reason="", binned_at=now - timedelta(days=3)
    )
    registry.sweep(now)
    version.refresh_from_db()
    assert version.phase == VersionPhase.BINNED
    days = {"bin": 2, "completions": None, "responses": None}
    assert api.put("/api/v1/retention", days, format="json").status_code == 200
    registry.sweep(now)
    version.refresh_from_db()
    assert version.phase == VersionPhase.DELETING
