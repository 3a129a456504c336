"""Masks for texts that are kept: what looks like an address, a number or a key is not written.

They find what has the usual form, and no more: a name or an illness said in plain words stays.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import regex

from slipway.core.errors import Detail, Invalid

MOST_EXPRESSIONS, LONGEST_EXPRESSION = 20, 300
#: All expressions of a tenant's own may take so long on one prompt: the worker is everybody's.
_SECONDS = 1.0
TOO_LONG = "[masked: the project's own expressions took too long]"


def _luhn(digits: str) -> bool:
    """Whether the last digit checks the others [ISO/IEC 7812-1]."""
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        total += digit if place % 2 == 0 else sum(divmod(2 * digit, 10))
    return total % 10 == 0


def _card(found: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", found[0])
    return "[card]" if 13 <= len(digits) <= 19 and _luhn(digits) else found[0]


# Where a word ends is told by letters of Latin script and digits: in Chinese, numbers touch words.
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?!\d|\.\d)")
#: With a country's code or a leading zero or bracket, or a Chinese mobile number.
_PHONE = re.compile(
    r"(?<![A-Za-z0-9.])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){5,12}"
    r"|\(\d{2,5}\)[ .-]?\d(?:[ .-]?\d){4,9}|0\d(?:[ ./-]?\d){6,11}|1[3-9]\d(?:[ -]?\d){8})"
    r"(?![A-Za-z0-9])"
)
_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:\s*[A-Za-z-]{1,30}: [^\n]{0,200}\n){0,5}"
    r"[A-Za-z0-9+/=\s]{0,20000}(?:-----END [A-Z ]{0,40}-----)?"
    r"|(?<![A-Za-z0-9_-])(?:(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,200}|AKIA[0-9A-Z]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{20,255}|xox[a-z]-[A-Za-z0-9-]{10,200}|AIza[A-Za-z0-9_-]{35}"
    r"|eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,4000})"
)
#: In this order: a card is no phone number.
MASKS: dict[str, Callable[[str], str]] = {
    "key": lambda text: _KEY.sub("[key]", text),
    "email": lambda text: _EMAIL.sub("[e-mail]", text),
    "card": lambda text: _CARD.sub(_card, text),
    "phone": lambda text: _PHONE.sub("[phone]", text),
}


def check(expressions: Sequence[str]) -> None:
    """Invalid naming an expression that is none."""
    for place, expression in enumerate(expressions):
        try:
            regex.compile(expression)
        except regex.error as error:
            raise Invalid(
                "This is no regular expression.",
                Detail(field=f"expressions[{place}]", rule=str(error), value=expression,
                       fix="write it as Python's re does"),
            ) from error  # fmt: skip


def masked(value: Any, *, masks: Sequence[str], expressions: Sequence[str]) -> Any:
    """A JSON value with every text in it masked; names of keys stay."""
    return _Masker(masks, expressions).value(value)


class _Masker:
    def __init__(self, masks: Sequence[str], expressions: Sequence[str]) -> None:
        self._masks = [mask for name, mask in MASKS.items() if name in masks]
        self._expressions = expressions
        self._left = _SECONDS

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {key: self.value(each) for key, each in value.items()}
        return value

    def _text(self, text: str) -> str:
        for mask in self._masks:
            text = mask(text)
        for expression in self._expressions:
            began = time.process_time()
            try:
                # The library counts processor time too.
                text = regex.sub(expression, "[masked]", text, timeout=max(self._left, 1e-9))
            except TimeoutError:
                self._left = 0.0
                # What could not be looked through is not kept.
                return TOO_LONG
            self._left -= time.process_time() - began
        return TOO_LONG if self._left <= 0 else text
