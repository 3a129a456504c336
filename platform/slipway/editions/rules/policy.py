"""All that editions differ in: one table. No other module asks which edition this is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What an edition asks for and allows."""

    about: str
    #: Changes need a licence in force; seats and GPUs are those of the licence.
    needs_licence: bool
    #: Days that a fresh installation may be used before it needs its licence.
    trial_days: int
    #: Days that all goes on after the licence's term, with a warning.
    grace_days: int
    #: People may sign up by themselves, where letters can be sent and a trial credit is set.
    sign_up: bool
    #: Organisations are strangers to each other: who claims a mail domain must prove it.
    proves_domains: bool


EDITIONS = {
    "cloud": Policy(
        about="many tenants, who pay by use; nothing is licensed",
        needs_licence=False,
        trial_days=0,
        grace_days=0,
        sign_up=True,
        proves_domains=True,
    ),
    "private": Policy(
        about="on the customer's own terms: a licence for software, an appliance or a lease",
        needs_licence=True,
        trial_days=30,
        grace_days=30,
        sign_up=False,
        proves_domains=False,
    ),
}
#: Ways in which a private edition is sold. An appliance is bound to its hardware.
FORMS = ("licence", "appliance", "lease")
