"""Who am I, who else is here, and what may they do."""

from __future__ import annotations

from django.urls import path

from slipway.tenancy.api import keys, people, places, session, teams

urlpatterns = [
    path("session", session.SessionView.as_view()),
    path("me", session.MeView.as_view()),
    path("access/explain", session.ExplainView.as_view()),
    path("access/modules", session.ModulesView.as_view()),
    path("keys", keys.KeysView.as_view()),
    path("keys/<uuid:key_id>", keys.KeyView.as_view()),
    path("keys/<uuid:key_id>/rotate", keys.RotateView.as_view()),
    path("members", people.MembersView.as_view()),
    path("members/<uuid:member_id>", people.MemberView.as_view()),
    path("invites", people.InvitesView.as_view()),
    path("invites/accept", people.AcceptView.as_view()),
    path("invites/<uuid:invite_id>", people.InviteView.as_view()),
    path("service-accounts", people.AccountsView.as_view()),
    path("service-accounts/<int:account_id>", people.AccountView.as_view()),
    path("organisations", places.OrganisationsView.as_view()),
    path("projects", places.ProjectsView.as_view()),
    path("projects/<uuid:project_id>", places.ProjectView.as_view()),
    path("projects/<uuid:project_id>/restore", places.RestoreView.as_view()),
    path("groups", teams.GroupsView.as_view()),
    path("groups/<uuid:group_id>", teams.GroupView.as_view()),
    path("roles", teams.RolesView.as_view()),
    path("roles/<uuid:role_id>", teams.RoleView.as_view()),
]
