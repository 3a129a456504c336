"""What passwords may not be made of, beside what is common everywhere: the words of this place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

from slipway.tenancy.models import User
from slipway.tenancy.services import principals

#: Shorter words stand in too much.
_SHORTEST = 4


class NoWordsOfThePlace:
    """Refuses `slipway`, the host's name, and what one's organisations and projects are called."""

    def validate(self, password: str, user: User | None = None) -> None:
        check_words(password, _words(user))

    def get_help_text(self) -> str:
        return "No name of the product, its host, or your organisations and projects."


def check_words(password: str, words: Iterable[str]) -> None:
    """ValidationError if the password holds one of the words (in small letters)."""
    plain = password.casefold()
    for word in words:
        if len(word) >= _SHORTEST and word in plain:
            raise ValidationError(
                f"It holds {word!r}, a word that whoever knows this place tries first."
            )


def _words(user: User | None) -> Iterator[str]:
    yield "slipway"
    yield from (urlsplit(settings.PUBLIC_URL).hostname or "").casefold().split(".")[:-1]
    if user is not None and user.pk is not None:
        for project in principals.enterable(user=user):
            yield project.organisation.name.casefold()
            yield project.name.casefold()
