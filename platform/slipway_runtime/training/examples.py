"""Turns conversations into token ids and labels: the loss is taken on the assistant's turns only.

The spans of the answers are found by rendering prefixes of the conversation through the chat
template, so templates need no generation markers. A template that writes earlier turns otherwise
than the last one (reasoning left out, say) gets one example per turn, as the model will see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import transformers

from slipway_runtime import chats
from slipway_runtime.run import BadInput

IGNORED = -100
#: Rows tokenized together.
BATCH_ROWS = 1000

Span = tuple[int, int]


@dataclass(frozen=True)
class Example:
    """Token ids and labels of equal length; a label is the token's id or `IGNORED`."""

    #: Line of the row in its file.
    line: int
    input_ids: list[int]
    labels: list[int]

    @property
    def length(self) -> int:
        return len(self.input_ids)

    @property
    def tokens(self) -> int:
        return len(self.input_ids)

    @property
    def trained_tokens(self) -> int:
        return sum(label != IGNORED for label in self.labels)

    @property
    def teaches(self) -> bool:
        # The first label is never predicted from anything.
        return any(label != IGNORED for label in self.labels[1:])

    def cut(self, length: int) -> Self:
        return type(self)(self.line, self.input_ids[:length], self.labels[:length])


@dataclass(frozen=True)
class Rendered:
    """A conversation as text, and where in it the answers lie (characters, end excluded)."""

    line: int
    text: str
    spans: list[Span]


class Encoder:
    """One tokenizer, one template, and the tokens that end a turn."""

    def __init__(
        self, tokenizer: transformers.PreTrainedTokenizerBase, stop_ids: Sequence[int]
    ) -> None:
        if not tokenizer.chat_template:
            raise BadInput(
                "the base model's tokenizer has no chat template; add chat_template.jinja "
                "(or chat_template in tokenizer_config.json) to the model and import it again"
            )
        if not tokenizer.is_fast:
            raise BadInput("the tokenizer gives no offsets; a tokenizer.json is needed")
        if tokenizer.eos_token_id is None:
            raise BadInput("the tokenizer has no eos_token, so the model could not learn to stop")
        self._tokenizer = tokenizer
        self._eos = int(tokenizer.eos_token_id)
        self._stops = {self._eos, *stop_ids}

    def rendered(self, row: chats.Row) -> list[Rendered]:
        """The texts to learn from: one, unless the template rewrites earlier turns."""
        trained = [
            index
            for index, message in enumerate(row.messages)
            if message["role"] == "assistant" and message.get("weight", 1)
        ]
        whole = self._render(row, len(row.messages))
        found = []
        for index in trained:
            last = index + 1 == len(row.messages)
            through = whole if last else self._render(row, index + 1)
            before = self._render(row, index, prompt=True)
            start = _common_length(before, through)
            found.append(Rendered(row.line, through, [(start, len(through))]))
        if all(whole.startswith(turn.text) for turn in found):
            return [Rendered(row.line, whole, [span for turn in found for span in turn.spans])]
        return found

    def examples(self, texts: Sequence[Rendered]) -> list[Example]:
        """Token ids and labels of each text."""
        if not texts:
            return []
        encoded = self._tokenizer(
            [rendered.text for rendered in texts],
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            # Rows longer than the model are cut and reported; the tokenizer need not warn.
            verbose=False,
        )
        rows = zip(encoded["input_ids"], encoded["offset_mapping"], texts, strict=True)
        return [self._example(rendered, ids, offsets) for ids, offsets, rendered in rows]

    def _example(self, rendered: Rendered, ids: list[int], offsets: list[Span]) -> Example:
        labels = [IGNORED] * len(ids)
        for start, end in rendered.spans:
            inside = [i for i, (a, b) in enumerate(offsets) if a < end and b > start]
            if not inside:
                continue
            first, last = inside[0], inside[-1]
            # Nothing follows the token that stops the turn, whatever the template writes there.
            stops = [i for i in inside if ids[i] in self._stops]
            if stops:
                last = stops[-1]
            elif last + 1 < len(ids) and ids[last + 1] in self._stops:
                last += 1
            elif last + 1 == len(ids):
                ids.append(self._eos)
                labels.append(IGNORED)
                last += 1
            labels[first : last + 1] = ids[first : last + 1]
        return Example(rendered.line, ids, labels)

    def _render(self, row: chats.Row, count: int, *, prompt: bool = False) -> str:
        # A template may refuse an empty conversation; nothing is said before the first message.
        if count == 0 and not prompt:
            return ""
        try:
            text = self._tokenizer.apply_chat_template(
                row.messages[:count],
                tools=row.tools,
                tokenize=False,
                add_generation_prompt=prompt,
            )
        except Exception as error:
            raise BadInput(
                f"line {row.line}: the chat template refuses the first {count} messages: {error}"
            ) from error
        return str(text)


def _common_length(a: str, b: str) -> int:
    """Characters that both begin with; only an odd template has less than all of the prompt."""
    if b.startswith(a):
        return len(a)
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, pair in pairs if pair[0] != pair[1]), min(len(a), len(b)))


def encode(rows: Sequence[chats.Row], encoder: Encoder) -> list[Example]:
    """The examples of all rows in full length, those without a label included."""
    found = []
    for start in range(0, len(rows), BATCH_ROWS):
        texts = [text for row in rows[start : start + BATCH_ROWS] for text in encoder.rendered(row)]
        found += encoder.examples(texts)
    return found
