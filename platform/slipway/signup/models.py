"""Letters: to who wants in, who forgot a password, who has an address; and who had a trial."""

from __future__ import annotations

from django.conf import settings
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


class About(models.TextChoices):
    #: Whoever reads it chooses a new password.
    FORGOTTEN = "forgotten"
    #: Whoever reads it has this address.
    ADDRESS = "address"


class LetterPhase(models.TextChoices):
    ASKED = "asked"
    MAILED = "mailed"
    #: Its link was used, and another letter tells of that.
    ANSWERED = "answered"
    DONE = "done"


class Letter(Tracked):
    """One letter with a link that works once, to the mailbox it is for and nobody else."""

    LIFECYCLE = Lifecycle(
        {LetterPhase.ASKED: (LetterPhase.MAILED, LetterPhase.DONE),
         LetterPhase.MAILED: (LetterPhase.ANSWERED,),
         LetterPhase.ANSWERED: (LetterPhase.DONE,), LetterPhase.DONE: ()},
        resting=frozenset({LetterPhase.MAILED}),
    )  # fmt: skip

    about = models.CharField(max_length=16, choices=About)
    email = models.EmailField(max_length=150)
    #: Whose address it would be; of who forgot a password nobody looks before the letter is sent.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+"
    )
    #: HMAC of the letter's token; none before it is sent, and after it was used.
    digest = models.CharField(max_length=64, blank=True, default="", db_index=True)
    #: As of those who sign up, and counted apart from them.
    mailbox_turn = models.CharField(max_length=120, unique=True)
    network_turn = models.CharField(max_length=120, unique=True)


class Trial(Record):
    """A mailbox that had its trial credit, as HMAC; kept for good, whoever leaves."""

    digest = models.CharField(max_length=64, unique=True)
