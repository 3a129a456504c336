"""What goes over the wire: requests and answers of the dataset routes."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from slipway.datasets.models import Dataset, ErrandPhase, Export, LeakCheck, Version
from slipway.datasets.services import edits
from slipway.datasets.services.facts import newest_of
from slipway_contracts.formats import LIMITS, Format

FORMATS = [(name.value, name.value) for name in Format]


class DatasetFormatOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    title_zh = serializers.CharField()
    example = serializers.CharField()
    suffix = serializers.CharField()
    cannot_carry = serializers.CharField()


class DatasetFormatsOut(serializers.Serializer[Any]):
    formats = DatasetFormatOut(many=True)
    compressions = serializers.ListField(child=serializers.CharField())
    limits = serializers.DictField(child=serializers.IntegerField())
    rules = serializers.DictField(child=serializers.CharField())


class DatasetIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=63)
    description = serializers.CharField(
        max_length=2000, default="", allow_blank=True, required=False
    )


class DatasetEditIn(serializers.Serializer[Any]):
    description = serializers.CharField(max_length=2000, allow_blank=True)


class DatasetLatestOut(serializers.ModelSerializer[Version]):
    class Meta:
        model = Version
        fields = ["id", "number", "phase", "reason", "rows"]


class DatasetOut(serializers.ModelSerializer[Dataset]):
    #: The newest version; null while there is none.
    latest = serializers.SerializerMethodField()

    class Meta:
        model = Dataset
        fields = ["id", "name", "description", "made_by", "latest", "created_at", "deleted_at"]

    @extend_schema_field(DatasetLatestOut(allow_null=True))
    def get_latest(self, dataset: Dataset) -> dict[str, Any] | None:
        found = self.context["newest"].get(dataset.pk)
        return None if found is None else DatasetLatestOut(found).data


def dataset(of: Dataset) -> dict[str, Any]:
    """One dataset as it is told."""
    return datasets([of])[0]


def datasets(of: list[Dataset]) -> list[dict[str, Any]]:
    """Datasets as they are told, each with its newest version."""
    return DatasetOut(of, many=True, context={"newest": newest_of(of)}).data


class DatasetVersionIn(serializers.Serializer[Any]):
    format = serializers.ChoiceField(FORMATS, default="", allow_blank=True, required=False)
    note = serializers.CharField(max_length=2000, default="", allow_blank=True, required=False)


class DatasetVersionOut(serializers.ModelSerializer[Version]):
    dataset_id = serializers.UUIDField()
    dataset = serializers.CharField(source="dataset.name")
    #: What needs this version, in words; it cannot be deleted meanwhile.
    used_by = serializers.SerializerMethodField()

    class Meta:
        model = Version
        fields = [
            "id",
            "dataset_id",
            "dataset",
            "number",
            "phase",
            "reason",
            "note",
            "made_by",
            "format",
            "kind",
            "source",
            "bytes_done",
            "rows_done",
            "rows",
            "size_bytes",
            "sha256",
            "fault_count",
            "faulty_rows",
            "dropped_rows",
            "warning_count",
            "faults_by_rule",
            "used_by",
            "created_at",
            "checked_at",
            "published_at",
        ]

    def get_used_by(self, version: Version) -> list[str]:
        return sorted(hold.holder for hold in version.holds.all())


class DatasetUploadIn(serializers.Serializer[Any]):
    size_bytes = serializers.IntegerField(min_value=0)
    filename = serializers.CharField(max_length=200, default="", allow_blank=True, required=False)


class DatasetPartOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    start = serializers.IntegerField()
    size_bytes = serializers.IntegerField()
    received = serializers.BooleanField()
    url = serializers.CharField()


class DatasetUploadOut(serializers.Serializer[Any]):
    version_id = serializers.UUIDField()
    size_bytes = serializers.IntegerField()
    part_size_bytes = serializers.IntegerField()
    received_bytes = serializers.IntegerField()
    expires_at = serializers.DateTimeField()
    parts = DatasetPartOut(many=True)


class DatasetImportIn(serializers.Serializer[Any]):
    path = serializers.CharField(max_length=4096, default="", allow_blank=True, required=False)
    url = serializers.CharField(max_length=4096, default="", allow_blank=True, required=False)


class DatasetEventOut(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    level = serializers.CharField()
    kind = serializers.CharField()
    source = serializers.CharField()
    target = serializers.CharField()
    reason = serializers.CharField()


class DatasetFaultOut(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    path = serializers.CharField()
    rule = serializers.CharField()
    text = serializers.CharField()
    value = serializers.CharField()
    fix = serializers.CharField()
    fixed = serializers.BooleanField()
    error = serializers.BooleanField()
    file = serializers.CharField()


class DatasetFaultsOut(serializers.Serializer[Any]):
    data = DatasetFaultOut(many=True)
    next_cursor = serializers.CharField(allow_null=True)
    fault_count = serializers.IntegerField()
    warning_count = serializers.IntegerField()
    #: Faults beyond this many are counted but not kept.
    stored_at_most = serializers.IntegerField(default=LIMITS.max_stored_faults)
    by_rule = serializers.DictField(child=serializers.IntegerField())


class DatasetRowOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    row = serializers.JSONField()


class DatasetRowsOut(serializers.Serializer[Any]):
    data = DatasetRowOut(many=True)
    next_cursor = serializers.CharField(allow_null=True)
    rows = serializers.IntegerField()


class DatasetSummaryOut(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    sum = serializers.IntegerField()
    min = serializers.IntegerField(required=False)
    p5 = serializers.IntegerField(required=False)
    median = serializers.IntegerField(required=False)
    p95 = serializers.IntegerField(required=False)
    mean = serializers.FloatField(required=False)
    max = serializers.IntegerField(required=False)


class DatasetBarOut(serializers.Serializer[Any]):
    low = serializers.IntegerField()
    high = serializers.IntegerField()
    rows = serializers.IntegerField()


class DatasetStatisticsOut(serializers.Serializer[Any]):
    rows = serializers.IntegerField()
    size_bytes = serializers.IntegerField()
    characters = DatasetSummaryOut()
    lengths = DatasetBarOut(many=True, help_text="Rows by characters, in bars of one width.")
    messages = DatasetSummaryOut()
    duplicate_rows = serializers.IntegerField()
    groups = serializers.DictField(child=serializers.IntegerField())


class DatasetEditRowIn(serializers.Serializer[Any]):
    row = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=0, help_text="Checked row, from 0."
    )
    line = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1,
        help_text="Line of the file as it came, from 1.",
    )  # fmt: skip
    text = serializers.CharField(
        allow_null=True, trim_whitespace=False, max_length=LIMITS.max_row_bytes,
        required=False, default=None,
        help_text="The whole new line of JSON; null removes the old one.",
    )  # fmt: skip


class DatasetEditsIn(serializers.Serializer[Any]):
    edits = DatasetEditRowIn(many=True, allow_empty=False, max_length=edits.MOST)


class DatasetLineOut(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    text = serializers.CharField()


class DatasetDifferenceOut(serializers.Serializer[Any]):
    row = serializers.IntegerField(allow_null=True)
    other_row = serializers.IntegerField(allow_null=True)
    value = serializers.JSONField(allow_null=True)
    other_value = serializers.JSONField(allow_null=True)


class DatasetDiffOut(serializers.Serializer[Any]):
    same = serializers.IntegerField()
    added_count = serializers.IntegerField()
    removed_count = serializers.IntegerField()
    changed_count = serializers.IntegerField()
    added = DatasetDifferenceOut(many=True)
    removed = DatasetDifferenceOut(many=True)
    changed = DatasetDifferenceOut(many=True)


class DatasetDownloadOut(serializers.Serializer[Any]):
    url = serializers.CharField()
    expires_at = serializers.DateTimeField()
    filename = serializers.CharField()
    size_bytes = serializers.IntegerField()


class DatasetSplitIn(serializers.Serializer[Any]):
    ratio = serializers.FloatField(required=False, allow_null=True, default=None)
    count = serializers.IntegerField(required=False, allow_null=True, default=None)
    seed = serializers.IntegerField(default=0, min_value=0, max_value=2**31 - 1, required=False)
    by_group = serializers.BooleanField(default=False, required=False)


class DatasetLeaksIn(serializers.Serializer[Any]):
    other = serializers.UUIDField()
    threshold = serializers.FloatField(default=0.8, required=False)
    scope = serializers.ChoiceField(
        [("prompt", "prompt"), ("row", "row")], default="prompt", required=False
    )


class DatasetLeakPairOut(serializers.Serializer[Any]):
    row = serializers.IntegerField()
    other_row = serializers.IntegerField()
    similarity = serializers.FloatField()
    text = serializers.CharField()
    other_text = serializers.CharField()


class DatasetLeakCheckOut(serializers.ModelSerializer[LeakCheck]):
    phase = serializers.ChoiceField(ErrandPhase.choices)
    version_id = serializers.UUIDField()
    other_id = serializers.UUIDField()
    pairs = DatasetLeakPairOut(many=True)

    class Meta:
        model = LeakCheck
        fields = [
            "id",
            "phase",
            "reason",
            "version_id",
            "other_id",
            "threshold",
            "scope",
            "pair_count",
            "leaking_rows",
            "pairs",
            "created_at",
        ]


class DatasetSplitOut(serializers.Serializer[Any]):
    train = DatasetVersionOut()
    held_out = DatasetVersionOut()
    leaks = DatasetLeakCheckOut()


class DatasetExportIn(serializers.Serializer[Any]):
    format = serializers.ChoiceField(FORMATS)


class DatasetExportOut(serializers.ModelSerializer[Export]):
    phase = serializers.ChoiceField(ErrandPhase.choices)
    version_id = serializers.UUIDField()
    format = serializers.ChoiceField(FORMATS)
    faults = DatasetFaultOut(many=True)
    #: Null until the phase is done; fresh each time it is asked.
    download = DatasetDownloadOut(allow_null=True)

    class Meta:
        model = Export
        fields = [
            "id",
            "phase",
            "reason",
            "version_id",
            "format",
            "rows",
            "size_bytes",
            "faults",
            "download",
            "created_at",
        ]
