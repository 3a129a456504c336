"""Somebody who wants in and has to prove their address, and which addresses had their trial."""

from __future__ import annotations

from django.db import models

from slipway.core.lifecycle import Lifecycle
from slipway.core.models import Record, Tracked


class Phase(models.TextChoices):
    #: The letter is not sent yet.
    ASKED = "asked"
    MAILED = "mailed"
    VERIFIED = "verified"


class SignUp(Tracked):
    """One asking; neither account nor organisation exists before its letter was answered."""

    LIFECYCLE = Lifecycle({Phase.ASKED: (Phase.MAILED,), Phase.MAILED: (Phase.VERIFIED,),
                           Phase.VERIFIED: ()}, resting=frozenset({Phase.MAILED}))  # fmt: skip

    email = models.EmailField(max_length=150)
    #: The name asked for; where it is taken another one like it is given.
    organisation = models.CharField(max_length=63)
    #: As Django keeps passwords; emptied when it has become the account's.
    password = models.CharField(max_length=128, blank=True, default="")
    #: HMAC of the letter's token; none before it is sent, and after it was used.
    digest = models.CharField(max_length=64, blank=True, default="", db_index=True)
    #: `<HMAC of the mailbox>:<hour>:<number>`: there are only so many for a mailbox in an hour.
    mailbox_turn = models.CharField(max_length=120, unique=True)
    #: The same for the network it came from.
    network_turn = models.CharField(max_length=120, unique=True)


class Trial(Record):
    """A mailbox that had its trial credit, as HMAC; kept for good, whoever leaves."""

    digest = models.CharField(max_length=64, unique=True)
