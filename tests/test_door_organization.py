"""The organisation's plane by the `openai` package: strict about every object and every page."""

from __future__ import annotations

import time
from typing import Any

import openai
import pytest
from door_world import Door, error_of, until

from slipway.door.models import Asked
from slipway.door.services import asked

CHAT: Any = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def plane(door: Door) -> Any:
    return admin(door).admin.organization


def admin(door: Door, who: str = "acme-admin", **options: Any) -> openai.OpenAI:
    return door.client(
        "acme-owner", admin_api_key=door.keys[who], _strict_response_validation=True, **options
    )


@pytest.fixture(scope="module")
def project(plane: Any) -> Any:
    return plane.projects.create(name="Chat bots")


def test_projects_are_made_renamed_listed_and_archived(plane: Any, door: Door) -> None:
    made = [plane.projects.create(name=f"made {n}") for n in range(3)]
    assert (made[0].object, made[0].status, made[0].name) == (
        "organization.project", "active", "made 0",
    )  # fmt: skip
    assert plane.projects.update(made[0].id, name="renamed").name == "renamed"
    assert plane.projects.retrieve(made[0].id).name == "renamed"
    listed = [each.id for each in plane.projects.list(limit=1)]
    assert len(listed) == len(set(listed))
    assert {each.id for each in made} < set(listed)
    gone = plane.projects.archive(made[1].id)
    assert gone.status == "archived"
    assert gone.archived_at
    assert made[1].id not in [each.id for each in plane.projects.list()]
    assert made[1].id in [each.id for each in plane.projects.list(include_archived=True)]
    with pytest.raises(openai.ConflictError) as refused:
        plane.projects.create(name="renamed")
    assert refused.value.response.headers["x-should-retry"] == "false"
    with pytest.raises(openai.ConflictError):
        plane.projects.service_accounts.create(made[1].id, name="too-late")


def test_another_organisations_things_are_not_there(plane: Any, project: Any, door: Door) -> None:
    rival = admin(door, "rival-admin").admin.organization
    account = plane.projects.service_accounts.create(project.id, name="mine")
    for look in (
        lambda: rival.projects.retrieve(project.id),
        lambda: rival.projects.archive(project.id),
        lambda: rival.projects.users.list(project.id),
        lambda: rival.projects.api_keys.list(project.id),
        lambda: rival.projects.service_accounts.retrieve(account.id, project_id=project.id),
        lambda: rival.projects.rate_limits.list_rate_limits(project.id),
        lambda: rival.users.retrieve(plane.users.list().data[0].id),
        lambda: rival.projects.create(name="x") and rival.admin_api_keys.retrieve("key_1"),
    ):
        with pytest.raises(openai.NotFoundError):
            look()
    assert project.id not in [each.id for each in rival.projects.list()]
    assert rival.usage.completions(start_time=0, limit=1, project_ids=[]).data


def test_only_admin_keys_come_in(door: Door) -> None:
    for who in ("acme-owner", "acme-reader"):
        for method, path in (
            ("GET", "organization/projects"),
            ("POST", "organization/projects"),
            ("GET", "organization/usage/completions?start_time=1"),
            ("GET", "organization/audit_logs"),
            ("DELETE", "organization/users/user-1"),
        ):
            refused = door.call(method, path, who)
            assert refused.status_code == 403, path
            error_of(refused)
    refused = door.http.get(f"{door.url}/organization/projects")
    assert refused.status_code == 401
    error_of(refused)


def test_users_have_roles_in_projects_and_in_the_whole(plane: Any, project: Any) -> None:
    (ada,) = plane.users.list().data
    assert (ada.object, ada.role, ada.name) == ("organization.user", "owner", "acme")
    assert plane.users.retrieve(ada.id).id == ada.id
    members = plane.projects.users
    assert members.list(project.id).data == []
    made = members.create(project.id, user_id=ada.id, role="member")
    assert (made.object, made.role) == ("organization.project.user", "member")
    assert [each.id for each in members.list(project.id)] == [ada.id]
    assert members.update(ada.id, project_id=project.id, role="owner").role == "owner"
    assert members.retrieve(ada.id, project_id=project.id).role == "owner"
    # The last owner of a project cannot leave it, nor the last of the organisation.
    with pytest.raises(openai.ConflictError):
        members.delete(ada.id, project_id=project.id)
    with pytest.raises(openai.ConflictError):
        plane.users.update(ada.id, role="reader")
    with pytest.raises(openai.ConflictError):
        plane.users.delete(ada.id)
    with pytest.raises(openai.BadRequestError) as refused:
        members.create(project.id, role="member")
    assert refused.value.param == "user_id"


