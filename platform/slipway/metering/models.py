"""The usage ledger: one row per request that was let in, added once and never changed."""

from __future__ import annotations

from django.db import models

from slipway.core.models import Record


class UsageRecord(Record):
    """What one request used. `created_at` is when it came in, so pages are in that order."""

    #: `req_…`, as in the `x-request-id` of its answer.
    request_id = models.CharField(max_length=64, unique=True)
    project_id = models.UUIDField()
    key_id = models.UUIDField()
    deployment_id = models.UUIDField()
    #: The model version that answered, even if the deployment has been swapped since.
    version_id = models.UUIDField()
    model = models.CharField(max_length=256)
    endpoint = models.CharField(max_length=64)
    #: HTTP status; 499 where the client went away before the end.
    status = models.PositiveSmallIntegerField()
    stream = models.BooleanField()
    prompt_tokens = models.PositiveIntegerField()
    completion_tokens = models.PositiveIntegerField()
    #: The engine never said what it used: the tokens are the gateway's count.
    estimated = models.BooleanField()
    latency_ms = models.FloatField()
    first_byte_ms = models.FloatField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["project_id", "created_at", "id"], name="usage_by_project"),
        ]


class SpoolFile(models.Model):
    """How far a spool file has been taken in; moves in the same transaction as its records."""

    name = models.CharField(max_length=128, primary_key=True)
    offset_bytes = models.PositiveBigIntegerField(default=0)
    seen_at = models.DateTimeField()


class Kind(models.TextChoices):
    """What costs. Quantities are whole numbers of the unit in the name."""

    REQUESTS = "requests"
    PROMPT_TOKENS = "prompt_tokens"
    COMPLETION_TOKENS = "completion_tokens"
    EMBEDDING_TOKENS = "embedding_tokens"
    TRAINING_TOKENS = "training_tokens"
    CPU_MILLISECONDS = "cpu_milliseconds"
    GPU_MILLISECONDS = "gpu_milliseconds"
    STORAGE_MIB_HOURS = "storage_mib_hours"
    #: Of replicas, where a subscription has paid for them.
    PAID_MILLISECONDS = "paid_milliseconds"
    #: Millionths of the currency: what a subscription costs for a term.
    PLAN_FEE = "plan_fee"


#: What books price. The others cost what they are: nothing more, and themselves.
PRICED = [
    (value, label)
    for value, label in Kind.choices
    if value not in {Kind.PAID_MILLISECONDS, Kind.PLAN_FEE}
]


class Entry(Record):
    """The ledger's other half: what was used beside requests, added once and never changed."""

    #: Names the use for ever (`job:<id>:2:cpu_milliseconds`), so that counting it twice is once.
    key = models.CharField(max_length=160, unique=True)
    project_id = models.UUIDField()
    key_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=32, choices=Kind)
    quantity = models.PositiveBigIntegerField()
    model = models.CharField(max_length=256)
    #: What used it, such as `training job <id>`.
    subject = models.CharField(max_length=160)

    class Meta:
        indexes = [models.Index(fields=["project_id", "created_at"], name="entry_by_project")]


class Rollup(models.Model):
    """Sums of the ledger per hour; grows in the transaction that adds to the ledger."""

    hour = models.DateTimeField()
    project_id = models.UUIDField()
    #: The zero UUID where no key stands behind the use.
    key_id = models.UUIDField()
    model = models.CharField(max_length=256)
    kind = models.CharField(max_length=32, choices=Kind)
    quantity = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "hour", "key_id", "model", "kind"], name="rollup_once"
            )
        ]


class PriceBook(Record):
    """Prices valid from a whole hour on, until a newer book of the same reach begins."""

    name = models.CharField(max_length=63)
    #: Null for everybody; a book of an organisation's own goes before the general one.
    organisation_id = models.UUIDField(null=True)
    valid_from = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation_id", "valid_from"],
                nulls_distinct=False,
                name="one_book_begins_at_a_time",
            )
        ]


class Price(models.Model):
    """`amount` for every `per` units of a kind; the model's own before that of any model."""

    book = models.ForeignKey(PriceBook, on_delete=models.CASCADE, related_name="prices")
    kind = models.CharField(max_length=32, choices=Kind)
    #: Empty for any model.
    model = models.CharField(max_length=256, blank=True, default="")
    amount = models.DecimalField(max_digits=15, decimal_places=6)
    per = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["book", "kind", "model"], name="price_once")]


class Budget(Record):
    """What an organisation, a project or a key may cost, per month or in all."""

    class Reach(models.TextChoices):
        ORGANISATION = "organisation"
        PROJECT = "project"
        KEY = "key"

    class Period(models.TextChoices):
        MONTH = "month"
        TOTAL = "total"

    organisation_id = models.UUIDField()
    reach = models.CharField(max_length=16, choices=Reach)
    #: Id of the organisation, project or key.
    target_id = models.UUIDField()
    period = models.CharField(max_length=8, choices=Period)
    limit = models.DecimalField(max_digits=15, decimal_places=6)
    #: Work is refused at the limit; if not hard, only alerts are raised.
    hard = models.BooleanField(default=True)
    #: Percentages at which an alert is raised, once per period.
    alert_at = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reach", "target_id", "period"], name="budget_once")
        ]


class Alert(Record):
    """A budget has reached one of its percentages."""

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="+")
    percent = models.PositiveIntegerField()
    period_start = models.DateTimeField()
    spent = models.DecimalField(max_digits=15, decimal_places=6)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["budget", "percent", "period_start"], name="alert_once")
        ]


class SpendAlert(Record):
    """People are mailed once the month's spending of organisation or project is so much."""

    organisation_id = models.UUIDField(db_index=True)
    #: Null for all of the organisation.
    project_id = models.UUIDField(null=True)
    amount = models.DecimalField(max_digits=17, decimal_places=2)
    #: Mail addresses.
    recipients = models.JSONField()
    subject_prefix = models.CharField(max_length=100, blank=True, default="")


class Reservation(Record):
    """Money set aside for work that was accepted and has not ended."""

    subject = models.CharField(max_length=160, unique=True)
    project_id = models.UUIDField()
    organisation_id = models.UUIDField()
    key_id = models.UUIDField(null=True)
    amount = models.DecimalField(max_digits=15, decimal_places=6)
    released_at = models.DateTimeField(null=True)


class Credit(Record):
    """Money an organisation paid in advance; with any, it cannot spend more than it paid."""

    organisation_id = models.UUIDField(db_index=True)
    amount = models.DecimalField(max_digits=15, decimal_places=6)
    note = models.CharField(max_length=200, blank=True, default="")
    made_by = models.CharField(max_length=150)
