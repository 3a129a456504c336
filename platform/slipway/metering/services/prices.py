"""Price books: which price holds for a kind and model at a time, and what a quantity costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q

from slipway.core.errors import Conflict, Detail, Invalid
from slipway.metering.models import Kind, Price, PriceBook
from slipway.metering.services.rollups import hour_of

#: Money is kept and shown to a millionth.
CENT = Decimal("0.000001")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """`amount` for every `per` units."""

    amount: Decimal
    per: int

    def cost(self, quantity: int) -> Decimal:
        """To a millionth, half to even."""
        return (self.amount * quantity / self.per).quantize(CENT)


FREE = Rate(amount=Decimal(0), per=1)
#: Fees are counted in millionths of the currency.
FEE = Rate(amount=Decimal(1), per=1_000_000)


@dataclass(frozen=True, kw_only=True)
class Book:
    """A book as a fact: its rates by (kind, model), the model empty for any."""

    organisation_id: UUID | None
    valid_from: datetime
    rates: Mapping[tuple[str, str], Rate]


def books(*, organisation_id: UUID) -> list[Book]:
    """Books that hold for an organisation, the ones that go before others first."""
    rows = PriceBook.objects.filter(
        Q(organisation_id=None) | Q(organisation_id=organisation_id)
    ).prefetch_related("prices")
    found = [
        Book(
            organisation_id=row.organisation_id,
            valid_from=row.valid_from,
            rates={
                (price.kind, price.model): Rate(amount=price.amount, per=price.per)
                for price in row.prices.all()
            },
        )
        for row in rows.order_by("-valid_from", "pk")
    ]
    return sorted(found, key=lambda book: book.organisation_id is None)


def rate(held: Sequence[Book], *, kind: str, model: str, at: datetime) -> Rate:
    """The rate at a moment: the newest book of one's own, else the newest general one.

    Within a book the model's own price goes before that of any model. A book without a price for
    embedded tokens charges them as those of a prompt. What no book prices costs nothing, except
    training, which the settings may price, and fees, which are amounts already.
    """
    if kind == Kind.PLAN_FEE:
        return FEE
    kinds = (kind, Kind.PROMPT_TOKENS) if kind == Kind.EMBEDDING_TOKENS else (kind,)
    seen: set[bool] = set()
    for book in held:
        general = book.organisation_id is None
        if book.valid_from > at or general in seen:
            continue
        seen.add(general)
        for place in ((each, whose) for each in kinds for whose in (model, "")):
            if (found := book.rates.get(place)) is not None:
                return found
    if kind == Kind.TRAINING_TOKENS:
        return Rate(amount=settings.TRAIN_PRICE_PER_MILLION_TOKENS, per=1_000_000)
    return FREE


def cost(
    *, organisation_id: UUID, model: str, quantities: Mapping[str, int], at: datetime
) -> Decimal:
    """What quantities by kind cost at a moment."""
    held = books(organisation_id=organisation_id)
    return sum(
        (rate(held, kind=k, model=model, at=at).cost(q) for k, q in quantities.items()),
        Decimal(0),
    )


def price_facts(
    *, wanted: Iterable[tuple[str, str]], at: datetime
) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Price of a request, a prompt token and an answer's token, in 10⁻¹² of the currency, by
    (organisation id, model).

    Rounded up, and the dearer of a prompt and of embedding where a name is priced for both: what
    is reserved must never be less than what is charged.
    """
    held: dict[str, list[Book]] = {}
    found = {}
    for organisation_id, model in wanted:
        if organisation_id not in held:
            held[organisation_id] = books(organisation_id=UUID(organisation_id))
        one, prompt, embedded, answer = (
            _tiny(rate(held[organisation_id], kind=kind, model=model, at=at))
            for kind in (
                Kind.REQUESTS,
                Kind.PROMPT_TOKENS,
                Kind.EMBEDDING_TOKENS,
                Kind.COMPLETION_TOKENS,
            )
        )
        found[organisation_id, model] = (one, max(prompt, embedded), answer)
    return found


def _tiny(price: Rate) -> int:
    return -(-int(price.amount * 10**12) // price.per)


def open_book(
    *,
    name: str,
    organisation_id: UUID | None,
    valid_from: datetime,
    prices: Iterable[Mapping[str, Any]],
    now: datetime,
) -> PriceBook:
    """A new book; it begins on a whole hour that has not passed, so no bill changes afterwards."""
    begins = hour_of(valid_from)
    if begins < hour_of(now):
        raise Invalid(
            "A price book cannot begin in the past: bills are made from it.",
            Detail(field="valid_from", rule="this hour or later", value=valid_from.isoformat(),
                   fix=hour_of(now).isoformat()),
        )  # fmt: skip
    try:
        with transaction.atomic():
            book = PriceBook.objects.create(
                name=name, organisation_id=organisation_id, valid_from=begins
            )
            Price.objects.bulk_create([Price(book=book, **price) for price in prices])
    except IntegrityError as error:
        raise Conflict(
            "Another book begins at that hour, or a kind and model is priced twice.",
            Detail(field="valid_from", rule="one book an hour", value=begins.isoformat()),
        ) from error
    return book