def test_invites_lead_into_one_project(plane: Any, project: Any) -> None:
    place: Any = {"id": project.id, "role": "member"}
    made = plane.invites.create(email="bob@example.com", role="reader", projects=[place])
    assert (made.object, made.status, made.email) == (
        "organization.invite", "pending", "bob@example.com",
    )  # fmt: skip
    assert "/invite#" in made.x_link
    assert made.projects[0].to_dict()["role"] == "member"
    assert plane.invites.retrieve(made.id).id == made.id
    assert not hasattr(plane.invites.retrieve(made.id), "x_link")
    assert made.id in [each.id for each in plane.invites.list(limit=1)]
    for wrong in (
        {"role": "owner", "projects": [place]}, {"role": "reader"},
        {"role": "reader", "projects": [place, place]},
        {"role": "reader", "projects": [place], "email": "no address"},
    ):  # fmt: skip
        with pytest.raises(openai.BadRequestError):
            plane.invites.create(**{"email": "x@example.com"} | wrong)
    gone = plane.invites.delete(made.id)
    assert (gone.deleted, gone.object) == (True, "organization.invite.deleted")
    with pytest.raises(openai.NotFoundError):
        plane.invites.retrieve(made.id)


def test_a_service_account_and_its_key_work_until_they_are_ended(
    plane: Any, project: Any, door: Door
) -> None:
    accounts = plane.projects.service_accounts
    made = accounts.create(project.id, name="robot")
    assert (made.object, made.role) == ("organization.project.service_account", "member")
    secret = made.api_key.value
    door.keys["robot"] = secret
    program = door.client("robot")
    assert program.files.list().data == []
    keys = plane.projects.api_keys
    (entry,) = [e for e in keys.list(project.id) if e.id == made.api_key.id]
    assert entry.owner.type == "service_account"
    assert entry.owner.service_account.id == made.id
    assert entry.owner_project_access == "active"
    assert secret not in entry.redacted_value
    changed = accounts.update(made.id, project_id=project.id, name="Robot 2", role="owner")
    assert (changed.name, changed.role) == ("Robot 2", "owner")
    second = accounts.api_keys.create(made.id, project_id=project.id, name="second")
    assert keys.retrieve(second.id, project_id=project.id).name == "second"
    assert keys.delete(made.api_key.id, project_id=project.id).deleted
    with pytest.raises(openai.AuthenticationError):
        program.files.list()
    door.keys["second"] = second.value
    program = door.client("second")
    program.files.list()
    assert accounts.delete(made.id, project_id=project.id).deleted
    with pytest.raises(openai.AuthenticationError):
        program.files.list()
    assert made.id not in [each.id for each in accounts.list(project.id)]
    quiet = accounts.create(project.id, name="quiet", create_service_account_only=True)
    assert quiet.api_key is None


def test_admin_keys_are_made_used_and_ended(plane: Any, door: Door) -> None:
    made = plane.admin_api_keys.create(name="second", expires_in_seconds=3600)
    assert made.object == "organization.admin_api_key"
    assert 3500 < made.expires_at - time.time() <= 3600
    door.keys["second-admin"] = made.value
    other = admin(door, "second-admin").admin.organization
    assert other.admin_api_keys.retrieve(made.id).redacted_value != made.value
    listed = [each.id for each in plane.admin_api_keys.list(limit=1)]
    assert made.id in listed
    assert listed[::-1] == [each.id for each in plane.admin_api_keys.list(order="desc")]
    # An admin key is none of the project's.
    default = next(each for each in plane.projects.list() if each.name == "default")
    assert made.id not in [each.id for each in plane.projects.api_keys.list(default.id)]
    assert plane.admin_api_keys.delete(made.id).deleted
    with pytest.raises(openai.AuthenticationError):
        other.projects.list()


