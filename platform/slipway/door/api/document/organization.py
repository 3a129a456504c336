"""Every route below /v1/organization."""

from __future__ import annotations

from slipway.door.api.document.words import (
    AFTER,
    BOOLEAN,
    ORDER,
    PAGE,
    STRING,
    Operation,
    Query,
    Schema,
    gone,
    limit,
    listed,
    many,
    null_or,
    one_of,
    ref,
    thing,
)
from slipway.door.api.organization import keys, limits, people, places, spend_alerts, usage

_P = "/organization/projects/{project_id}"
_TIME: Schema = {"type": "integer", "minimum": 0, "maximum": 9_999_999_999}


def _array(name: str) -> Query:
    return Query(name=name, schema=many(STRING))


def _next(item: Schema) -> Schema:
    made = listed(item)
    return made | {"properties": made["properties"] | {"next": null_or(STRING)}}


def _alerts(path: str, kind: str, name: str) -> dict[str, dict[str, Operation]]:
    one = ref(name)
    return {
        f"{path}/spend_alerts": {
            "get": Operation(
                id=f"list{name}s", tells="Who is mailed of how much, oldest first.",
                answer=listed(one), query=(*PAGE, ORDER, Query(name="before")),
            ),
            "post": Operation(
                id=f"create{name}", tells="Mail people when so much was spent in a month.",
                answer=one, body=spend_alerts._Alert,
            ),
        },
        f"{path}/spend_alerts/{{alert_id}}": {
            "get": Operation(id=f"get{name}", tells="One.", answer=one),
            "post": Operation(
                id=f"change{name}", tells="All of it anew.", answer=one, body=spend_alerts._Alert
            ),
            "delete": Operation(
                id=f"delete{name}", tells="Mail nobody.", answer=gone(f"{kind}.spend_alert.deleted")
            ),
        },
    }  # fmt: skip


def _roles(path: str, kind: str, of_user: str) -> dict[str, dict[str, Operation]]:
    name, query = f"{kind.title()}Role", (AFTER, ORDER, limit(1000))
    return {
        f"{path}/roles": {
            "get": Operation(
                id=f"list{name}s", tells="Ready-made roles, then the organisation's own.",
                answer=_next(ref("Role")), query=query,
            )
        },
        f"{path}/roles/{{role_id}}": {
            "get": Operation(id=f"get{name}", tells="One of them.", answer=ref("Role"))
        },
        of_user: {
            "get": Operation(
                id=f"listUser{name}s", tells="The role that somebody was given here, if any.",
                answer=_next(ref("Role")), query=query,
            )
        },
    }  # fmt: skip


_SPAN = (
    Query(name="start_time", schema=_TIME, required=True),
    Query(name="end_time", schema=_TIME),
    _array("project_ids"),
    _array("api_key_ids"),
    _array("group_by"),
    Query(name="page"),
)

