"""Runs apart, limited in time and memory: counts the tokens of rows with a model's own tokenizer.

Tokenizer and chat template come from strangers, and what they do with a row may never end. So this
file is started as a script of its own: the first line of its input is the model's documents, each
line after that one row; it answers with one JSON list of pairs of lengths.
"""

from __future__ import annotations

import datetime as dt
import json
import resource
import sys
from collections.abc import Callable
from typing import Any

CPU_SECONDS = 60
MEMORY_BYTES = 4 * 1024**3


def count(given: dict[str, Any], rows: list[str]) -> list[tuple[int, int]]:
    """Tokens of each row, and of its longest sequence: a pair of answers is two sequences.

    `given`: tokenizer (text), template (text or null), special (dict).
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(given["tokenizer"])
    # What was saved with the file for training must not shorten what is counted.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    render = _renderer(given)
    chats = [_conversations(json.loads(row)) for row in rows]
    texts = [render(messages) for row in chats for messages in row]
    lengths = iter(len(e.ids) for e in tokenizer.encode_batch(texts, add_special_tokens=False))
    found = [[next(lengths) for _ in row] for row in chats]
    return [(sum(row), max(row)) for row in found]


def _conversations(row: dict[str, Any]) -> list[list[dict[str, Any]]]:
    if "messages" in row:
        return [row["messages"]]
    asked = row["input"]["messages"]
    return [[*asked, *row["preferred_output"]], [*asked, *row["non_preferred_output"]]]


def _plainly(messages: list[dict[str, Any]]) -> str:
    return "\n".join(f"{m['role']}\n{m.get('content') or ''}" for m in messages)


def _renderer(given: dict[str, Any]) -> Callable[[list[dict[str, Any]]], str]:
    if not given["template"]:
        return _plainly
    from jinja2 import ext, nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(ext.Extension):
        """`{% generation %}` marks what the assistant says; it changes nothing in the text."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("_as_it_is"), [], [], body).set_lineno(line)

        def _as_it_is(self, caller: Any) -> Any:
            return caller()

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, ext.loopcontrols]
    )
    environment.filters["tojson"] = lambda value, **_more: json.dumps(value, ensure_ascii=False)
    environment.globals["strftime_now"] = lambda text: dt.datetime.now().strftime(text)  # noqa: DTZ005 - as templates expect
    template = environment.from_string(given["template"])

    def render(messages: list[dict[str, Any]]) -> str:
        try:
            return template.render(
                messages=messages, tools=None, documents=None, add_generation_prompt=False,
                **given["special"],
            )  # fmt: skip
        except Exception:  # noqa: BLE001 - a template may raise anything
            # It is for other rows than this one; for a length, plain text is near enough.
            return _plainly(messages)

    return render


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    header, *lines = sys.stdin.read().splitlines()
    json.dump(count(json.loads(header), lines), sys.stdout)