def test_roles_are_listed_with_what_they_allow(plane: Any, project: Any, door: Door) -> None:
    made = door.http.post(
        f"http://127.0.0.1:{door.port}/api/v1/roles",
        headers={"authorization": f"Bearer {door.keys['acme-admin']}"},
        json={"name": "curator", "levels": {"datasets": "operate", "training": "read"}},
    )
    assert made.status_code == 201, made.text
    whole = {role.name: role for role in plane.roles.list(limit=2)}
    assert list(whole) == ["admin", "owner", "operator", "reader", "curator"]
    assert {role.resource_type for role in whole.values()} == {"api.organization"}
    assert whole["curator"].permissions == ["datasets:operate", "training:read"]
    assert [name for name, role in whole.items() if not role.predefined_role] == ["curator"]
    assert "money:full" in whole["owner"].permissions
    assert "organisation:full" in whole["admin"].permissions
    assert "organisation:full" not in whole["owner"].permissions
    assert "inference:operate" not in whole["reader"].permissions
    assert plane.roles.retrieve(whole["curator"].id) == whole["curator"]
    parts = {role.name: role for role in plane.projects.roles.list(project.id, order="desc")}
    assert list(parts) == ["curator", "viewer", "member", "owner", "admin"]
    assert plane.projects.roles.retrieve(parts["member"].id, project_id=project.id).name == "member"
    (ada,) = plane.users.list().data
    place, members = plane.projects.create(name="with roles"), plane.projects.users
    with pytest.raises(openai.NotFoundError):
        members.roles.list(ada.id, project_id=place.id)
    members.create(place.id, user_id=ada.id, role="curator")
    found = members.roles.list(ada.id, project_id=place.id).data
    assert [(role.id, role.permissions) for role in found] == [
        (parts["curator"].id, ["datasets:operate", "training:read"])
    ]
    members.update(ada.id, project_id=place.id, role="viewer")
    found = members.roles.list(ada.id, project_id=place.id).data
    assert [role.name for role in found] == ["viewer"]
    assert [role.name for role in plane.users.roles.list(ada.id)] == ["owner"]
    plane.projects.archive(place.id)
    rival = admin(door, "rival-admin").admin.organization
    assert "curator" not in {role.name for role in rival.roles.list()}
    with pytest.raises(openai.NotFoundError):
        rival.roles.retrieve(whole["curator"].id)
    with pytest.raises(openai.NotFoundError):
        rival.projects.roles.list(project.id)
    assert door.call("GET", "organization/roles").status_code == 403


def test_groups_are_paged_by_what_next_says(plane: Any) -> None:
    (ada,) = plane.users.list().data
    made = [plane.groups.create(name=f"group {n}") for n in range(3)]
    assert (made[0].group_type, made[0].is_scim_managed) == ("group", False)
    assert [each.id for each in plane.groups.list(limit=2)] == [each.id for each in made]
    assert plane.groups.update(made[0].id, name="first").name == "first"
    assert plane.groups.users.create(made[0].id, user_id=ada.id).user_id == ada.id
    assert [each.id for each in plane.groups.users.list(made[0].id)] == [ada.id]
    assert plane.groups.users.delete(ada.id, group_id=made[0].id).deleted
    assert plane.groups.users.list(made[0].id).data == []
    for each in made:
        assert plane.groups.delete(each.id).deleted
    assert plane.groups.list().data == []


def test_rate_limits_are_those_of_the_gateway(plane: Any, project: Any, door: Door) -> None:
    limits = plane.projects.rate_limits
    assert limits.list_rate_limits(project.id).data == []
    made = limits.update_rate_limit("rl-m", project_id=project.id, max_requests_per_1_minute=7)
    assert (made.object, made.model) == ("project.rate_limit", "m")
    assert (made.max_requests_per_1_minute, made.max_tokens_per_1_minute) == (7, 10**9)
    made = limits.update_rate_limit("rl-m", project_id=project.id, max_tokens_per_1_minute=500)
    assert (made.max_requests_per_1_minute, made.max_tokens_per_1_minute) == (7, 500)
    none = {"max_requests_per_1_minute": 10**9, "max_tokens_per_1_minute": 10**9}
    for _ in range(2):
        lifted = limits.update_rate_limit("rl-n", project_id=project.id, **none)
        assert lifted.max_requests_per_1_minute == 10**9
    limits.update_rate_limit("rl-*", project_id=project.id, max_requests_per_1_minute=90)
    assert {each.id for each in limits.list_rate_limits(project.id)} == {"rl-m", "rl-*"}
    for wrong, more in (("m", {}), ("rl-m", {"max_requests_per_1_minute": 0}),
                        ("rl-m", {"max_images_per_1_minute": 5})):  # fmt: skip
        refused = door.call("POST", f"organization/projects/{project.id}/rate_limits/{wrong}",
                            "acme-admin", json=more)  # fmt: skip
        assert refused.status_code in {400, 404}
        error_of(refused)


