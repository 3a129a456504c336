"""Deployments come up, are watched, healed, swapped without a gap, and leave nothing behind."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from slipway.backends.compute import ComputeUnavailable
from slipway.core import reconcile as loop
from slipway.core.errors import Conflict, Invalid, NotFound
from slipway.core.lifecycle import subject_of
from slipway.core.models import Event
from slipway.deployments import reconcile, services
from slipway.deployments.models import Deployment, Revision
from slipway.registry import services as registry
from slipway.registry.models import Hold, Model, ModelVersion
from slipway_contracts.workload import Kind, Observation, State

pytestmark = pytest.mark.django_db


def look(times: int = 1) -> None:
    """Let the worker look at every deployment that is not at rest."""
    for _ in range(times):
        Deployment.objects.exclude(look_at=None).update(look_at=timezone.now())
        loop.run_due(Deployment, reconcile.WATCHED[0][1], now=timezone.now())


@pytest.fixture
def models(owner: Any) -> None:
    """Two ready versions of chart-base and an adapter upon the first; no files are needed here."""
    facts = {
        "project_id": owner.project_id,
        "phase": "ready",
        "context_length": 128,
        "capabilities": ["completions", "chat", "system"],
        "look_at": None,
    }
    base = Model.objects.create(project_id=owner.project_id, name="chart-base")
    tuned = Model.objects.create(project_id=owner.project_id, name="chart-base-lines")
    first = ModelVersion.objects.create(model=base, number=1, **facts)
    ModelVersion.objects.create(model=base, number=2, **facts)
    ModelVersion.objects.create(model=tuned, number=1, kind="adapter", base=first, **facts)


class Scene:
    """A deployment, the world it runs in, and what one does with both."""

    def __init__(self, owner: Any, world: SimpleNamespace) -> None:
        self.owner, self.compute = owner, world.compute

    def create(self, model: str = "chart-base@1", **more: Any) -> Deployment:
        self.row = services.create(
            project_id=self.owner.project_id, model=model, now=timezone.now(), **more
        )
        return self.row

    def live(self, model: str = "chart-base@1", **more: Any) -> Deployment:
        row = self.create(model, **more)
        look()
        self.answers(1)
        look()
        assert self.phase == "live", self.reason
        return row

    def name(self, revision: int) -> str:
        return f"serve-{self.row.pk.hex[:12]}-{revision}"

    def sees(self, revision: int, state: State, reason: str = "", *endpoints: str) -> None:
        self.compute.seen[self.name(revision)] = Observation(
            state=state, reason=reason, endpoints=endpoints
        )

    def answers(self, revision: int, *endpoints: str) -> None:
        self.sees(revision, State.RUNNING, "", *(endpoints or (f"unix:/run/{revision}-0.sock",)))

    def vanishes(self, revision: int) -> None:
        self.compute.applied.pop(self.name(revision))
        self.compute.seen.pop(self.name(revision))

    def do(self, verb: Callable[..., None], **given: Any) -> None:
        self.row.refresh_from_db()
        verb(self.row, now=timezone.now(), by="me", **given)

    @property
    def phase(self) -> str:
        self.row.refresh_from_db()
        return self.row.phase

    @property
    def reason(self) -> str:
        self.row.refresh_from_db()
        return self.row.reason

    @property
    def route(self) -> services.Route:
        return services.routes()[0]

    @property
    def revisions(self) -> dict[int, str]:
        rows = self.row.revisions.order_by("number")
        return {row.number: row.phase for row in rows}

    def events(self, kind: str) -> list[Event]:
        found = Event.objects.filter(subject=subject_of(self.row), kind=kind)
        return list(found.order_by("at", "created_at"))

    def drained(self) -> None:
        Revision.objects.exclude(remove_at=None).update(remove_at=timezone.now())
        look()


@pytest.fixture
def scene(owner: Any, world: SimpleNamespace, models: None) -> Scene:
    return Scene(owner, world)


def test_a_deployment_is_live_once_it_answers_and_not_before(scene: Scene) -> None:
    scene.create()
    assert (scene.phase, scene.route.state, scene.route.endpoints) == ("starting", "starting", ())
    look()
    sent = scene.compute.applied[scene.name(1)]
    assert (sent.kind, sent.settings) == (
        Kind.SERVE, {"served_name": "chart-base", "engine": "auto"},
    )  # fmt: skip
    assert list(sent.inputs) == ["base"]
    scene.sees(1, State.WAITING, "loading weights")
    look()
    assert (scene.phase, scene.reason) == ("starting", "loading weights")
    scene.sees(1, State.RUNNING, "warming up")  # runs, but has not said a token
    look()
    assert (scene.phase, scene.reason) == ("starting", "warming up")
    scene.answers(1)
    look()
    route = scene.route
    assert (scene.phase, scene.reason, route.state) == ("live", "", "live")
    assert route.endpoints == ("unix:/run/1-0.sock",)
    assert (route.context_length, route.root, route.parent) == (128, "chart-base@1", "")
    assert route.capabilities == ("completions", "chat", "system")


def test_an_adapter_is_served_upon_its_base(scene: Scene) -> None:
    scene.live("chart-base-lines", replicas=2)
    sent = scene.compute.applied[scene.name(1)]
    assert set(sent.inputs) == {"base", "adapter"}
    assert sent.replicas == 2
    assert (scene.route.name, scene.route.parent) == ("chart-base-lines", "chart-base")


def test_a_first_start_that_fails_says_why_and_can_be_tried_again(scene: Scene) -> None:
    scene.create()
    look()
    scene.compute.logs = lambda name: iter(["loading", "Killed: out of memory"])
    scene.sees(1, State.FAILED, "out of memory: 3 GiB asked, 2 GiB free")
    look()
    assert scene.phase == "failed"
    assert "out of memory: 3 GiB asked" in scene.reason
    assert scene.events("failed")[0].data["log"] == ["loading", "Killed: out of memory"]
    assert scene.compute.names() == []
    assert (scene.route.state, "out of memory" in scene.route.reason) == ("failed", True)
    scene.do(services.start)
    look()
    scene.answers(2)
    look()
    assert (scene.phase, scene.revisions) == ("live", {1: "failed", 2: "serving"})


def test_a_start_that_never_answers_ends(scene: Scene) -> None:
    scene.create()
    look()
    Revision.objects.update(sent_at=timezone.now() - timedelta(minutes=16))
    look()
    assert (scene.phase, "did not answer within" in scene.reason) == ("failed", True)


def test_a_name_is_taken_once_in_a_project_and_free_after_deletion(
    scene: Scene, stranger: Any
) -> None:
    first = scene.live()
    with pytest.raises(Conflict, match="already there"):
        scene.create("chart-base@2", name="chart-base")
    assert Deployment.objects.count() == 1
    with pytest.raises(NotFound):
        services.create(project_id=stranger.project_id, model="chart-base", now=timezone.now())
    scene.row = first
    scene.do(services.delete)
    look()
    assert (scene.phase, scene.compute.names()) == ("deleted", [])
    assert services.routes() == []
    assert not Hold.objects.exists()
    scene.live("chart-base@2")


@pytest.mark.parametrize(
    ("given", "field"),
    [({"replicas": 0}, "replicas"), ({"replicas": 65}, "replicas"), ({"name": "a/b"}, "name"),
     ({"engine": "magic"}, "engine")],
)  # fmt: skip
def test_what_cannot_be_is_refused(scene: Scene, given: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        scene.create(**given)
    assert refused.value.details[0].field == field
    assert not Deployment.objects.exists()


def test_a_swap_flips_only_when_the_new_answers_and_the_old_drains_before_it_goes(
    scene: Scene,
) -> None:
    scene.live()
    scene.do(services.swap, model="chart-base@2")
    look()
    assert set(scene.compute.names()) == {scene.name(1), scene.name(2)}
    scene.sees(2, State.WAITING, "loading weights")
    look()
    assert scene.phase == "updating"
    assert "revision 2 (chart-base@2) is coming: loading weights" in scene.reason
    assert (scene.route.endpoints, scene.route.root) == (("unix:/run/1-0.sock",), "chart-base@1")
    scene.answers(2)
    look()
    assert (scene.phase, scene.revisions) == ("live", {1: "retired", 2: "serving"})
    assert (scene.route.endpoints, scene.route.root) == (("unix:/run/2-0.sock",), "chart-base@2")
    look(3)
    assert scene.name(1) in scene.compute.names()
    scene.drained()
    assert scene.compute.names() == [scene.name(2)]
    assert [hold.version.number for hold in Hold.objects.all()] == [2, 2]


def test_a_swap_that_fails_leaves_the_old_one_answering_and_says_why(scene: Scene) -> None:
    scene.live()
    scene.do(services.swap, model="chart-base@2")
    look()
    scene.sees(2, State.FAILED, "tensor shapes differ")
    look()
    assert scene.phase == "live"
    assert "revision 2 (chart-base@2) did not come up: tensor shapes differ" in scene.reason
    assert scene.route.endpoints == ("unix:/run/1-0.sock",)
    look(2)
    assert "tensor shapes differ" in scene.reason
    assert scene.compute.names() == [scene.name(1)]
    assert scene.row.version_id == scene.row.revisions.get(number=1).version_id


def test_a_second_swap_gives_up_the_first(scene: Scene) -> None:
    scene.live()
    scene.do(services.swap, model="chart-base@2")
    look()
    scene.do(services.swap, model="chart-base-lines")
    look()
    assert scene.revisions == {1: "serving", 2: "retired", 3: "coming"}
    assert set(scene.compute.names()) == {scene.name(1), scene.name(3)}
    scene.answers(3)
    look()
    assert scene.route.root == "chart-base-lines@1"


def test_rolling_back_gives_up_an_update_or_returns_to_the_version_before(scene: Scene) -> None:
    scene.live()
    with pytest.raises(Conflict, match="No other version"):
        scene.do(services.roll_back)
    scene.do(services.swap, model="chart-base@2")
    look()
    scene.do(services.roll_back)
    look()
    assert (scene.phase, scene.compute.names()) == ("live", [scene.name(1)])
    scene.do(services.swap, model="chart-base@2")
    look()
    scene.answers(3)
    look()
    scene.do(services.roll_back)
    look()
    scene.answers(4)
    look()
    assert (scene.route.root, scene.phase) == ("chart-base@1", "live")


def test_scaling_is_a_new_revision_of_the_same_version(scene: Scene) -> None:
    scene.live()
    scene.do(services.scale, replicas=3)
    look()
    assert scene.compute.applied[scene.name(2)].replicas == 3
    scene.answers(2, "unix:/a", "unix:/b")
    look(2)
    assert (scene.phase, scene.row.replicas) == ("live", 3)
    assert scene.reason == "2 of 3 replicas answer."
    scene.answers(2, "unix:/a", "unix:/b", "unix:/c")
    look()
    assert (scene.reason, scene.route.endpoints) == ("", ("unix:/a", "unix:/b", "unix:/c"))
    scene.do(services.scale, replicas=3)
    assert scene.phase == "live"
    with pytest.raises(Invalid, match="1 to 64"):
        scene.do(services.scale, replicas=0)


def test_a_restart_of_the_node_is_seen_said_and_healed(scene: Scene) -> None:
    scene.live()
    scene.vanishes(1)
    look()
    assert (scene.phase, "bringing it back" in scene.reason) == ("unhealthy", True)
    assert (scene.route.state, scene.route.endpoints) == ("unhealthy", ())
    assert scene.name(1) in scene.compute.applied
    look()
    assert (scene.phase, scene.reason) == ("unhealthy", "queued")
    scene.answers(1, "unix:/run/1-1.sock")
    look()
    assert (scene.phase, scene.route.endpoints) == ("live", ("unix:/run/1-1.sock",))
    assert scene.events("recovered")[0].data["seconds"] >= 0


def test_serving_outlives_the_licence_and_is_healed_after_it(
    scene: Scene, api: Any, run_out: Callable[[], None]
) -> None:
    row = scene.live()
    run_out()
    refused = api.delete(f"/api/v1/deployments/{row.pk}")
    assert refused.json()["error"]["code"] == "read_only"
    look(3)
    assert (scene.phase, scene.route.state) == ("live", "live")
    scene.vanishes(1)
    look(2)
    scene.answers(1, "unix:/run/1-1.sock")
    look()
    assert (scene.phase, scene.route.endpoints) == ("live", ("unix:/run/1-1.sock",))


def test_a_replica_that_restarts_elsewhere_changes_the_route(scene: Scene) -> None:
    scene.live(replicas=2)
    scene.answers(1, "unix:/a", "unix:/c")
    look()
    assert (scene.phase, scene.route.endpoints) == ("live", ("unix:/a", "unix:/c"))


def test_crashes_are_healed_ever_more_rarely(scene: Scene) -> None:
    scene.live()
    for _ in range(3):
        scene.sees(1, State.FAILED, "replica died: SIGKILL")
        look()
        assert (scene.phase, scene.reason) == ("unhealthy", "replica died: SIGKILL")
        assert scene.compute.names() == []
        Revision.objects.update(crashed_at=timezone.now() - timedelta(seconds=100))
        look()
        assert scene.compute.names() == [scene.name(1)]
    revision = scene.row.revisions.get()
    assert revision.crashes == 3
    scene.sees(1, State.FAILED, "replica died")
    look(3)
    assert scene.compute.names() == []  # seven seconds to wait
    scene.row.revisions.update(crashed_at=timezone.now() - timedelta(seconds=8))
    look()
    scene.answers(1)
    look()
    assert scene.phase == "live"


def test_a_cluster_that_does_not_answer_is_said_and_the_addresses_stay(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.live()

    def away(name: str) -> Observation:
        raise ComputeUnavailable("the node agent is restarting")

    with monkeypatch.context() as patched:
        patched.setattr(scene.compute, "observe", away)
        look(2)
        assert scene.phase == "unhealthy"
        assert "node agent is restarting" in scene.reason
        assert scene.route.endpoints == ("unix:/run/1-0.sock",)
    look()
    assert scene.phase == "live"


def test_stop_and_start_keep_name_version_and_the_hold(scene: Scene, owner: Any) -> None:
    scene.live()
    version_id = scene.row.version_id
    scene.do(services.stop)
    assert scene.route.endpoints == ()
    look()
    assert (scene.phase, scene.compute.names()) == ("stopped", [])
    assert scene.row.look_at is None
    with pytest.raises(Conflict, match="needed by deployment chart-base"):
        registry.delete_version(
            project_id=owner.project_id, version_id=version_id, now=timezone.now()
        )
    scene.do(services.swap, model="chart-base@2")
    scene.do(services.stop)
    assert scene.phase == "stopped"
    scene.do(services.start)
    look()
    scene.answers(2)
    look()
    scene.do(services.start)
    assert (scene.phase, scene.route.root) == ("live", "chart-base@2")


@pytest.mark.parametrize("verb", [services.stop, services.delete])
def test_a_stop_that_arrives_while_it_starts_leaves_no_orphan(
    scene: Scene, verb: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.create()
    send = scene.compute.apply

    def stopped_meanwhile(workload: Any) -> None:
        send(workload)
        scene.do(verb)

    monkeypatch.setattr(scene.compute, "apply", stopped_meanwhile)
    look()
    assert scene.phase in {"stopping", "deleting"}
    look()
    assert scene.phase in {"stopped", "deleted"}
    assert scene.compute.names() == []
    assert not set(scene.revisions.values()) & {"coming", "serving"}


def test_a_stop_during_a_swap_takes_both_down(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.live()
    scene.do(services.swap, model="chart-base@2")
    look()
    scene.answers(2)
    see = scene.compute.observe

    def stopped_meanwhile(name: str) -> Observation:
        if name == scene.name(2):
            scene.do(services.stop)
        return see(name)

    with monkeypatch.context() as patched:
        patched.setattr(scene.compute, "observe", stopped_meanwhile)
        look()
    assert scene.phase == "stopping"
    look()
    assert (scene.phase, scene.compute.names()) == ("stopped", [])
    assert scene.revisions == {1: "retired", 2: "retired"}


def test_a_swap_that_arrives_as_the_route_flips_is_not_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.live()
    scene.do(services.swap, model="chart-base@2")
    look()
    scene.answers(2)
    see = scene.compute.observe

    def swapped_meanwhile(name: str) -> Observation:
        seen = see(name)
        if name == scene.name(2):
            scene.do(services.swap, model="chart-base-lines")
        return seen

    with monkeypatch.context() as patched:
        patched.setattr(scene.compute, "observe", swapped_meanwhile)
        look()
    assert scene.revisions == {1: "serving", 2: "retired", 3: "coming"}
    look()
    scene.answers(3)
    look()
    scene.drained()
    assert (scene.route.root, scene.phase) == ("chart-base-lines@1", "live")
    assert scene.compute.names() == [scene.name(3)]


class Killed(BaseException):
    """The worker is gone at this point."""


@pytest.mark.parametrize("verb", ["apply", "delete", "observe"])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("point", range(1, 9))
def test_killed_at_any_outward_call_the_whole_life_still_ends_right(  # noqa: C901 - a whole life
    scene: Scene, verb: str, before: bool, point: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    real = getattr(scene.compute, verb)

    def fatal(given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == point and before:
            raise Killed
        answer = real(given)
        if calls == point:
            raise Killed
        return answer

    monkeypatch.setattr(scene.compute, verb, fatal)

    def settle(*phases: str, answering: int = 0) -> None:
        for _ in range(12):
            if answering and scene.name(answering) in scene.compute.applied:
                scene.answers(answering)
            try:
                look()
            except Killed:
                continue
            if scene.phase in phases:
                return
        pytest.fail(f"stuck in {scene.phase}: {scene.reason}")

    scene.create()
    settle("live", answering=1)
    scene.do(services.swap, model="chart-base@2")
    settle("live", answering=2)
    scene.vanishes(2)
    settle("unhealthy")
    settle("live", answering=2)
    scene.do(services.swap, model="chart-base-lines")
    for _ in range(8):
        try:
            look()
        except Killed:
            continue
        if scene.name(3) in scene.compute.applied:
            scene.sees(3, State.FAILED, "no good")
        if scene.phase == "live":
            break
    assert scene.route.endpoints == ("unix:/run/2-0.sock",)
    scene.do(services.stop)
    settle("stopped")
    assert scene.compute.names() == []
    assert set(scene.revisions.values()) == {"retired", "failed"}
    assert set(Hold.objects.values_list("label", flat=True)) == {"deployment chart-base"}
    scene.do(services.delete)
    settle("deleted")
    assert not Hold.objects.exists()


def test_the_sweep_deletes_workloads_that_belong_to_no_revision(scene: Scene) -> None:
    scene.live()
    orphan = scene.compute.applied[scene.name(1)]
    for name in ("serve-000000000000-1", "train-000000000000-1"):
        scene.compute.applied[name] = orphan
    reconcile.sweep(timezone.now())
    assert scene.compute.names() == [scene.name(1), "train-000000000000-1"]


def test_rest_tells_the_whole_life_to_its_project_only(
    scene: Scene, api: Any, api_for: Any, stranger: Any
) -> None:
    made = api.post("/api/v1/deployments", {"model": "chart-base-lines", "name": "chart-base-v2"},
                    format="json")  # fmt: skip
    assert (made.status_code, made.json()["phase"]) == (201, "starting")
    one = f"/api/v1/deployments/{made.json()['id']}"
    scene.row = Deployment.objects.get(pk=made.json()["id"])
    look()
    scene.answers(1)
    look()
    shown = api.get(one).json()
    assert (shown["phase"], shown["endpoints"], shown["coming"]) == ("live", 1, None)
    assert shown["serving"]["model"] == "chart-base-lines@1"
    assert api.get("/api/v1/deployments?name=chart-base-v2").json()["data"][0]["id"] == shown["id"]
    (found,) = api.get("/api/v1/deployments?search=BASE-v2").json()["data"]
    assert found["id"] == shown["id"]
    assert api.get("/api/v1/deployments?search=nobody").json()["data"] == []
    scene.compute.logs = lambda name: iter(f"line {n}" for n in range(5))
    assert api.get(f"{one}/logs").json()["next_cursor"] == "5"
    page = api.get(f"{one}/logs?cursor=3").json()
    assert page["data"] == [{"text": "line 3"}, {"text": "line 4"}]
    assert (page["next_cursor"], page["more"], page["live"]) == ("5", False, True)
    assert api.get(f"{one}/logs?cursor=-1").status_code == 422
    swapped = api.post(f"{one}/swap", {"model": "chart-base@2"}, format="json")
    assert (swapped.status_code, swapped.json()["coming"]["number"]) == (202, 2)
    assert api.post(f"{one}/rollback").json()["phase"] == "live"
    assert api.post(f"{one}/scale", {"replicas": 2}, format="json").json()["phase"] == "updating"
    numbers = [row["number"] for row in api.get(f"{one}/revisions").json()["data"]]
    assert numbers == [3, 2, 1]
    moves = [event["target"] for event in api.get(f"{one}/events").json()["data"]]
    assert moves == ["updating", "live", "updating", "live", "starting"]
    taken = api.post("/api/v1/deployments", {"model": "chart-base", "name": "chart-base-v2"},
                     format="json")  # fmt: skip
    assert taken.status_code == 409
    other = api_for(stranger)
    for verb in ("stop", "start", "rollback"):
        assert other.post(f"{one}/{verb}").status_code == 404
    for path in ("", "/logs", "/events", "/revisions"):
        assert other.get(f"{one}{path}").status_code == 404
    assert other.get("/api/v1/deployments").json()["data"] == []
    assert api_for(scene.owner, role="reader").post(f"{one}/stop").status_code == 403
    assert api.post(f"{one}/stop").json()["phase"] == "stopping"
    assert api.delete(one).json()["phase"] == "deleting"
    look()
    assert api.get(one).status_code == 404


# Asleep


def asleep(scene: Scene) -> None:
    """Live, then quiet for longer than it stays up."""
    scene.live()
    services.change(scene.row, sleep_after_seconds=60, now=timezone.now())
    Revision.objects.update(served_at=timezone.now() - timedelta(seconds=90))
    look()


def use(scene: Scene, seconds_ago: float) -> None:
    from slipway.metering.models import UsageRecord

    UsageRecord.objects.create(
        created_at=timezone.now() - timedelta(seconds=seconds_ago), request_id=f"r{seconds_ago}",
        project_id=scene.row.project_id, key_id=scene.row.pk, deployment_id=scene.row.pk,
        version_id=scene.row.pk, model="m", endpoint="/v1/chat/completions", status=200,
        stream=False, prompt_tokens=1, completion_tokens=1, estimated=False, latency_ms=1,
    )  # fmt: skip


def test_what_nobody_asks_for_sleeps_and_a_request_wakes_it(scene: Scene) -> None:
    asleep(scene)
    assert (scene.phase, scene.revisions) == ("sleeping", {1: "retired"})
    assert "wakes it" in scene.reason
    route = scene.route
    assert (route.state, route.endpoints, route.root) == ("sleeping", (), "chart-base@1")
    assert (route.context_length, route.takes_adapters) == (128, True)
    # What had begun may end: ten minutes at most.
    left = Revision.objects.get().remove_at - timezone.now()
    assert timedelta(seconds=535) < left < timedelta(seconds=600)
    scene.drained()
    assert scene.compute.applied == {}
    services.wake(deployment_id=scene.row.pk, now=timezone.now())
    services.wake(deployment_id=scene.row.pk, now=timezone.now())
    assert (scene.phase, scene.revisions) == ("waking", {1: "retired", 2: "coming"})
    look()
    scene.sees(2, State.WAITING, "loading weights")
    look()
    assert (scene.route.state, scene.route.reason) == ("waking", "loading weights")
    scene.answers(2)
    look()
    assert (scene.phase, scene.route.endpoints) == ("live", ("unix:/run/2-0.sock",))
    look()
    assert scene.phase == "live", "it has only just woken"


def test_what_is_asked_or_never_to_sleep_stays_up(scene: Scene) -> None:
    scene.live()
    Revision.objects.update(served_at=timezone.now() - timedelta(days=1))
    look()
    assert scene.phase == "live", "nobody said that it may sleep"
    services.change(scene.row, sleep_after_seconds=60, now=timezone.now())
    use(scene, 30)
    look()
    assert scene.phase == "live"
    assert scene.revisions == {1: "serving"}


def test_what_sleeps_can_be_stopped_scaled_started_and_deleted(scene: Scene) -> None:
    asleep(scene)
    scene.do(services.scale, replicas=2)
    assert (scene.phase, scene.row.replicas) == ("sleeping", 2)
    scene.do(services.start)
    assert scene.phase == "waking"
    assert Revision.objects.get(number=2).replicas == 2
    scene.do(services.stop)
    look(2)
    assert (scene.phase, scene.compute.applied) == ("stopped", {})
    scene.do(services.delete)
    look(2)
    assert scene.phase == "deleted"


def test_rules_of_a_deployment_are_changed_over_rest(scene: Scene, api: Any) -> None:
    row = scene.live()
    one = f"/api/v1/deployments/{row.pk}"
    changed = api.patch(one, {"at_once": 8, "queue": 4, "sleep_after_seconds": 600}, format="json")
    assert changed.status_code == 200
    seen = api.get(one).json()
    assert (seen["at_once"], seen["queue"], seen["sleep_after_seconds"]) == (8, 4, 600)
    assert (scene.route.at_once, scene.route.queue) == (8, 4)
    assert api.patch(one, {"sleep_after_seconds": None}, format="json").status_code == 200
    for wrong in ({"at_once": 0}, {"queue": -1}, {"sleep_after_seconds": 5}):
        assert api.patch(one, wrong, format="json").status_code == 422


def test_the_time_that_replicas_answer_is_in_the_ledger_once(scene: Scene) -> None:
    from slipway.metering.models import Entry
    from slipway.metering.services import rollups

    def counted() -> list[int]:
        rows = Entry.objects.filter(kind="cpu_milliseconds").order_by("created_at")
        return [row.quantity // 1000 for row in rows]

    begun = timezone.now()
    scene.create()
    reconcile.sweep(begun)
    assert not Revision.objects.exclude(charged_until=None).exists(), "nothing answers yet"
    look()
    scene.answers(1, "unix:/run/a.sock", "unix:/run/b.sock")
    look()
    for minutes in (0, 2, 5, 5, 7, 11):
        reconcile.sweep(begun + timedelta(minutes=minutes))
    assert counted() == [600, 720], "two replicas, five minutes and then six"
    scene.do(services.stop)
    look(4)
    end = Revision.objects.get().removed_at
    Revision.objects.update(removed_at=begun + timedelta(minutes=12))
    assert end is not None
    for minutes in (13, 60):
        reconcile.sweep(begun + timedelta(minutes=minutes))
    assert len(counted()) == 3
    assert sum(counted()) <= 2 * 12 * 60, "nothing after it was gone"
    assert rollups.differences() == []


def test_replicas_that_a_subscription_pays_cost_nothing_more(scene: Scene, owner: Any) -> None:
    from slipway.metering.models import Entry
    from slipway.metering.services import rollups
    from slipway.plans import services as plans

    def counted(kind: str) -> int:
        return sum(row.quantity // 1000 for row in Entry.objects.filter(kind=kind))

    begun = timezone.now()
    made = scene.create()
    terms: dict[str, Any] = {"term": "month", "fee": Decimal(5), "most_units": 2}
    plan = plans.offer(now=begun, name="one", model=made.name, replicas=1, **terms)
    plans.offer(now=begun, name="other", model="another", replicas=9, **terms)
    taken = plans.subscribe(principal=owner, plan_id=plan.pk, units=1, now=begun)
    look()
    scene.answers(1, "unix:/run/a.sock", "unix:/run/b.sock")
    look()
    reconcile.sweep(begun)
    reconcile.sweep(begun + timedelta(minutes=5))
    assert (counted("cpu_milliseconds"), counted("paid_milliseconds")) == (300, 300)
    plans.change(
        principal=owner, subscription_id=taken.pk, units=2, now=begun + timedelta(minutes=5)
    )
    reconcile.sweep(begun + timedelta(minutes=10))
    assert (counted("cpu_milliseconds"), counted("paid_milliseconds")) == (300, 900)
    assert rollups.differences() == []


_HOUR: dict[str, Any] = {"term": "hour", "fee": Decimal(5), "replicas": 1}


def _paid_and_not() -> tuple[int, int]:
    """Seconds of replicas that plans paid, and that they did not."""
    from slipway.metering.models import Entry

    def counted(kind: str) -> int:
        return sum(row.quantity for row in Entry.objects.filter(kind=kind)) // 1000

    return counted("paid_milliseconds"), counted("cpu_milliseconds")


def test_a_plan_pays_replicas_from_when_it_is_taken_to_its_end(scene: Scene, owner: Any) -> None:
    from slipway.plans import services as plans

    begun = timezone.now()
    plan = plans.offer(now=begun, name="one", model=scene.live().name, **_HOUR)
    reconcile.sweep(begun)
    row = plans.subscribe(
        principal=owner, plan_id=plan.pk, units=1, now=begun + timedelta(minutes=4)
    )
    plans.change(principal=owner, subscription_id=row.pk, renews=False, now=begun)
    reconcile.sweep(begun + timedelta(minutes=5))
    assert _paid_and_not() == (60, 240)
    late = begun + timedelta(minutes=66)
    reconcile.sweep(late)
    assert _paid_and_not() == (60, 240), "whether the next term is paid is not known yet"
    plans.renew(type(row).objects.get(), late)
    reconcile.sweep(late)
    assert _paid_and_not() == (3600, 360)


def test_terms_that_nobody_paid_pay_no_replicas(scene: Scene, owner: Any) -> None:
    from slipway.plans import services as plans

    begun = timezone.now()
    plan = plans.offer(now=begun, name="one", model=scene.live().name, **_HOUR)
    row = plans.subscribe(principal=owner, plan_id=plan.pk, units=1, now=begun)
    reconcile.sweep(begun)
    # The worker was away for long, the replica was not.
    late = begun + timedelta(hours=10, minutes=30)
    reconcile.sweep(late)
    plans.renew(type(row).objects.get(), late)
    reconcile.sweep(late)
    assert _paid_and_not() == (5400, 9 * 3600), "the first term, and half of the eleventh"


def test_of_two_revisions_at_once_one_is_paid(scene: Scene, owner: Any) -> None:
    from slipway.plans import services as plans

    begun = timezone.now()
    plan = plans.offer(now=begun, name="one", model=scene.live().name, **_HOUR)
    plans.subscribe(principal=owner, plan_id=plan.pk, units=1, now=begun)
    old = Revision.objects.get()
    reconcile.sweep(begun)
    # The next one answers from the first minute on, the old one to the fourth.
    fields = {field.name: getattr(old, field.name) for field in Revision._meta.fields}
    Revision.objects.create(
        **(fields | {"id": uuid.uuid4(), "number": 2, "phase": "coming",
                     "created_at": begun + timedelta(seconds=30),
                     "charged_until": begun + timedelta(minutes=1)})
    )  # fmt: skip
    Revision.objects.filter(pk=old.pk).update(
        removed_at=begun + timedelta(minutes=4), endpoints=[], phase="retired"
    )
    for minutes in (4, 6):
        reconcile.sweep(begun + timedelta(minutes=minutes))
    assert _paid_and_not() == (360, 180)
