"""The health page: open to anyone, tells nothing about anyone."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import permissions, serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from slipway.capacity import services


class PartOut(serializers.Serializer[Any]):
    ready = serializers.BooleanField()
    reason = serializers.CharField(help_text="What it waits for, when it is not ready.")


class HealthOut(serializers.Serializer[Any]):
    database = PartOut()
    compute = PartOut()


class HealthView(APIView):
    """Whether the platform answers, and whether compute can take work yet."""

    authentication_classes: ClassVar[list[Any]] = []
    permission_classes: ClassVar = [permissions.AllowAny]

    @extend_schema(responses=HealthOut)
    def get(self, request: Request) -> Response:
        health = services.health()
        return Response(HealthOut(health).data, status=200 if health.database.ready else 503)


class InstallationOut(serializers.Serializer[Any]):
    """What is there in all; null while compute does not say."""

    disk_bytes = serializers.IntegerField(help_text="Of the disk that SLIPWAY_HOME is on.")
    disk_free_bytes = serializers.IntegerField()
    gpus = serializers.IntegerField(allow_null=True)
    cpus = serializers.IntegerField(allow_null=True)
    memory_bytes = serializers.IntegerField(allow_null=True)


class MachineView(GenericAPIView[Any]):
    """Disk, GPUs, processors and memory of the installation, for who looks after it."""

    serializer_class = InstallationOut

    @extend_schema(responses=InstallationOut)
    def get(self, request: Request) -> Response:
        return Response(InstallationOut(services.machine()).data)