def test_spend_limits_are_budgets_by_the_month(plane: Any, project: Any, door: Door) -> None:
    for limit, args, kind in (
        (plane.spend_limit, (), "organization.spend_limit"),
        (plane.projects.spend_limit, (project.id,), "project.spend_limit"),
    ):
        with pytest.raises(openai.NotFoundError):
            limit.retrieve(*args)
        made = limit.update(*args, threshold_amount=12345, currency="CNY", interval="month")
        assert (made.object, made.threshold_amount, made.currency) == (kind, 12345, "CNY")
        assert made.enforcement.status == "inactive"
        assert limit.retrieve(*args).threshold_amount == 12345
        with pytest.raises(openai.BadRequestError) as refused:
            limit.update(*args, threshold_amount=1, currency="USD", interval="month")
        assert refused.value.param == "currency"
        assert limit.delete(*args).deleted
        with pytest.raises(openai.NotFoundError):
            limit.delete(*args)


def test_spend_alerts_are_kept_changed_and_listed(project: Any, door: Door) -> None:
    # The package knows no currency but one, so it is not strict about these.
    plane = door.client("acme-owner", admin_api_key=door.keys["acme-admin"]).admin.organization
    rival = door.client("rival-owner", admin_api_key=door.keys["rival-admin"]).admin.organization
    channel: Any = {"type": "email", "recipients": ["acme@a.example"], "subject_prefix": "[spend]"}
    body: Any = {"currency": "CNY", "interval": "month", "notification_channel": channel}
    for alerts, theirs, args, kind in (
        (plane.spend_alerts, rival.spend_alerts, (), "organization"),
        (plane.projects.spend_alerts, rival.projects.spend_alerts, (project.id,), "project"),
    ):
        about = {"project_id": project.id} if args else {}
        made = [
            alerts.create(*args, threshold_amount=amount, **body) for amount in (1050, 2000, 3000)
        ]
        assert (made[0].object, made[0].threshold_amount) == (f"{kind}.spend_alert", 1050)
        assert made[0].notification_channel.to_dict() == channel
        ids = [each.id for each in made]
        assert [each.id for each in alerts.list(*args, limit=2)] == ids
        assert [each.id for each in alerts.list(*args, order="desc", limit=1)] == ids[::-1]
        last = alerts.list(*args, before=ids[2], limit=1)
        assert ([each.id for each in last.data], last.has_more) == (ids[1:2], True)
        changed = alerts.update(ids[0], **about, **body | {"threshold_amount": 7})
        assert (changed.id, changed.threshold_amount) == (ids[0], 7)
        assert alerts.retrieve(ids[0], **about).threshold_amount == 7
        for other in (
            lambda: theirs.retrieve(ids[0], **about),  # noqa: B023 - called here
            lambda: theirs.delete(ids[0], **about),  # noqa: B023 - called here
            lambda: theirs.update(ids[0], **about, threshold_amount=1, **body),  # noqa: B023 - called here
        ):
            with pytest.raises(openai.NotFoundError):
                other()
        for wrong in (
            {"currency": "USD"},
            {"interval": "week"},
            {"threshold_amount": 0},
            {"notification_channel": channel | {"type": "pigeon"}},
            {"notification_channel": channel | {"recipients": []}},
            {"notification_channel": channel | {"recipients": ["a\r\nBcc: b@c.de"]}},
            {"notification_channel": channel | {"recipients": ["who@else.example"]}},
        ):
            with pytest.raises(openai.APIStatusError) as refused:
                alerts.create(*args, **{"threshold_amount": 5} | body | wrong)
            assert refused.value.status_code == 400, wrong
        for key in ids:
            gone = alerts.delete(key, **about)
            assert (gone.deleted, gone.object) == (True, f"{kind}.spend_alert.deleted")
        assert alerts.list(*args).data == []


