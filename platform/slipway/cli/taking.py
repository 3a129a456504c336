"""What an import has done, line by line, and how it meets what was taken in before."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from slipway.cli.client import Client

if TYPE_CHECKING:
    import openai

#: Where what was imported says what it was made of.
MARK = "imported_from"


def door() -> openai.OpenAI:
    """The platform's OpenAI door, with the command line's own credential."""
    known = Client()
    import openai

    return openai.OpenAI(base_url=f"{known.url}/v1", api_key=known.key)


@dataclass
class Report:
    """Says each step as it is taken; `dry` only says what would be."""

    dry: bool
    counts: Counter[str] = field(default_factory=Counter)

    def taken(self, what: str, name: str, made: str = "") -> None:
        self._say("would take" if self.dry else "taken", what, name, made and f"→ {made}")

    def there(self, what: str, name: str, made: str) -> None:
        self._say("already here", what, name, f"→ {made}")

    def left(self, what: str, name: str, why: str) -> None:
        self._say("left", what, name, f": {why}")

    def _say(self, word: str, what: str, name: str, more: str) -> None:
        self.counts[word] += 1
        click.echo(f"{word:<12} {what} {name} {more}".rstrip().replace(" :", ":"))

    def end(self) -> None:
        total = ", ".join(f"{count} {word}" for word, count in sorted(self.counts.items()))
        click.echo(total or "nothing to take")


def file_twin(client: openai.OpenAI, name: str, purpose: str, sha256: str) -> str:
    """Id of a file here with these bytes, name and purpose; empty if there is none."""
    for file in client.files.list(purpose=purpose):
        if getattr(file, "sha256", None) == sha256 and file.filename == name:
            return file.id
    return ""


def marked(rows: Any, mark: str) -> str:
    """Id of the row that was made of what `mark` names; empty if there is none."""
    return next((row.id for row in rows if (row.metadata or {}).get(MARK) == mark), "")
