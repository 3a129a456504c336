"""How a model writes calls of tools: learned from its own chat template, and held to by a grammar.

A template that knows tools is shown a call and writes it in the model's own way; what stands
around the name and the arguments is the `Style`. A template that knows none gets a style of ours,
and its model is told the tools in the system message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from slipway_runtime.serving import grammar

_NAMES = ("first_tool_xq", "second_tool_xq")
_KEY, _VALUE = "key_xq", "value_xq"
_ARGUMENTS = re.compile(rf'\{{\s*"{_KEY}"\s*:\s*"{_VALUE}"\s*\}}')


@dataclass(frozen=True, kw_only=True)
class Style:
    """The text around a call: `opening` name `between` arguments (`joint` name …) `closing`."""

    opening: str
    between: str
    closing: str
    #: Between one call's arguments and the next call's name; empty where only one is possible.
    joint: str
    #: The chat template itself writes tools, calls and their results.
    native: bool

    @property
    def trigger(self) -> str:
        """How a call begins to differ from prose: the opening tag, or all before the name."""
        tag = re.match(r"\s*(<[^<>]+>|\[[A-Z_]+\])", self.opening)
        return tag[0] if tag else self.opening


OURS = Style(
    opening='<tool_call>\n{"name": "',
    between='", "arguments": ',
    closing="}\n</tool_call>",
    joint='}\n</tool_call>\n<tool_call>\n{"name": "',
    native=False,
)


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A function that may be called; `schema` is of its arguments."""

    name: str
    schema: dict[str, Any]


def learn(tokenizer: PreTrainedTokenizerBase, ends: Sequence[str]) -> Style:
    """The model's own style where its template has one that can be held to, else OURS.

    `ends` are the texts of the tokens that end a turn.
    """
    try:
        one = _written(tokenizer, _NAMES[:1], ends)
    except Exception:  # noqa: BLE001 - a template may refuse in any way it likes
        return OURS
    found = _ARGUMENTS.search(one)
    at = one.find(_NAMES[0])
    if found is None or not 0 < at < found.start():
        return OURS
    joint = ""
    try:
        two = _written(tokenizer, _NAMES, ends)
        pair = list(_ARGUMENTS.finditer(two))
        if len(pair) == len(_NAMES):
            joint = two[pair[0].end() : two.index(_NAMES[1])]
    except Exception:  # noqa: BLE001 - such a template has one call a turn
        joint = ""
    return Style(
        opening=one[:at].lstrip("\n"),
        between=one[at + len(_NAMES[0]) : found.start()],
        closing=one[found.end() :],
        joint=joint,
        native=True,
    )


def _written(tokenizer: PreTrainedTokenizerBase, names: Sequence[str], ends: Sequence[str]) -> str:
    """What an assistant's turn with such calls looks like, without the end of the turn."""
    declared = [
        {"type": "function", "function": {"name": n, "description": "", "parameters": {}}}
        for n in names
    ]
    calls = [
        {
            "id": "abcdefghi",
            "type": "function",
            "function": {"name": n, "arguments": {_KEY: _VALUE}},
        }
        for n in names
    ]
    asked = [{"role": "user", "content": "?"}]
    answer = {"role": "assistant", "content": "", "tool_calls": calls}

    def render(messages: list[dict[str, Any]], *, prompt: bool) -> str:
        return str(
            tokenizer.apply_chat_template(
                messages, tools=declared, tokenize=False, add_generation_prompt=prompt
            )
        )

    before, whole = render(asked, prompt=True), render([*asked, answer], prompt=False)
    if not whole.startswith(before):
        raise ValueError("the turn does not begin where the generation prompt ends")
    turn = whole[len(before) :]
    cut = min((turn.rindex(end) for end in ends if end and end in turn), default=len(turn))
    return turn[:cut]


def rules(
    style: Style,
    tools: Sequence[Tool],
    tokenizer: PreTrainedTokenizerBase,
    *,
    several: bool,
    answer: str | None,
) -> str:
    """The grammar: calls only, or, where `answer` (a Lark term) is given, that or calls."""
    special = {
        str(token): index
        for index, token in tokenizer.added_tokens_decoder.items()
        if token.special
    }

    def literal(text: str) -> str:
        """Special tokens are no text to the grammar: they stand by their number."""
        if not text:
            return ""
        pieces = (
            re.split("(" + "|".join(map(re.escape, special)) + ")", text) if special else [text]
        )
        return " ".join(
            f"<[{special[p]}]>" if p in special else json.dumps(p, ensure_ascii=False)
            for p in pieces
            if p
        )

    called = "\n".join(
        f"call_{i}: {literal(tool.name + style.between)} {grammar.json_of(tool.schema)}"
        for i, tool in enumerate(tools)
    )
    more = f"({literal(style.joint)} call)*" if several and style.joint else ""
    calls = f"call {more} {literal(style.closing)}"
    names = " | ".join(f"call_{i}" for i in range(len(tools)))
    if answer is None:
        start = f"start: {literal(style.opening)} {calls}"
    else:
        trigger = style.trigger
        rest = literal(style.opening[len(trigger) :])
        first = next((t for t in special if trigger.strip() == t), None)
        head = f"head: TEXT {literal(first)}" if first else f"head[lazy]: TEXT {literal(trigger)}"
        start = f"start: {answer} | head {rest} {calls}\n{head}\nTEXT: /(.|\\n)*/"
    return grammar.lark(f"{start}\ncall: {names}\n{called}")
