"""/v1/organization: the organisation's own plane, for admin keys."""

from django.urls import path

from slipway.door.api.organization import (
    audit_logs,
    keys,
    limits,
    people,
    places,
    roles,
    spend_alerts,
    usage,
)

_PROJECT = "organization/projects/<str:project_id>"

urlpatterns = [
    path("organization/projects", places.ProjectsView.as_view()),
    path(_PROJECT, places.ProjectView.as_view()),
    path(f"{_PROJECT}/archive", places.ArchiveView.as_view()),
    path(f"{_PROJECT}/users", people.ProjectUsersView.as_view()),
    path(f"{_PROJECT}/users/<str:user_id>", people.ProjectUserView.as_view()),
    path(f"{_PROJECT}/api_keys", keys.ProjectKeysView.as_view()),
    path(f"{_PROJECT}/api_keys/<str:key_id>", keys.ProjectKeyView.as_view()),
    path(f"{_PROJECT}/service_accounts", keys.AccountsView.as_view()),
    path(f"{_PROJECT}/service_accounts/<str:account_id>", keys.AccountView.as_view()),
    path(f"{_PROJECT}/service_accounts/<str:account_id>/api_keys", keys.AccountKeysView.as_view()),
    path(f"{_PROJECT}/rate_limits", limits.RateLimitsView.as_view()),
    path(f"{_PROJECT}/rate_limits/<path:limit_id>", limits.RateLimitView.as_view()),
    path(f"{_PROJECT}/spend_limit", limits.ProjectSpendView.as_view()),
    path("organization/spend_limit", limits.SpendView.as_view()),
    *(
        path(f"{place}/spend_alerts{rest}", view.as_view(kind=f"{kind}.spend_alert"))
        for place, kind in (("organization", "organization"), (_PROJECT, "project"))
        for rest, view in (
            ("", spend_alerts.AlertsView),
            ("/<str:alert_id>", spend_alerts.AlertView),
        )
    ),
    path("organization/users", people.UsersView.as_view()),
    path("organization/users/<str:user_id>", people.UserView.as_view()),
    path("organization/users/<str:user_id>/roles", roles.UserRolesView.as_view()),
    path("organization/roles", roles.RolesView.as_view()),
    path("organization/roles/<str:role_id>", roles.RoleView.as_view()),
    path("projects/<str:project_id>/roles", roles.ProjectRolesView.as_view()),
    path("projects/<str:project_id>/roles/<str:role_id>", roles.ProjectRoleView.as_view()),
    path(
        "projects/<str:project_id>/users/<str:user_id>/roles", roles.ProjectUserRolesView.as_view()
    ),
    path("organization/invites", people.InvitesView.as_view()),
    path("organization/invites/<str:invite_id>", people.InviteView.as_view()),
    path("organization/groups", places.GroupsView.as_view()),
    path("organization/groups/<str:group_id>", places.GroupView.as_view()),
    path("organization/groups/<str:group_id>/users", places.GroupUsersView.as_view()),
    path("organization/groups/<str:group_id>/users/<str:user_id>", places.GroupUserView.as_view()),
    path("organization/admin_api_keys", keys.AdminKeysView.as_view()),
    path("organization/admin_api_keys/<str:key_id>", keys.AdminKeyView.as_view()),
    path("organization/audit_logs", audit_logs.AuditLogsView.as_view()),
    path("organization/costs", usage.CostsView.as_view()),
    *(
        path(f"organization/usage/{kind}", usage.UsageView.as_view(kind=kind))
        for kind in usage.KINDS
    ),
]
