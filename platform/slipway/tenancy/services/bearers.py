"""Who a key is: asked with every request, so one statement answers it.

It says what `keys` and `principals` say of the same rows by Django's queries, which cost several
times as much to build as to answer; a test holds the two against each other. Nothing is kept from
one request to the next: what was revoked or taken away is so at once, in every process.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from slipway.core import tenants
from slipway.core.errors import Forbidden
from slipway.tenancy.models import Role
from slipway.tenancy.rules.networks import allowed_from
from slipway.tenancy.rules.secrets import LENT_PREFIX
from slipway.tenancy.services import grants
from slipway.tenancy.services.keys import digest_of
from slipway.tenancy.services.principals import Principal, levels_given, nearest_role

#: The key in force, whom it acts as and where, once for each role they have there (once without).
_WHO = """
SELECT {entering}, held.id, held.role, held.scopes, held.networks, place.id, place.organisation_id,
       maker.id, maker.username, maker.is_superuser,
       member.role, custom.levels, member.organisation_id
FROM tenancy_apikey AS held
JOIN tenancy_user AS maker ON maker.id = held.made_by_id AND maker.is_active
JOIN tenancy_project AS place ON place.id = held.project_id AND place.archived_at IS NULL
LEFT JOIN tenancy_membership AS member
  ON (member.project_id = place.id OR member.organisation_id = place.organisation_id)
  AND (member.user_id = maker.id OR member.group_id IS NOT NULL AND member.group_id IN
       (SELECT inside.group_id FROM tenancy_group_people AS inside WHERE inside.user_id = maker.id))
LEFT JOIN tenancy_customrole AS custom ON custom.id = member.custom_role_id
WHERE held.digest = %s AND held.revoked_at IS NULL
  AND (held.expires_at IS NULL OR held.expires_at > %s)
"""
_ASK = _WHO.format(entering="''")
#: Nobody but an administrator of the platform is ever let look beyond their organisation.
_ASK_AND_ENTER = _WHO.format(
    entering=tenants.entering(
        "CASE WHEN maker.is_superuser THEN '' ELSE CAST(place.organisation_id AS text) END"
    )
)


def check_key(
    *, secret: str, now: datetime, address: str | None = None, enter: bool = False
) -> Principal | None:
    """The principal a key stands for; None if it is unknown, expired, revoked or of a project in
    the bin. Forbidden if it may not be used from `address`.

    `enter` takes the request into the principal's organisation by the way, where the database has
    row policies and the person behind the key is held by them; see `core.tenants`.
    """
    enters = enter and connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        moment = connection.ops.adapt_datetimefield_value(now)
        cursor.execute(_ASK_AND_ENTER if enters else _ASK, [digest_of(secret), moment])
        rows = cursor.fetchall()
    if not rows:
        return None
    inside, key_id, scope, scopes, networks, project_id, organisation_id, *maker = rows[0][:10]
    if enters:
        tenants.entered(inside)
    user_id, user_name, everywhere = maker
    bound = json.loads(networks)
    lent = secret.startswith(LENT_PREFIX)
    if address is not None and not lent and not allowed_from(bound, address):
        raise Forbidden(
            f"This key may not be used from {address}; it is bound to {', '.join(bound)}."
        )
    given = [
        levels_given(role, custom and json.loads(custom), whole=organisation is not None)
        for role, custom, organisation in (row[10:] for row in rows)
        if role is not None
    ]
    if everywhere:
        given.append(grants.levels_of_role(Role.ADMIN))
    own = grants.levels_of_role(scope, json.loads(scopes))
    levels = grants.narrowest(own, grants.widest(given))
    return Principal(
        project_id=_id(project_id),
        organisation_id=_id(organisation_id),
        role=nearest_role(levels),
        user_id=user_id,
        user_name=user_name,
        levels=levels,
        key_id=_id(key_id),
    )


def _id(value: Any) -> UUID:
    """SQLite keeps ids as text."""
    return value if isinstance(value, UUID) else UUID(value)
