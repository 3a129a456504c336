"""Two ways to show an answer: a table for eyes, JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table

# Wide enough that nothing is cut when it is piped.
console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)


def show(answer: Any, *, as_json: bool, columns: str = "") -> None:
    """Print a dictionary as lines, a list of dictionaries as a table, or either as JSON."""
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False, indent=2))
    elif isinstance(answer, list):
        if not answer:
            console.print("[dim]nothing here yet[/dim]")
            return
        names = columns.split() or list(answer[0])
        table = Table(*names, box=None, header_style="bold", pad_edge=False)
        for row in answer:
            table.add_row(*(_cell(row.get(name)) for name in names))
        console.print(table)
    else:
        names = columns.split() or list(answer)
        width = max(len(name) for name in names)
        for name in names:
            click.echo(f"{name.ljust(width)}  {_cell(answer.get(name))}")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
