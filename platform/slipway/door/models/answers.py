"""Answers that are kept, so that they can be told again, gone on with or judged."""

from __future__ import annotations

from django.db import models

from slipway.core.models import Record


class Asked(Record):
    """A POST that was answered, so that its repetition gets the same answer and does nothing."""

    project_id = models.UUIDField()
    #: Path and Idempotency-Key, or path and what was asked, by SHA-256.
    name = models.CharField(max_length=64)
    request_sha256 = models.CharField(max_length=64)
    #: Null while the first one is still at work.
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project_id", "name"], name="asked_once")]


class Conversation(Record):
    """Items that responses take up and go on with, until it is deleted."""

    project_id = models.UUIDField(db_index=True)
    metadata = models.JSONField(null=True)


class ConversationItem(models.Model):
    """One item; in the order of their keys."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="items")
    #: `msg_…`, `fc_…`: unique in its conversation.
    name = models.CharField(max_length=128)
    body = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["conversation", "name"], name="conversation_item_once")
        ]


class Response(Record):
    """A model response that may be asked for again, or continued by another."""

    project_id = models.UUIDField()
    #: The response object as it was answered.
    body = models.JSONField()
    #: Items it was given itself, each with an id; those of the responses before it not included.
    input_items = models.JSONField(default=list)
    previous = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="+")
    #: In the background: when the process that makes it last said so; null once it has ended.
    beaten_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="response_by_age")]


class ResponseEvents(models.Model):
    """Some events of a response made in the background, as they were told."""

    response = models.ForeignKey(Response, on_delete=models.CASCADE, related_name="events")
    #: `sequence_number` of the first; the others follow.
    first = models.PositiveIntegerField()
    text = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["response", "first"], name="response_events_once")
        ]


class StoredCompletion(Record):
    """A chat completion whose request said `store`; written after the answer, once."""

    project_id = models.UUIDField()
    #: `chatcmpl-…`, as in the answer.
    name = models.CharField(max_length=128)
    #: `req_…`; unique for ever, so that taking it in twice is once.
    request_id = models.CharField(max_length=64, unique=True)
    model = models.CharField(max_length=256)
    metadata = models.JSONField(null=True)
    #: The completion as it was answered, and what it was asked with.
    body = models.JSONField()
    messages = models.JSONField(default=list)
    settings = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project_id", "name"], name="completion_name_once")
        ]
        indexes = [
            models.Index(fields=["project_id", "created_at", "id"], name="completion_by_project"),
            models.Index(fields=["created_at"], name="completion_by_age"),
        ]


class CompletionSpool(Record):
    """How far a spool file of completions has been taken in; moves along with their rows."""

    name = models.CharField(max_length=128, unique=True)
    offset_bytes = models.PositiveBigIntegerField(default=0)


class ModerationPolicy(Record):
    """By what a project's texts are judged."""

    project_id = models.UUIDField(unique=True)
    made_by = models.CharField(max_length=150, blank=True, default="")
    #: A chat model that is asked; empty for none.
    model = models.CharField(max_length=256, blank=True, default="")
    #: A category is flagged from this score on.
    threshold = models.FloatField(default=0.5)
    #: Words and phrases by category.
    words = models.JSONField(default=dict)