def test_usage_and_costs_are_the_ledgers(plane: Any, door: Door) -> None:
    start = int(time.time()) - 3600
    for _ in range(3):
        door.client().chat.completions.create(**CHAT)

    def seen() -> Any:
        page = plane.usage.completions(start_time=start, group_by=["model", "api_key_id"])
        rows = [row for bucket in page.data for row in bucket.results]
        return rows if sum(row.num_model_requests for row in rows) >= 3 else None

    row = next(row for row in until("the usage", seen) if row.model == "m")
    assert row.object == "organization.usage.completions.result"
    assert row.api_key_id.startswith("key_")
    assert row.project_id is None
    assert row.input_tokens > 0
    assert row.output_tokens > 0
    total = plane.usage.completions(start_time=start, bucket_width="1h")
    assert sum(r.num_model_requests for b in total.data for r in b.results) >= 3
    keyed = plane.usage.completions(start_time=start, api_key_ids=[row.api_key_id],
                                    group_by=["user_id"])  # fmt: skip
    assert {r.user_id for b in keyed.data for r in b.results} == {plane.users.list().data[0].id}
    # Buckets without requests stay; pages meet without gap or overlap.
    first = plane.usage.completions(start_time=start, bucket_width="1m", limit=7)
    second = plane.usage.completions(start_time=start, bucket_width="1m", limit=7,
                                     page=first.next_page)  # fmt: skip
    assert len(first.data) == 7
    assert first.has_more
    assert first.data[-1].end_time == second.data[0].start_time
    assert plane.usage.embeddings(start_time=start).data[-1].results == []
    costs = plane.usage.costs(start_time=start, group_by=["line_item", "project_id"])
    found = {r.line_item: r for b in costs.data for r in b.results}
    assert "m, prompt tokens" in found
    assert found["m, requests"].amount.currency == "cny"
    for query in ("", "start_time=x", "start_time=9&end_time=8", "start_time=1&bucket_width=2d",
                  "start_time=1&group_by=batch", "start_time=1&limit=99", "start_time=9&page=x",
                  "start_time=1&user_ids=x", "start_time=1&project_ids=proj_x"):  # fmt: skip
        refused = door.call("GET", f"organization/usage/completions?{query}", "acme-admin")
        assert refused.status_code in {400, 404}, query
        error_of(refused)


def test_the_audit_log_speaks_their_words(plane: Any, project: Any, door: Door) -> None:
    plane.projects.update(project.id, name="Chat bots 2")
    account = plane.projects.service_accounts.create(project.id, name="told")
    logs = list(plane.audit_logs.list(limit=2))
    types = [each.type for each in logs]
    assert {"project.created", "project.updated", "service_account.created"} <= set(types)
    made = next(each for each in logs if each.type == "service_account.created")
    assert made.actor.type == "api_key"
    assert made.actor.api_key.user.id == plane.users.list().data[0].id
    assert made.service_account_created.id == account.id
    plane.projects.rate_limits.update_rate_limit(
        "rl-told", project_id=project.id, max_requests_per_1_minute=5
    )
    wanted: Any = ["rate_limit.updated", "project.updated"]
    limited, named = list(plane.audit_logs.list(event_types=wanted))[:2]
    assert limited.rate_limit_updated.id == "rl-told"
    assert named.project_updated.id == project.id
    assert [each.id for each in logs] == sorted(
        (each.id for each in logs), key=lambda text: -int(text.split("-")[1])
    )
    renamed: Any = ["project.updated"]
    only = list(plane.audit_logs.list(event_types=renamed))
    assert {each.type for each in only} == {"project.updated"}
    assert list(plane.audit_logs.list(effective_at={"lt": 1000})) == []
    assert list(plane.audit_logs.list(actor_ids=["user-0"])) == []
    rival = admin(door, "rival-admin").admin.organization
    assert not {each.id for each in rival.audit_logs.list()} & {each.id for each in logs}
    refused = door.call("GET", "organization/audit_logs?event_types=x", "acme-admin")
    assert error_of(refused)["param"] == "event_types"


@pytest.mark.parametrize("path", ["certificates", "data_retention", "external_keys",
                                  "spend_alert", "usage/images", "usage", ""])  # fmt: skip
def test_what_is_not_there_says_so(door: Door, path: str) -> None:
    refused = door.call("GET", f"organization/{path}", "acme-admin")
    assert refused.status_code == 404
    assert error_of(refused)["code"] == "unknown_url"


def test_a_secret_that_was_lost_on_the_way_is_told_again(plane: Any, project: Any) -> None:
    twin = {"extra_headers": {"x-stainless-retry-count": "1"}}
    invited = {"email": "twin@b.example", "role": "reader",
               "projects": [{"id": project.id, "role": "member"}]}  # fmt: skip
    for make in (
        lambda **more: plane.admin_api_keys.create(name="twin", **more),
        lambda **more: plane.projects.service_accounts.create(project.id, name="twin", **more),
        lambda **more: plane.invites.create(**invited, **more),
    ):
        first, again = make(), make(**twin)
        assert first.to_dict() == again.to_dict()


@pytest.mark.django_db
def test_a_secret_is_remembered_sealed() -> None:
    given: Any = {"project_id": "a0000000-0000-0000-0000-000000000001", "path": "/v1/x",
                  "given": {}, "key": "k", "retried": False}  # fmt: skip
    first = asked.once(**given, make=lambda: (200, {"value": "sk-slip-secret"}), secret=True)
    (row,) = Asked.objects.all()
    assert "secret" not in str(row.body)
    assert asked.once(**given, make=lambda: (200, {}), secret=True) == first
