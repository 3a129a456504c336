"""Users and groups of SCIM on top of people and groups of an organisation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q
from scim2_models import InvalidValueException, Meta, NotFoundException, UniquenessException

from slipway.editions import services as editions
from slipway.tenancy.models import Group, Membership, Provisioned, User
from slipway.tenancy.services.scim.drawing import GroupResource, UserResource
from slipway.tenancy.services.signon.joining import free_name

_NOT_KEPT = {"id", "meta", "groups", "password"}


class Users:
    """People whom a directory provisions; those of other origin are not its business."""

    resource: ClassVar[Any] = UserResource
    name = "User"
    #: Attribute of a filter to the column that answers it at once.
    columns: ClassVar = {"username": "user_name", "externalid": "external_id"}

    def __init__(self, organisation_id: UUID, base: str, now: datetime) -> None:
        self.organisation_id, self.base, self.now = organisation_id, base, now

    def rows(self) -> Any:
        mine = Provisioned.objects.filter(organisation_id=self.organisation_id)
        return mine.select_related("user").order_by("created_at", "pk")

    def drawn(self, rows: Sequence[Provisioned]) -> list[Any]:
        """Rows as SCIM draws them, with the groups they are in."""
        inside: dict[int, list[dict[str, str]]] = {}
        links = Group.people.through.objects.filter(user_id__in=[row.user_id for row in rows])
        for user_id, key, name in (
            links.filter(group__organisation_id=self.organisation_id)
            .order_by("group__name", "group_id")
            .values_list("user_id", "group_id", "group__name")
        ):
            group = {"value": str(key), "$ref": f"{self.base}/Groups/{key}", "display": name,
                     "type": "direct"}  # fmt: skip
            inside.setdefault(user_id, []).append(group)
        return [
            self.resource.model_validate(
                row.data
                | {"id": str(row.pk)}
                # Ended here or there, it shows; what was never said is not made up.
                | ({"active": row.user.is_active} if _says_active(row) else {})
                | ({"groups": inside[row.user_id]} if row.user_id in inside else {})
                | {"meta": _meta(self, row.pk, row.created_at, row.changed_at)}
            )
            for row in rows
        ]

    @transaction.atomic
    def create(self, drawn: Any) -> Provisioned:
        user = User(username=free_name(drawn.user_name), email=_mail(drawn))
        user.set_unusable_password()
        if drawn.active is not False:
            _check_seat()
        user.save()
        row = Provisioned(organisation_id=self.organisation_id, user=user, changed_at=self.now)
        self.write(row, drawn)
        return row

    @transaction.atomic
    def write(self, row: Provisioned, drawn: Any) -> None:
        """What is not active can do nothing from now on: keys, sessions and sign-ons end."""
        row.user_name, row.external_id = drawn.user_name.lower(), drawn.external_id or ""
        row.data = {
            name: value for name, value in drawn.model_dump().items() if name not in _NOT_KEPT
        }
        row.changed_at = self.now
        if len(row.user_name) > 255 or len(row.external_id) > 255:
            raise InvalidValueException(detail="userName and externalId: at most 255 characters")
        active, name = drawn.active is not False, drawn.name
        if active and not row.user.is_active:
            _check_seat()
        row.user.is_active, row.user.email = active, _mail(drawn)
        row.user.first_name = (getattr(name, "given_name", "") or "")[:150]
        row.user.last_name = (getattr(name, "family_name", "") or "")[:150]
        row.user.save(update_fields=["is_active", "email", "first_name", "last_name"])
        try:
            with transaction.atomic():
                row.save()
        except IntegrityError as error:
            raise UniquenessException(
                detail=f"userName {drawn.user_name!r} is taken in this organisation"
            ) from error

    @transaction.atomic
    def delete(self, row: Provisioned) -> None:
        """The account ends and belongs to nothing; what the person made stays."""
        here = Q(organisation_id=self.organisation_id) | Q(
            project__organisation_id=self.organisation_id
        )
        Membership.objects.filter(here, user_id=row.user_id).delete()
        for group in Group.objects.filter(
            organisation_id=self.organisation_id, people=row.user_id
        ).order_by("pk"):
            group.people.remove(row.user_id)
        User.objects.filter(pk=row.user_id).update(is_active=False)
        row.delete()


class Groups:
    """Groups of the organisation; of their people those whom the directory provisions."""

    resource: ClassVar[Any] = GroupResource
    name = "Group"
    columns: ClassVar = {"externalid": "external_id"}

    def __init__(self, organisation_id: UUID, base: str, now: datetime) -> None:
        self.organisation_id, self.base, self.now = organisation_id, base, now

    def rows(self) -> Any:
        mine = Group.objects.filter(organisation_id=self.organisation_id)
        return mine.order_by("created_at", "pk")

    def drawn(self, rows: Sequence[Group]) -> list[Any]:
        """Rows as SCIM draws them."""
        links = Group.people.through.objects.filter(group_id__in=[row.pk for row in rows])
        inside: dict[UUID, list[int]] = {}
        for key, user_id in links.order_by("pk").values_list("group_id", "user_id"):
            inside.setdefault(key, []).append(user_id)
        people = {
            row.user_id: row
            for row in Provisioned.objects.filter(
                organisation_id=self.organisation_id,
                user_id__in={user_id for ids in inside.values() for user_id in ids},
            )
        }
        drawn = []
        for row in rows:
            members = [
                {"value": str(people[key].pk), "$ref": f"{self.base}/Users/{people[key].pk}",
                 "type": "User"}
                for key in inside.get(row.pk, []) if key in people
            ]  # fmt: skip
            told = {"id": str(row.pk), "displayName": row.name}
            told |= {"externalId": row.external_id} if row.external_id else {}
            told |= {"members": members} if members else {}
            told |= {"meta": _meta(self, row.pk, row.created_at, row.created_at)}
            drawn.append(self.resource.model_validate(told))
        return drawn

    @transaction.atomic
    def create(self, drawn: Any) -> Group:
        row = Group(organisation_id=self.organisation_id)
        self.write(row, drawn)
        return row

    @transaction.atomic
    def write(self, row: Group, drawn: Any) -> None:
        """Who is in it by now gets its roles at once, who is not loses them."""
        row.name, row.external_id = drawn.display_name or "", drawn.external_id or ""
        if not 0 < len(row.name) <= 255 or len(row.external_id) > 255:
            raise InvalidValueException(detail="displayName: 1 to 255 characters")
        wanted = self._people(member.value for member in drawn.members or [])
        try:
            with transaction.atomic():
                row.save()
        except IntegrityError as error:
            raise UniquenessException(
                detail=f"displayName {row.name!r} is taken in this organisation"
            ) from error
        theirs = Provisioned.objects.filter(organisation_id=self.organisation_id)
        had = set(row.people.filter(pk__in=theirs.values("user_id")).values_list("pk", flat=True))
        row.people.remove(*(had - wanted))
        row.people.add(*(wanted - had))

    def delete(self, row: Group) -> None:
        row.delete()

    def _people(self, ids: Iterable[str | None]) -> set[int]:
        wanted = set()
        for text in ids:
            try:
                wanted.add(UUID(str(text)))
            except ValueError as error:
                raise InvalidValueException(
                    detail=f"members: {str(text)[:80]!r} is no user"
                ) from error
        here = Provisioned.objects.filter(organisation_id=self.organisation_id, pk__in=wanted)
        found = dict(here.values_list("pk", "user_id"))
        if missing := wanted - set(found):
            raise InvalidValueException(
                detail=f"members: {min(map(str, missing))!r} is no user of this organisation"
            )
        return set(found.values())


def one(kind: Users | Groups, text: str) -> Any:
    """The row of that id; SCIM's 404 for another organisation's, or none at all."""
    try:
        row = kind.rows().filter(pk=UUID(text)).first()
    except ValueError:
        row = None
    if row is None:
        raise NotFoundException(detail=f"{kind.name} {text[:80]!r} is not here")
    return row


def _says_active(row: Provisioned) -> bool:
    return "active" in row.data or not row.user.is_active


def _meta(kind: Users | Groups, key: UUID, made: datetime, changed: datetime) -> dict[str, Any]:
    told = Meta(
        resource_type=kind.name, created=made, last_modified=changed,
        location=f"{kind.base}/{kind.name}s/{key}",
    )  # fmt: skip
    return dict(told.model_dump())


def _mail(drawn: Any) -> str:
    mails = drawn.emails or []
    first = next((mail for mail in mails if mail.primary), mails[0] if mails else None)
    return str(first.value or "")[:254] if first else ""


def _check_seat() -> None:
    people = User.objects.filter(serves=None, is_active=True).count()
    editions.check_room(what="seats", used=people + 1)