OPERATIONS: dict[str, dict[str, Operation]] = {
    "/organization/projects": {
        "get": Operation(
            id="listProjects", tells="Projects, oldest first.", answer=listed(ref("Project")),
            query=(*PAGE, Query(name="include_archived", schema=BOOLEAN)),
        ),
        "post": Operation(
            id="createProject", tells="A new project.", answer=ref("Project"), body=places._Project
        ),
    },
    _P: {
        "get": Operation(id="getProject", tells="One project.", answer=ref("Project")),
        "post": Operation(
            id="renameProject", tells="Rename it.", answer=ref("Project"), body=places._Project
        ),
    },
    f"{_P}/archive": {
        "post": Operation(
            id="archiveProject", tells="Shut it; nothing is deleted.", answer=ref("Project")
        )
    },
    f"{_P}/users": {
        "get": Operation(
            id="listProjectUsers", tells="People with a role in it.",
            answer=listed(ref("ProjectUser")), query=PAGE,
        ),
        "post": Operation(
            id="addProjectUser", tells="Give somebody of the organisation a role.",
            answer=ref("ProjectUser"), body=people._ProjectUser,
        ),
    },
    f"{_P}/users/{{user_id}}": {
        "get": Operation(id="getProjectUser", tells="One of them.", answer=ref("ProjectUser")),
        "post": Operation(
            id="changeProjectUser", tells="Another role.", answer=ref("ProjectUser"),
            body=people._ProjectUserChange,
        ),
        "delete": Operation(
            id="removeProjectUser", tells="Take the role away.",
            answer=gone("organization.project.user.deleted"),
        ),
    },
    f"{_P}/api_keys": {
        "get": Operation(
            id="listProjectKeys", tells="Keys that were not revoked.",
            answer=listed(ref("ProjectKey")),
            query=(*PAGE, Query(name="owner_project_access",
                                 schema=one_of("active", "inactive", "any"))),
        )
    },
    f"{_P}/api_keys/{{key_id}}": {
        "get": Operation(id="getProjectKey", tells="One key.", answer=ref("ProjectKey")),
        "delete": Operation(
            id="revokeProjectKey", tells="Revoke it.",
            answer=gone("organization.project.api_key.deleted"),
        ),
    },
    f"{_P}/service_accounts": {
        "get": Operation(
            id="listServiceAccounts", tells="Members that are programs.",
            answer=listed(ref("ServiceAccount")), query=PAGE,
        ),
        "post": Operation(
            id="createServiceAccount", tells="A new one, with a key whose secret is shown once.",
            answer=ref("ServiceAccount"), body=keys._NewAccount,
        ),
    },
    f"{_P}/service_accounts/{{account_id}}": {
        "get": Operation(id="getServiceAccount", tells="One.", answer=ref("ServiceAccount")),
        "post": Operation(
            id="changeServiceAccount", tells="Rename it, or give it another role.",
            answer=ref("ServiceAccount"), body=keys._AccountChange,
        ),
        "delete": Operation(
            id="endServiceAccount", tells="End it and its keys.",
            answer=gone("organization.project.service_account.deleted"),
        ),
    },
    f"{_P}/service_accounts/{{account_id}}/api_keys": {
        "post": Operation(
            id="createServiceAccountKey", tells="One more key; its secret is shown once.",
            answer=ref("ServiceAccountKey"), body=keys._AccountKey,
        )
    },
    f"{_P}/rate_limits": {
        "get": Operation(
            id="listRateLimits", tells="Limits of all its keys together.",
            answer=listed(ref("RateLimit")), query=PAGE,
        )
    },
    f"{_P}/rate_limits/{{limit_id}}": {
        "post": Operation(
            id="setRateLimit", tells="Set the rates that are named.", answer=ref("RateLimit"),
            body=limits._Rates,
        )
    },
    f"{_P}/spend_limit": {
        "get": Operation(
            id="getProjectSpendLimit", tells="Its budget per month.",
            answer=ref("ProjectSpendLimit"),
        ),
        "post": Operation(
            id="setProjectSpendLimit", tells="Set it.", answer=ref("ProjectSpendLimit"),
            body=limits._Spend,
        ),
        "delete": Operation(
            id="liftProjectSpendLimit", tells="Lift it.",
            answer=thing("project.spend_limit.deleted", deleted=BOOLEAN),
        ),
    },
    "/organization/spend_limit": {
        "get": Operation(
            id="getSpendLimit", tells="The budget per month.", answer=ref("SpendLimit")
        ),
        "post": Operation(
            id="setSpendLimit", tells="Set it.", answer=ref("SpendLimit"), body=limits._Spend
        ),
        "delete": Operation(
            id="liftSpendLimit", tells="Lift it.",
            answer=thing("organization.spend_limit.deleted", deleted=BOOLEAN),
        ),
    },
    **_alerts(_P, "project", "ProjectSpendAlert"),
    **_alerts("/organization", "organization", "SpendAlert"),
    "/organization/users": {
        "get": Operation(
            id="listUsers", tells="Everybody with any role in the organisation.",
            answer=listed(ref("OrganizationUser")), query=(*PAGE, _array("emails")),
        )
    },
    "/organization/users/{user_id}": {
        "get": Operation(id="getUser", tells="One of them.", answer=ref("OrganizationUser")),
        "post": Operation(
            id="changeUser", tells="Owner of the organisation, or not.",
            answer=ref("OrganizationUser"), body=people._UserChange,
        ),
        "delete": Operation(
            id="removeUser", tells="Take every role away.",
            answer=gone("organization.user.deleted"),
        ),
    },
    **_roles("/organization", "organization", "/organization/users/{user_id}/roles"),
    **_roles("/projects/{project_id}", "project", "/projects/{project_id}/users/{user_id}/roles"),
    "/organization/invites": {
        "get": Operation(
            id="listInvites", tells="Invites, accepted and expired ones too.",
            answer=listed(ref("Invite")), query=PAGE,
        ),
        "post": Operation(
            id="createInvite", tells="A link into one project.", answer=ref("Invite"),
            body=people._Invite,
        ),
    },
    "/organization/invites/{invite_id}": {
        "get": Operation(id="getInvite", tells="One invite.", answer=ref("Invite")),
        "delete": Operation(
            id="withdrawInvite", tells="Withdraw it.", answer=gone("organization.invite.deleted")
        ),
    },
    "/organization/groups": {
        "get": Operation(
            id="listGroups", tells="Groups, oldest first.", answer=_next(ref("Group")),
            query=(AFTER, ORDER, limit(1000)),
        ),
        "post": Operation(
            id="createGroup", tells="A new group.", answer=ref("Group"), body=places._Project
        ),
    },
    "/organization/groups/{group_id}": {
        "get": Operation(id="getGroup", tells="One group.", answer=ref("Group")),
        "post": Operation(
            id="renameGroup", tells="Rename it.", answer=ref("Group"), body=places._Project
        ),
        "delete": Operation(id="deleteGroup", tells="Delete it.", answer=gone("group.deleted")),
    },
    "/organization/groups/{group_id}/users": {
        "get": Operation(
            id="listGroupUsers", tells="Who is in it.", answer=_next(ref("GroupUser")),
            query=(AFTER, ORDER, limit(1000)),
        ),
        "post": Operation(
            id="addGroupUser", tells="Add somebody.",
            answer=thing("group.user", user_id=STRING, group_id=STRING), body=places._Joining,
        ),
    },
    "/organization/groups/{group_id}/users/{user_id}": {
        "get": Operation(id="getGroupUser", tells="One of them.", answer=ref("GroupUser")),
        "delete": Operation(
            id="removeGroupUser", tells="Remove them.",
            answer=thing("group.user.deleted", deleted=BOOLEAN),
        ),
    },
    "/organization/admin_api_keys": {
        "get": Operation(
            id="listAdminKeys", tells="Keys for this plane.", answer=listed(ref("AdminKey")),
            query=(*PAGE, ORDER),
        ),
        "post": Operation(
            id="createAdminKey", tells="A new one; its secret, `value`, is shown once.",
            answer=ref("AdminKey"), body=keys._AdminKey,
        ),
    },
    "/organization/admin_api_keys/{key_id}": {
        "get": Operation(id="getAdminKey", tells="One of them.", answer=ref("AdminKey")),
        "delete": Operation(
            id="revokeAdminKey", tells="Revoke it.",
            answer=gone("organization.admin_api_key.deleted"),
        ),
    },
    "/organization/audit_logs": {
        "get": Operation(
            id="listAuditLogs", tells="Events, newest first.", answer=listed(ref("AuditEvent")),
            query=(
                *PAGE, Query(name="before"),
                *(_array(name) for name in ("event_types", "project_ids", "actor_ids",
                                            "actor_emails", "resource_ids")),
                *(Query(name=f"effective_at[{word}]", schema=_TIME)
                  for word in ("gt", "gte", "lt", "lte")),
            ),
        )
    },
    "/organization/costs": {
        "get": Operation(
            id="listCosts", tells="Amounts per day.", answer=ref("Buckets"),
            query=(*_SPAN, _array("line_items"), limit(180),
                   Query(name="bucket_width", schema=one_of("1d"))),
        )
    },
    **{
        f"/organization/usage/{kind}": {
            "get": Operation(
                id=f"list{kind.title()}Usage", tells="Requests and tokens in buckets of time.",
                answer=ref("Buckets"),
                query=(*_SPAN, _array("models"), _array("user_ids"), limit(1440),
                       Query(name="bucket_width", schema=one_of("1m", "1h", "1d"))),
            )
        }
        for kind in usage.KINDS
    },
}  # fmt: skip
