"""Pools of machines and projects' shares of them."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway import backends
from slipway.backends.compute import ComputeUnavailable
from slipway.backends.queues import Amounts, Standing, Use
from slipway.capacity.models import Pool, Share
from slipway.capacity.services import pools, queues
from slipway.core.editing import Guarded
from slipway.core.http import Named
from slipway.tenancy.services import Level

_MOST = 10_000_000


class AmountsIn(serializers.Serializer[Any]):
    cpus = serializers.IntegerField(min_value=0, max_value=_MOST, default=0)
    memory_gib = serializers.IntegerField(min_value=0, max_value=_MOST, default=0)
    gpus = serializers.IntegerField(min_value=0, max_value=_MOST, default=0)


class AmountsOut(serializers.Serializer[Any]):
    cpus = serializers.IntegerField()
    memory_gib = serializers.IntegerField()
    gpus = serializers.IntegerField()


class PoolChange(AmountsIn):
    node_labels = serializers.DictField(
        child=serializers.CharField(max_length=63, allow_blank=True),
        default=dict,
        help_text="Labels of the pool's nodes; none is all nodes.",
    )


class PoolIn(PoolChange):
    name = serializers.CharField(max_length=40)


class PoolOut(AmountsOut):
    id = serializers.UUIDField()
    name = serializers.CharField()
    node_labels = serializers.DictField(child=serializers.CharField())
    left = serializers.SerializerMethodField(help_text="Not in any share: for who asks first.")

    @extend_schema_field(AmountsOut)
    def get_left(self, pool: Pool) -> dict[str, int]:
        return vars(pools.amounts_of(pool) - pools.given_out(pool))


class ShareIn(serializers.Serializer[Any]):
    cpus = serializers.IntegerField(
        min_value=0, max_value=_MOST, required=False, help_text="As many as go with the GPUs."
    )
    memory_gib = serializers.IntegerField(
        min_value=0, max_value=_MOST, required=False, help_text="As much as goes with the GPUs."
    )
    gpus = serializers.IntegerField(min_value=0, max_value=_MOST, default=0)
    borrows = serializers.BooleanField(
        default=True, help_text="Whether the project may also use what others leave."
    )


class UseOut(serializers.Serializer[Any]):
    used = AmountsOut()
    borrowed = AmountsOut(help_text="The part of it beyond the own share.")


class ShareOut(AmountsOut):
    project_id = serializers.UUIDField()
    borrows = serializers.BooleanField()
    use = UseOut(help_text="Now, as the cluster's queue says.")


class OwnOut(ShareOut):
    pool = PoolOut()


class MachineOut(AmountsOut):
    pass


class CapacityOut(serializers.Serializer[Any]):
    queues = serializers.BooleanField(help_text="Whether pools can be made here.")
    behind = serializers.ListField(
        child=serializers.CharField(), help_text="What the cluster has not been told yet, and why."
    )
    machine = MachineOut(allow_null=True, help_text="The one machine; null on a cluster.")
    pools = OwnOut(many=True, help_text="Every pool, and this project's part of it.")
    waiting = serializers.IntegerField(help_text="Workloads of this project in the queue.")
    running = serializers.IntegerField(help_text="Workloads of this project that were let in.")


def _share(pool: Pool, project_id: UUID, share: Share | None, stands: Standing | None) -> Any:
    """A share as it is shown; without one a project may use what is left."""
    use = stands.uses.get(pool.name) if stands else None
    return {
        **vars(pools.amounts_of(share) if share else Amounts()),
        "project_id": project_id,
        "borrows": share.borrows if share else True,
        "use": use or Use(),
        "pool": pool,
    }


class CapacityView(GenericAPIView[Any]):
    """What there is, what of it is this project's own, and what it uses now."""

    module = "usage"
    serializer_class = CapacityOut

    def get(self, request: Request) -> Response:
        project_id = request.user.project_id
        stands = queues.standing().get(queues.short(project_id))
        rows = Pool.objects.order_by("created_at", "pk").prefetch_related("shares")
        own = [
            _share(
                pool,
                project_id,
                next((s for s in pool.shares.all() if s.project_id == project_id), None),
                stands,
            )
            for pool in rows
        ]
        found = {
            "queues": backends.queues() is not None,
            "behind": queues.behind(),
            "machine": _machine(),
            "pools": own,
            "waiting": stands.waiting if stands else 0,
            "running": stands.running if stands else 0,
        }
        return Response(CapacityOut(found).data)


