"""Plays the scenarios of one client: one JSON line for each.

`PYTHONPATH=FOLDER python run.py CLIENT [WORDS]`, with OPENAI_BASE_URL, OPENAI_API_KEY and
OPENAI_ADMIN_KEY; only scenarios whose name holds WORDS, if given. The client's package is the one
that is found first.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import operator
import sys
import time
import traceback

from world import SCENARIOS, World

#: Name of a client's package to the modules of its scenarios.
CLIENTS = {
    "openai": ("keeping", "asking", "responding", "tuning", "judging", "organization"),
    "langchain-openai": ("chaining",),
    "llama-index-llms-openai-like": ("indexing",),
}


def main(client: str, words: str = "") -> None:
    for part in CLIENTS[client]:
        importlib.import_module(part)
    world = World()
    print(json.dumps({"client": client, "version": importlib.metadata.version(client)}), flush=True)
    for each in SCENARIOS:
        if words not in each.name:
            continue
        told = {"name": each.name, "outcome": "passed", "seconds": 0.0}
        began = time.monotonic()
        try:
            if each.needs:
                operator.attrgetter(each.needs)(world.openai)
        except AttributeError:
            told |= {"outcome": "lacking", "needs": each.needs}
        else:
            try:
                each.play(world)
            except Exception:
                told |= {"outcome": "failed", "why": traceback.format_exc()[-3000:]}
        print(json.dumps(told | {"seconds": round(time.monotonic() - began, 2)}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
