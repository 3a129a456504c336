"""`slipway chat`: ask a deployed model, through the same door as any `openai` program."""

from __future__ import annotations

import contextlib
import json

import click

from slipway.cli.client import Client, Problem


@click.command()
@click.argument("model")
@click.argument("question", required=False)
@click.option("--system", help="System prompt.")
@click.option("--temperature", type=float, default=0.0, show_default=True)
@click.option("--max-tokens", type=int, default=256, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
def chat(
    model: str,
    question: str | None,
    system: str | None,
    temperature: float,
    max_tokens: int,
    as_json: bool,
) -> None:
    """Ask MODEL one QUESTION, or talk to it line by line when no question is given."""
    import openai

    client = Client()
    door = openai.OpenAI(base_url=f"{client.url}/v1", api_key=client.key)
    messages: list[dict[str, str]] = [{"role": "system", "content": system}] if system else []

    def ask(text: str) -> None:
        messages.append({"role": "user", "content": text})
        asked = {
            "model": model,
            "messages": messages,
            "temperature": temperature,
            "max_tokens": max_tokens,
        }
        try:
            if as_json:
                answer = door.chat.completions.create(**asked)  # type: ignore[call-overload]
                click.echo(json.dumps(answer.model_dump(), ensure_ascii=False, indent=2))
                return
            said = ""
            for chunk in door.chat.completions.create(**asked, stream=True):  # type: ignore[call-overload]
                piece = chunk.choices[0].delta.content if chunk.choices else None
                said += piece or ""
                click.echo(piece or "", nl=False)
            click.echo()
            messages.append({"role": "assistant", "content": said})
        except openai.APIConnectionError as error:
            raise Problem(
                f"{client.url} does not answer. Is the platform up? `slipway status`"
            ) from error
        except openai.APIError as error:
            raise Problem(error.message) from error

    if question is not None:
        ask(question)
        return
    click.echo("Ask away; an empty line or Ctrl-D ends it.")
    with contextlib.suppress(EOFError):
        while line := input("you: ").strip():
            ask(line)