def _machine() -> Amounts | None:
    try:
        room = backends.compute().room()
    except ComputeUnavailable:
        return None
    if room is None:
        return None
    return Amounts(cpus=room.cpus, memory_gib=room.memory_bytes >> 30, gpus=room.gpus)


class PoolsView(GenericAPIView[Any]):
    """Pools, in the order they are tried."""

    serializer_class = PoolOut
    pagination_class = Named
    queryset = Pool.objects.none()

    @extend_schema(responses=PoolOut(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(Pool.objects.prefetch_related("shares"))
        return self.get_paginated_response(PoolOut(page, many=True).data)

    @extend_schema(request=PoolIn, responses={201: PoolOut})
    def post(self, request: Request) -> Response:
        given = PoolIn(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        pool = pools.make_pool(
            name=asked["name"], node_labels=asked["node_labels"], amounts=_amounts(asked)
        )
        return Response(PoolOut(pool).data, status=201)


class PoolView(Guarded):
    guarded = ("node_labels", *pools.AMOUNTS)
    serializer_class = PoolOut

    def get(self, request: Request, pool_id: UUID) -> Response:
        return Response(PoolOut(pools.pool(pool_id=pool_id)).data)

    @extend_schema(request=PoolChange, responses=PoolOut)
    def put(self, request: Request, pool_id: UUID) -> Response:
        given = PoolChange(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        pool = pools.change_pool(
            pool_id=pool_id, node_labels=asked["node_labels"], amounts=_amounts(asked)
        )
        return Response(PoolOut(pool).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pool_id: UUID) -> Response:
        """Nothing new is let in there; what runs ends as it would."""
        pools.remove_pool(pool_id=pool_id)
        return Response(status=204)


class SharesView(GenericAPIView[Any]):
    """Every project's share of a pool, with what it uses and borrows now."""

    serializer_class = ShareOut
    queryset = Share.objects.none()

    @extend_schema(responses=ShareOut(many=True))
    def get(self, request: Request, pool_id: UUID) -> Response:
        pool = pools.pool(pool_id=pool_id)
        page = self.paginate_queryset(pool.shares.all()) or []
        stands = queues.standing()
        shown = [
            _share(pool, each.project_id, each, stands.get(queues.short(each.project_id)))
            for each in page
        ]
        return self.get_paginated_response(ShareOut(shown, many=True).data)


class ShareView(GenericAPIView[Any]):
    levels: ClassVar = {"DELETE": Level.OPERATE}
    serializer_class = ShareOut

    @extend_schema(request=ShareIn, responses=ShareOut)
    def put(self, request: Request, pool_id: UUID, project_id: UUID) -> Response:
        """What a project is sure of; a queue that ran over its share gives back as runs end."""
        given = ShareIn(data=request.data)
        given.is_valid(raise_exception=True)
        asked = dict(given.validated_data)
        borrows = asked.pop("borrows")
        share = pools.set_share(
            pool_id=pool_id, project_id=project_id, asked=asked, borrows=borrows
        )
        stands = queues.standing().get(queues.short(project_id))
        return Response(ShareOut(_share(share.pool, project_id, share, stands)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pool_id: UUID, project_id: UUID) -> Response:
        pools.drop_share(pool_id=pool_id, project_id=project_id)
        return Response(status=204)


def _amounts(asked: dict[str, Any]) -> Amounts:
    return Amounts(**{name: asked[name] for name in pools.AMOUNTS})
