"""Pools of machines, shares of them, and the queues that Kueue is told to keep."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from slipway import backends
from slipway.backends.compute import ComputeUnavailable
from slipway.backends.queues import Amounts, Plan, Pool, Queue, Share, Standing, Use, kueue
from slipway.capacity import services
from slipway.capacity.services import queues
from slipway.tenancy import services as tenancy
from slipway.tenancy.models import Project, User

H100 = Pool(name="h100", node_labels={"gpu": "h100"}, amounts=Amounts(cpus=64, gpus=8))
OLD = Pool(name="old", node_labels={}, amounts=Amounts(cpus=16, memory_gib=128))


def quotas(manifest: dict[str, Any]) -> dict[str, dict[str, str]]:
    [group] = manifest["spec"]["resourceGroups"]
    return {
        flavor["name"]: {each["name"]: each["nominalQuota"] for each in flavor["resources"]}
        for flavor in group["flavors"]
    }


def test_what_no_project_owns_belongs_to_the_cohort() -> None:
    plan = Plan(
        pools=(H100, OLD),
        queues=(
            Queue(project="aa", shares={"h100": Share(amounts=Amounts(cpus=16, gpus=2))}),
            Queue(
                project="bb",
                shares={"h100": Share(amounts=Amounts(cpus=8, gpus=5), borrows=False)},
            ),
        ),
    )
    found = kueue.render(plan, namespace="ns", gpu_resource="huawei.com/Ascend910")
    assert found["resourceflavors", "slipway-ns-h100"]["spec"] == {"nodeLabels": {"gpu": "h100"}}
    rest = quotas(found["cohorts", "slipway-ns"])
    assert rest == {
        "slipway-ns-h100": {"cpu": "40", "memory": "0Gi", "huawei.com/Ascend910": "1"},
        "slipway-ns-old": {"cpu": "16", "memory": "128Gi", "huawei.com/Ascend910": "0"},
    }
    own = quotas(found["clusterqueues", "slipway-ns-aa"])
    assert own["slipway-ns-h100"] == {"cpu": "16", "memory": "0Gi", "huawei.com/Ascend910": "2"}
    assert own["slipway-ns-old"] == {"cpu": "0", "memory": "0Gi", "huawei.com/Ascend910": "0"}
    [group] = found["clusterqueues", "slipway-ns-bb"]["spec"]["resourceGroups"]
    bound = {f["name"]: {r.get("borrowingLimit") for r in f["resources"]} for f in group["flavors"]}
    assert bound == {"slipway-ns-h100": {"0"}, "slipway-ns-old": {None}}
    assert found["localqueues", "project-aa"]["spec"] == {"clusterQueue": "slipway-ns-aa"}
    # Whatever is left and given comes to the pools again.
    for pool, flavor in ((H100, "slipway-ns-h100"), (OLD, "slipway-ns-old")):
        parts = [
            quotas(manifest)[flavor]["cpu"]
            for (plural, _), manifest in found.items()
            if plural in {"cohorts", "clusterqueues"}
        ]
        assert sum(map(int, parts)) == pool.amounts.cpus


def test_without_a_pool_nothing_is_kept() -> None:
    plan = Plan(queues=(Queue(project="aa"),))
    assert kueue.render(plan, namespace="ns", gpu_resource="nvidia.com/gpu") == {}


class KeptQueues:
    """Remembers what it was told; says of itself what the test wants."""

    def __init__(self) -> None:
        self.plan = Plan()
        self.stands: dict[str, Standing] = {}
        self.away = ""

    def keep(self, plan: Plan) -> None:
        if self.away:
            raise ComputeUnavailable(self.away)
        self.plan = plan

    def behind(self, plan: Plan) -> list[str]:
        if self.away:
            raise ComputeUnavailable(self.away)
        return [] if plan == self.plan else ["ClusterQueue slipway-ns-aa"]

    def standing(self) -> dict[str, Standing]:
        return self.stands


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, world: SimpleNamespace) -> KeptQueues:
    found = KeptQueues()
    monkeypatch.setattr(backends, "queues", lambda: found)
    return found


@pytest.fixture
def admin(owner: Any, api_for: Callable[..., Any]) -> Any:
    """A client who looks after the whole installation."""
    User.objects.filter(pk=owner.user_id).update(is_superuser=True)
    return api_for(tenancy.principal_of(user=User.objects.get(pk=owner.user_id)), role="admin")


def make(admin: Any, name: str = "h100", **amounts: int) -> Any:
    answer = admin.post("/api/v1/capacity/pools", {"name": name, **amounts}, format="json")
    assert answer.status_code == 201, answer.json()
    return answer.json()


def share(admin: Any, pool: Any, project_id: Any, **given: Any) -> Any:
    where = f"/api/v1/capacity/pools/{pool['id']}/shares/{project_id}"
    return admin.put(where, given, format="json")


def test_a_pool_is_never_given_out_twice(
    admin: Any, owner: Any, stranger: Any, kept: KeptQueues
) -> None:
    pool = make(admin, gpus=8, cpus=64, memory_gib=801)
    assert share(admin, pool, owner.project_id, gpus=5).status_code == 200
    refused = share(admin, pool, stranger.project_id, gpus=4)
    assert refused.status_code == 409
    over = {each["field"]: each["rule"] for each in refused.json()["error"]["details"]}
    assert set(over) == {"cpus", "memory_gib", "gpus"}
    assert "at most 8" in over["gpus"]
    assert share(admin, pool, stranger.project_id, gpus=3, borrows=False).status_code == 200
    # One's own share does not stand in one's way.
    assert share(admin, pool, owner.project_id, gpus=4).status_code == 200
    where = f"/api/v1/capacity/pools/{pool['id']}"
    # CPUs and memory go with the GPUs, unless told otherwise.
    assert admin.get(where).json()["left"] == {"cpus": 8, "memory_gib": 101, "gpus": 1}
    room = {"cpus": 64, "memory_gib": 801}
    assert admin.put(where, {"gpus": 6, **room}, format="json").status_code == 409
    fewer = {"gpus": 7, "node_labels": {"gpu": "h100"}, **room}
    assert admin.put(where, fewer, format="json").status_code == 200
    queues.keep()
    [planned] = kept.plan.pools
    assert (planned.amounts, planned.node_labels) == (Amounts(gpus=7, **room), {"gpu": "h100"})
    shares = {queue.project: queue.shares.get("h100") for queue in kept.plan.queues}
    assert shares == {
        queues.short(owner.project_id): Share(amounts=Amounts(cpus=32, memory_gib=400, gpus=4)),
        queues.short(stranger.project_id): Share(
            amounts=Amounts(cpus=24, memory_gib=300, gpus=3), borrows=False
        ),
    }
    assert admin.delete(f"{where}/shares/{stranger.project_id}").status_code == 204
    assert admin.delete(f"{where}/shares/{stranger.project_id}").status_code == 404
    assert share(admin, pool, uuid.uuid4(), gpus=1).status_code == 404
    assert admin.delete(where).status_code == 204
    queues.keep()
    assert kept.plan == Plan()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "H100"}, "name"),
        ({"name": "-"}, "name"),
        ({"name": "a", "gpus": -1}, "gpus"),
        ({"name": "a", "node_labels": {"a b": "c"}}, "node_labels.a b"),
        ({"name": "a", "node_labels": {"gpu": "h 100"}}, "node_labels.gpu"),
    ],
)
@pytest.mark.usefixtures("kept")
def test_what_no_cluster_would_take_is_refused_by_name(admin: Any, given: Any, field: str) -> None:
    answer = admin.post("/api/v1/capacity/pools", given, format="json")
    assert answer.status_code == 422, answer.json()
    assert field in {detail["field"] for detail in answer.json()["error"]["details"]}


@pytest.mark.usefixtures("kept")
def test_a_name_is_taken_once(admin: Any) -> None:
    make(admin)
    answer = admin.post("/api/v1/capacity/pools", {"name": "h100"}, format="json")
    assert answer.status_code == 409
    assert "another name" in answer.json()["error"]["message"]


def test_everybody_sees_the_own_part_and_the_cluster_says_what_is_used(
    admin: Any, owner: Any, stranger: Any, api_for: Callable[[Any], Any], kept: KeptQueues
) -> None:
    pool = make(admin, gpus=8, cpus=8)
    assert share(admin, pool, stranger.project_id, gpus=2).status_code == 422
    assert share(admin, pool, stranger.project_id, gpus=2, memory_gib=1).status_code == 409
    pool = admin.get("/api/v1/capacity/pools").json()["data"][0]
    changed = {"gpus": 8, "cpus": 8, "memory_gib": 8}
    admin.put(f"/api/v1/capacity/pools/{pool['id']}", changed, format="json")
    assert share(admin, pool, stranger.project_id, gpus=2).status_code == 200
    queues.keep()
    kept.stands = {
        queues.short(stranger.project_id): Standing(
            uses={"h100": Use(used=Amounts(gpus=3), borrowed=Amounts(gpus=1))}, waiting=4, running=2
        )
    }
    theirs = api_for(stranger)
    found = theirs.get("/api/v1/capacity").json()
    assert (found["queues"], found["behind"]) == (True, [])
    assert (found["waiting"], found["running"]) == (4, 2)
    [own] = found["pools"]
    assert (own["gpus"], own["use"]["used"]["gpus"], own["use"]["borrowed"]["gpus"]) == (2, 3, 1)
    assert own["pool"]["left"]["gpus"] == 6
    # Whose the other shares are is not theirs to know, and pools are the house's.
    where = f"/api/v1/capacity/pools/{pool['id']}"
    for path in ("/api/v1/capacity/pools", where, f"{where}/shares"):
        assert theirs.get(path).status_code == 403
    assert share(theirs, pool, stranger.project_id, gpus=8).status_code == 403
    [listed] = admin.get(f"{where}/shares").json()["data"]
    assert (listed["project_id"], listed["use"]["borrowed"]["gpus"]) == (
        str(stranger.project_id),
        1,
    )
    assert admin.get("/api/v1/capacity").json()["pools"][0]["use"]["used"]["gpus"] == 0


def test_a_cluster_that_is_away_is_told_later(admin: Any, owner: Any, kept: KeptQueues) -> None:
    make(admin, gpus=1)
    kept.away = "the API server does not answer"
    services.keep()
    assert admin.get("/api/v1/capacity").json()["behind"] == ["the API server does not answer"]
    kept.away = ""
    assert admin.get("/api/v1/capacity").json()["behind"] == [
        "ClusterQueue slipway-ns-aa is not yet as asked for"
    ]
    services.keep()
    assert admin.get("/api/v1/capacity").json()["behind"] == []
    # A project in the bin has no queue.
    Project.objects.filter(pk=owner.project_id).update(archived_at=timezone.now() - timedelta(1))
    services.keep()
    assert queues.short(owner.project_id) not in {queue.project for queue in kept.plan.queues}


def test_work_stands_in_its_projects_queue_once_there_are_pools(
    admin: Any, owner: Any, kept: KeptQueues
) -> None:
    assert services.queue_of(project_id=owner.project_id) == ""
    make(admin, gpus=1)
    services.keep()
    [queue] = kept.plan.queues
    assert services.queue_of(project_id=owner.project_id) == f"project-{queue.project}"


@pytest.mark.usefixtures("world")
def test_on_one_machine_the_machine_is_the_pool(admin: Any, owner: Any) -> None:
    answer = admin.post("/api/v1/capacity/pools", {"name": "h100"}, format="json")
    assert answer.status_code == 409
    assert "install Kueue" in answer.json()["error"]["message"]
    found = admin.get("/api/v1/capacity").json()
    assert found["queues"] is False
    assert found["machine"]["cpus"] > 0
    assert services.queue_of(project_id=owner.project_id) == ""


@pytest.mark.django_db
def test_who_looks_after_the_platform_sees_disk_and_gpus(
    owner: Any, api_for: Any, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "/api/v1/health/machine"
    assert api_for(owner).get(address).status_code == 403
    User.objects.filter(pk=owner.user_id).update(is_superuser=True)
    boss = tenancy.principal_of(user=User.objects.get(pk=owner.user_id))
    admin = api_for(boss, role="admin")
    told = admin.get(address).data
    assert 0 < told["disk_free_bytes"] < told["disk_bytes"]
    room = (told["gpus"], told["cpus"], told["memory_bytes"])
    assert room == (8, 8, 6 * 10**9)

    def away() -> None:
        raise ComputeUnavailable("warming up")

    monkeypatch.setattr(world.compute, "room", away)
    assert admin.get(address).data["gpus"] is None
