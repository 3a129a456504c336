"""The organization's plane, by an admin key."""

from __future__ import annotations

import os
import time
from typing import Any

import openai
from world import CHAT, HELLO, pages, scenario, until


def _plane(w: Any) -> Any:
    return w.openai.admin.organization


@scenario("projects, their service accounts and keys", needs="admin.organization.projects")
def _(w: Any) -> None:
    projects = _plane(w).projects
    made = projects.create(name=f"bots {w.mark}")
    assert made.id in [each.id for each in pages(projects.list(limit=1))]
    account = projects.service_accounts.create(made.id, name="robot")
    assert account.api_key.value.startswith("sk-slip-")
    assert len(pages(projects.api_keys.list(made.id))) == 1
    robot = w.openai.with_options(api_key=account.api_key.value)
    assert CHAT not in [each.id for each in robot.models.list()]
    assert projects.service_accounts.delete(account.id, project_id=made.id).deleted
    until("the key to be dead", lambda: _dead(robot), 10)
    assert projects.archive(made.id).status == "archived"


def _dead(client: Any) -> bool:
    try:
        client.models.list()
    except openai.AuthenticationError:
        return True
    return False


@scenario("people, invites and groups", needs="admin.organization.groups")
def _(w: Any) -> None:
    plane = _plane(w)
    user = pages(plane.users.list(limit=1))[0]
    assert plane.users.retrieve(user.id).id == user.id
    (project, *_) = plane.projects.list()
    invite = plane.invites.create(
        email=f"{w.mark}@example.org", role="reader",
        projects=[{"id": project.id, "role": "member"}],
    )  # fmt: skip
    assert invite.id in [each.id for each in pages(plane.invites.list())]
    assert plane.invites.delete(invite.id).deleted
    group = plane.groups.create(name=f"team {w.mark}")
    plane.groups.users.create(group.id, user_id=user.id)
    assert [each.id for each in pages(plane.groups.users.list(group.id, limit=1))] == [user.id]
    assert plane.groups.delete(group.id).deleted


@scenario("admin keys come and go", needs="admin.organization.admin_api_keys")
def _(w: Any) -> None:
    keys = _plane(w).admin_api_keys
    made = keys.create(name=w.mark)
    assert made.value
    assert keys.retrieve(made.id).name == w.mark
    assert made.id in [each.id for each in pages(keys.list(limit=1))]
    assert keys.delete(made.id).deleted


@scenario("a rate limit is set, felt as a 429, and lifted", needs="admin.organization.projects")
def _(w: Any) -> None:
    plane = _plane(w)
    project = next(p for p in plane.projects.list() if p.name == "default")
    change = plane.projects.rate_limits.update_rate_limit
    name = f"rl-{CHAT}"
    limit = change(name, project_id=project.id, max_requests_per_1_minute=1)
    assert (limit.model, limit.max_requests_per_1_minute) == (CHAT, 1)
    assert name in [
        each.id for each in pages(plane.projects.rate_limits.list_rate_limits(project.id))
    ]

    def limited() -> Any:
        try:
            w.openai.chat.completions.create(model=CHAT, messages=HELLO, max_tokens=1)
        except openai.RateLimitError as error:
            return error
        return None

    try:
        error = until("the limit", limited, 20)
        assert error.code == "rate_limit_exceeded"
        assert float(error.response.headers["retry-after"]) > 0
    finally:
        change(name, project_id=project.id, max_requests_per_1_minute=10**9)
    until("the limit to go", lambda: not limited(), 20)


@scenario("a project may spend so much a month", needs="admin.organization.spend_limit")
def _(w: Any) -> None:
    plane = _plane(w)
    project = plane.projects.create(name=f"money {w.mark}")
    # The client's types know dollars; here money is what the installation counts in.
    currency = os.environ.get("SLIPWAY_CURRENCY", "CNY")
    limits = plane.projects.spend_limit
    limits.update(project.id, threshold_amount=5000, currency=currency, interval="month")
    assert limits.retrieve(project.id).threshold_amount == 5000
    assert limits.delete(project.id).deleted
    w.refused(openai.NotFoundError, lambda: limits.retrieve(project.id), 404)


@scenario("usage and costs, bucket by bucket", needs="admin.organization.usage")
def _(w: Any) -> None:
    usage = _plane(w).usage
    now = int(time.time())

    def counted() -> Any:
        page = usage.completions(start_time=now - 86400, bucket_width="1d", group_by=["model"])
        return [r for b in page.data for r in b.results if r.model == CHAT and r.input_tokens > 0]

    until("usage", counted, 30)
    assert usage.embeddings(start_time=now - 86400).data
    costs = usage.costs(start_time=now - 3 * 86400, limit=1)
    assert costs.has_more
    assert usage.costs(start_time=now - 3 * 86400, limit=1, page=costs.next_page).data


@scenario("the audit log tells what was done", needs="admin.organization.audit_logs")
def _(w: Any) -> None:
    made = _plane(w).projects.create(name=f"seen {w.mark}")
    events = _plane(w).audit_logs.list(event_types=["project.created"], limit=2)
    assert made.id in [event.project_created.id for event in events]


@scenario("an ordinary key does not administer", needs="admin.organization.projects")
def _(w: Any) -> None:
    plain = w.openai.with_options(admin_api_key=w.openai.api_key).admin.organization
    w.refused(openai.PermissionDeniedError, plain.projects.list, 403)
