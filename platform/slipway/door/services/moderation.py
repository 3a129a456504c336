"""A project's moderation policy: by which model and which words its texts are judged."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any
from uuid import UUID

import msgspec

from slipway.door.models import ModerationPolicy
from slipway.door.services import words
from slipway.door.services.words import Bad

#: OpenAI's categories, and what each means, as a judge is told.
CATEGORIES = {
    "harassment": "insults, bullies or demeans somebody",
    "harassment/threatening": "harasses somebody and threatens violence or serious harm",
    "hate": "expresses or incites hate because of race, gender, ethnicity, religion, nationality, "
    "sexual orientation, disability or caste",
    "hate/threatening": "expresses such hate and threatens violence or serious harm",
    "illicit": "advises or instructs how to commit a wrongdoing that is not violent",
    "illicit/violent": "advises or instructs how to commit violence or to get a weapon",
    "self-harm": "promotes, encourages or depicts suicide, cutting, eating disorders or the like",
    "self-harm/intent": "the speaker says that they harm themselves or mean to",
    "self-harm/instructions": "instructs or encourages somebody how to harm themselves",
    "sexual": "is meant to arouse sexually, or promotes sexual services",
    "sexual/minors": "contains sexual content with somebody under 18",
    "violence": "depicts death, violence or physical injury",
    "violence/graphic": "depicts death, violence or injury in graphic detail",
}
MOST_WORDS = 2000
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Policy(words.Request):
    """What a policy consists of."""

    model: Annotated[str, msgspec.Meta(max_length=256)] = ""
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    words: dict[str, list[_Word]] = {}


def of(*, project_id: UUID) -> Policy:
    """The project's policy; Bad that says how to set one where there is none."""
    row = ModerationPolicy.objects.filter(project_id=project_id).first()
    if row is None:
        raise Bad(
            "This project has no moderation policy, so nothing can be judged. Set one: POST "
            '/v1/moderations/policy {"model": "<a chat model>", "words": {"harassment": ["…"]}}.',
            code="moderation_not_configured",
        )
    return Policy(model=row.model, threshold=row.threshold, words=row.words)


def put(*, project_id: UUID, policy: Policy, made_by: str) -> None:
    """Set or replace the policy; Bad where it would judge nothing or names no category."""
    for category in policy.words:
        if category not in CATEGORIES:
            known = ", ".join(CATEGORIES)
            text = f"words: there is no category {category[:80]!r}; there are {known}."
            raise Bad(text, param="words")
    if sum(map(len, policy.words.values())) > MOST_WORDS:
        raise Bad(f"words: at most {MOST_WORDS} are taken in all.", param="words")
    if not policy.model and not any(policy.words.values()):
        raise Bad("A policy needs a model, words, or both.", param="model")
    ModerationPolicy.objects.update_or_create(
        project_id=project_id,
        defaults={"model": policy.model, "threshold": policy.threshold, "words": policy.words,
                  "made_by": made_by},
    )  # fmt: skip


def delete(*, project_id: UUID) -> bool:
    """Take the policy away; whether there was one."""
    return bool(ModerationPolicy.objects.filter(project_id=project_id).delete()[0])


def found_words(policy: Policy, text: str) -> set[str]:
    """Categories of which the text holds a word, whatever its case and width of letters."""
    plain = _plain(text)
    return {
        category
        for category, listed in policy.words.items()
        if listed and re.search("|".join(_pattern(word) for word in listed), plain)
    }


def _pattern(word: str) -> str:
    """The word between the borders of words, in scripts that have such."""
    plain = _plain(word).strip()
    before = r"(?<!\w)" if _spaced(plain[:1]) else ""
    after = r"(?!\w)" if _spaced(plain[-1:]) else ""
    return before + re.escape(plain) + after


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _spaced(letter: str) -> bool:
    """Whether words of the letter's script stand apart by spaces; Chinese and Thai do not."""
    return letter.isalnum() and ord(letter) < 0x2E80 and not 0x0E00 <= ord(letter) < 0x0F00


def result(policy: Policy, scores: dict[str, float], listed: set[str]) -> dict[str, Any]:
    """One result in OpenAI's shape from the judge's scores and the words found.

    What neither judge nor words look at is not flagged and has no applied input type.
    """
    scores = dict.fromkeys(CATEGORIES, 0.0) | scores | dict.fromkeys(listed, 1.0)
    looked = CATEGORIES if policy.model else {c for c, found in policy.words.items() if found}
    categories = {c: scores[c] >= policy.threshold for c in CATEGORIES}
    return {
        "flagged": any(categories.values()),
        "categories": categories,
        "category_scores": scores,
        "category_applied_input_types": {c: ["text"] if c in looked else [] for c in CATEGORIES},
    }
