"""English words to their stems [Porter 1980, "An algorithm for suffix stripping"].

As in the paper, but for words of two letters, which his own program leaves alone too. Words of
other languages come out as they went in.
"""

from __future__ import annotations

import functools
import re

_PLAIN = re.compile(r"[a-z]{3,}\Z")
_TWO = (
    ("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"),
    ("abli", "able"), ("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous"),
    ("ization", "ize"), ("ation", "ate"), ("ator", "ate"), ("alism", "al"), ("iveness", "ive"),
    ("fulness", "ful"), ("ousness", "ous"), ("aliti", "al"), ("iviti", "ive"), ("biliti", "ble"),
)  # fmt: skip
_THREE = (
    ("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""),
    ("ness", ""),
)  # fmt: skip
_FOUR = (
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou",
    "ism", "ate", "iti", "ous", "ive", "ize",
)  # fmt: skip


@functools.lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """The stem of a word in lower case."""
    if not _PLAIN.match(word):
        return word
    for step in (_plural, _past, _y, _double_suffix, _suffix, _bare, _tidy):
        word = step(word)
    return word


def _shape(word: str) -> str:
    """Each letter as v or c; y is a vowel after a consonant."""
    made = ""
    for letter in word:
        vowel = letter in "aeiou" or (letter == "y" and made[-1:] == "c")
        made += "v" if vowel else "c"
    return made


def _measure(word: str) -> int:
    """How often vowels are followed by consonants."""
    return len(re.findall("v+c+", _shape(word)))


def _short(word: str) -> bool:
    """Whether it ends consonant, vowel, consonant other than w, x, y."""
    return _shape(word).endswith("cvc") and word[-1] not in "wxy"


def _doubled(word: str) -> bool:
    return len(word) > 1 and word[-1] == word[-2] and _shape(word)[-1] == "c"


def _plural(word: str) -> str:
    for ending, instead in (("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")):
        if word.endswith(ending):
            return word[: -len(ending)] + instead
    return word


def _past(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for ending in ("ed", "ing"):
        if not word.endswith(ending):
            continue
        left = word[: -len(ending)]
        if "v" not in _shape(left):
            return word
        if left.endswith(("at", "bl", "iz")):
            return left + "e"
        if _doubled(left) and left[-1] not in "lsz":
            return left[:-1]
        return left + "e" if _measure(left) == 1 and _short(left) else left
    return word


def _y(word: str) -> str:
    return word[:-1] + "i" if word.endswith("y") and "v" in _shape(word[:-1]) else word


def _replaced(word: str, rules: tuple[tuple[str, str], ...]) -> str:
    """By the rule of the longest ending it has, if enough is left."""
    fitting = [rule for rule in rules if word.endswith(rule[0])]
    if not fitting:
        return word
    ending, instead = max(fitting, key=lambda rule: len(rule[0]))
    left = word[: -len(ending)]
    return left + instead if _measure(left) > 0 else word


def _double_suffix(word: str) -> str:
    return _replaced(word, _TWO)


def _suffix(word: str) -> str:
    return _replaced(word, _THREE)


def _bare(word: str) -> str:
    fitting = [ending for ending in _FOUR if word.endswith(ending)]
    if not fitting:
        return word
    ending = max(fitting, key=len)
    left = word[: -len(ending)]
    if _measure(left) < 2 or (ending == "ion" and left[-1] not in "st"):
        return word
    return left


def _tidy(word: str) -> str:
    if word.endswith("e"):
        left = word[:-1]
        if _measure(left) > 1 or (_measure(left) == 1 and not _short(left)):
            word = left
    return word[:-1] if word.endswith("ll") and _measure(word) > 1 else word
