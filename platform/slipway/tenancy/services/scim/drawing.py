"""What SCIM calls users and groups here, and how this service describes itself."""

from __future__ import annotations

from typing import Annotated, Any

from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    EnterpriseUser,
    ETag,
    Filter,
    Group,
    GroupMember,
    Mutability,
    Patch,
    ResourceType,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    User,
)

UserResource = User[EnterpriseUser]


class Member(GroupMember):
    """Someone in a group; what they are called is asked of the user, not kept twice."""

    display: Annotated[str | None, Mutability.read_only] = None


class GroupResource(Group):
    """A group, whose people are users of this service."""

    members: list[Member] | None = None  # type: ignore[assignment]  # narrower, as RFC 7643 allows


#: Resources in one answer, at most.
MOST = 1000

_CONFIG = ServiceProviderConfig(
    patch=Patch(supported=True),
    bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
    filter=Filter(supported=True, max_results=MOST),
    change_password=ChangePassword(supported=False),
    sort=Sort(supported=True),
    etag=ETag(supported=False),
    authentication_schemes=[
        AuthenticationScheme(
            type=AuthenticationScheme.Type.oauthbearertoken,
            name="Bearer token",
            description="A SCIM token of the organisation, made under /api/v1/scim-tokens.",
            primary=True,
        )
    ],
)
SERVICE: Any = ScimProvider(
    models=[User, EnterpriseUser, GroupResource],
    resource_types=[
        ResourceType.from_resource(UserResource),
        ResourceType.from_resource(GroupResource),
    ],
    config=_CONFIG,
)
