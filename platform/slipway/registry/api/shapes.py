"""What goes over the wire: shapes of requests and answers about models."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from slipway.core.models import Event
from slipway.registry.models import (
    Export,
    ExportPhase,
    Form,
    Kind,
    Model,
    ModelVersion,
    Upload,
    VersionPhase,
)
from slipway.registry.services import exports, keeping, uploads


class ModelImportIn(serializers.Serializer[Any]):
    """Where the files are: exactly one of path, upload and uri."""

    name = serializers.CharField(max_length=63)
    path = serializers.CharField(
        required=False, max_length=4096, help_text="a directory on the platform's machine"
    )
    upload = serializers.UUIDField(required=False, help_text="id of a finished upload")
    uri = serializers.CharField(
        required=False, max_length=4096, help_text="a prefix of the object store"
    )
    base = serializers.CharField(
        required=False, default="", max_length=128,
        help_text="for a LoRA adapter: the version it was trained from (name@number or id)",
    )  # fmt: skip

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if sum(key in attrs for key in ("path", "upload", "uri")) != 1:
            raise serializers.ValidationError("give exactly one of path, upload and uri")
        return attrs


class ModelFileOut(serializers.Serializer[Any]):
    size_bytes = serializers.IntegerField()
    sha256 = serializers.CharField()


class ModelFaultOut(serializers.Serializer[Any]):
    """What is wrong with a file: where, which rule, what to do."""

    field = serializers.CharField()
    rule = serializers.CharField()
    value = serializers.CharField(allow_null=True)
    fix = serializers.CharField()


class ModelVersionOut(serializers.ModelSerializer[ModelVersion]):
    model = serializers.CharField(source="model.name")
    model_id = serializers.UUIDField()
    reference = serializers.SerializerMethodField(help_text="name@number")
    base_version_id = serializers.UUIDField(source="base_id", allow_null=True)
    phase = serializers.ChoiceField(VersionPhase.choices)
    kind = serializers.ChoiceField(Kind.choices)
    aliases = serializers.SerializerMethodField()

    class Meta:
        model = ModelVersion
        fields = [
            "id",
            "model",
            "model_id",
            "number",
            "reference",
            "kind",
            "phase",
            "reason",
            "base_version_id",
            "architecture",
            "dtype",
            "licence",
            "parameters",
            "size_bytes",
            "context_length",
            "vocabulary_size",
            "template_sha256",
            "sha256",
            "capabilities",
            "adapter",
            "metrics",
            "job_id",
            "dataset_version_id",
            "tracking_run",
            "aliases",
            "created_at",
            "binned_at",
        ]

    def get_reference(self, row: ModelVersion) -> str:
        return f"{row.model.name}@{row.number}"

    def get_aliases(self, row: ModelVersion) -> list[str]:
        return sorted(alias.name for alias in row.aliases.all())


class ModelVersionDetailOut(ModelVersionOut):
    files = serializers.DictField(child=ModelFileOut(), help_text="by path")
    faults = ModelFaultOut(many=True)
    notices = serializers.ListField(child=serializers.CharField())
    held_by = serializers.SerializerMethodField(help_text="who needs it, so it cannot be deleted")
    tracker_version = serializers.SerializerMethodField(
        help_text="its number in the tracker's registry; null until written there"
    )

    class Meta(ModelVersionOut.Meta):
        fields = [*ModelVersionOut.Meta.fields, "files", "faults", "notices", "held_by",
                  "tracker_version", "recipe"]  # fmt: skip

    def get_held_by(self, row: ModelVersion) -> list[str]:
        return keeping.holders(row)

    def get_tracker_version(self, row: ModelVersion) -> str | None:
        mirror = getattr(row, "mirror", None)
        return mirror.number or None if mirror else None


class ModelOut(serializers.ModelSerializer[Model]):
    versions = serializers.SerializerMethodField(help_text="how many there are")
    latest = serializers.SerializerMethodField(help_text="the newest version, ready or not")
    aliases = serializers.SerializerMethodField(help_text="alias to version number")

    class Meta:
        model = Model
        fields = ("id", "name", "created_at", "versions", "latest", "aliases")

    @staticmethod
    def _there(row: Model) -> list[ModelVersion]:
        gone = {VersionPhase.DELETED, VersionPhase.BINNED}
        return [version for version in row.versions.all() if version.phase not in gone]

    def get_versions(self, row: Model) -> int:
        return len(self._there(row))

    def get_latest(self, row: Model) -> dict[str, Any] | None:
        there = self._there(row)
        return (
            ModelVersionOut(max(there, key=lambda version: version.number)).data if there else None
        )

    def get_aliases(self, row: Model) -> dict[str, int]:
        return {alias.name: alias.version.number for alias in row.aliases.all()}


class ModelAliasIn(serializers.Serializer[Any]):
    version_id = serializers.UUIDField()


class ModelExportIn(serializers.Serializer[Any]):
    form = serializers.ChoiceField(Form.choices, default=Form.AS_IS)


class ModelExportOut(serializers.ModelSerializer[Export]):
    phase = serializers.ChoiceField(ExportPhase.choices)
    files = serializers.DictField(child=ModelFileOut(), help_text="by path in the tar")
    address = serializers.SerializerMethodField(help_text="GET it within the hour; empty before")

    class Meta:
        model = Export
        fields = [
            "id",
            "version_id",
            "form",
            "phase",
            "reason",
            "size_bytes",
            "sha256",
            "files",
            "address",
            "created_at",
        ]

    def get_address(self, row: Export) -> str:
        return exports.address(row)


class ModelUploadIn(serializers.Serializer[Any]):
    filename = serializers.CharField(max_length=255)
    size_bytes = serializers.IntegerField()


class ModelUploadPartOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    size_bytes = serializers.IntegerField()
    etag = serializers.CharField()


class ModelUploadOut(serializers.ModelSerializer[Upload]):
    parts = serializers.SerializerMethodField(help_text="how many parts to send")
    received = serializers.SerializerMethodField(help_text="parts that have arrived")

    class Meta:
        model = Upload
        fields = [
            "id",
            "filename",
            "size_bytes",
            "part_bytes",
            "parts",
            "received",
            "created_at",
            "finished_at",
        ]

    def get_parts(self, row: Upload) -> int:
        return uploads.count_parts(row)

    @extend_schema_field(ModelUploadPartOut(many=True))
    def get_received(self, row: Upload) -> list[dict[str, Any]]:
        return list(ModelUploadPartOut(uploads.received(row), many=True).data)


class ModelUploadAddressOut(serializers.Serializer[Any]):
    address = serializers.CharField(help_text="PUT the part's bytes there within the hour")


class ModelEventOut(serializers.ModelSerializer[Event]):
    class Meta:
        model = Event
        fields = ["id", "at", "level", "kind", "source", "target", "reason", "data"]
