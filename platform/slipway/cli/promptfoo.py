"""A Promptfoo configuration, read: prompts as templates, tests as rows, asserts as graders."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from slipway.cli.client import Problem

_FIELD = re.compile(r"\{\{-?\s*([\w.]+)\s*-?\}\}")
_OTHER = re.compile(r"\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
_ROUGE = re.compile(r"rouge-(n|[1-5l])")
#: Assert to the expression over `text` (the answer) and `value` (what is expected) that is true.
_PYTHON = {
    "starts-with": "text.startswith(value)",
    "not-starts-with": "not text.startswith(value)",
    "not-contains": "value not in text",
    "not-icontains": "value.lower() not in text.lower()",
    "contains-all": "all(each in text for each in value)",
    "contains-any": "any(each in text for each in value)",
    "icontains-all": "all(each.lower() in text.lower() for each in value)",
    "icontains-any": "any(each.lower() in text.lower() for each in value)",
    "regex": "re.search(value, text) is not None",
    "not-regex": "re.search(value, text) is None",
    "is-json": "sample['output_json'] is not None",
    "word-count": "len(text.split()) == value",
}
_STRINGS = {"equals": "eq", "not-equals": "ne", "contains": "like", "icontains": "ilike"}
_ANSWER = "{{sample.output_text}}"


@dataclass
class Eval:
    """Tests that are asserted alike: one eval."""

    criteria: list[dict[str, Any]]
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Config:
    name: str
    #: Name to messages.
    prompts: dict[str, list[dict[str, str]]]
    providers: list[str]
    evals: list[Eval]
    #: What cannot be taken: where it stands, and why.
    left: list[tuple[str, str]]
    #: SHA-256 of the file, the mark of what is made of it.
    digest: str


def read(path: Path, *, judge: str = "") -> Config:
    """The configuration in a YAML or JSON file; `judge` is the model that rubrics are put to."""
    try:
        text = path.read_text(encoding="utf-8")
        given = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Problem(f"{path} cannot be read: {error}") from error
    if not isinstance(given, dict) or not given.get("tests"):
        raise Problem(f"{path} is no Promptfoo configuration with tests.")
    digest = hashlib.sha256(text.encode()).hexdigest()
    config = Config(str(given.get("description") or path.stem)[:200], {}, [], [], [], digest)
    config.providers = [_provider(each) for each in _list(given.get("providers"))]
    for number, prompt in enumerate(_list(given.get("prompts"))):
        _prompt(config, path.parent, f"prompts[{number}]", prompt)
    shared = given.get("defaultTest")
    shared = shared if isinstance(shared, dict) else {}
    tests = _tests(path.parent, given["tests"])
    found: dict[str, Eval] = {}
    for number, test in enumerate(tests):
        _test(config, found, f"tests[{number}]", test, shared, judge)
    config.evals = list(found.values())
    return config


def _list(given: Any) -> list[Any]:
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


def _provider(given: Any) -> str:
    return str(given if isinstance(given, str) else (given or {}).get("id", "?"))


def _prompt(config: Config, folder: Path, place: str, given: Any) -> None:
    label = f"prompt {len(config.prompts) + 1}"
    if isinstance(given, dict):
        label = str(given.get("label") or given.get("id") or label)
        given = given.get("raw") or given.get("id") or ""
    text = str(given)
    if text.startswith("file://") or re.fullmatch(r"[\w./-]+\.(txt|json|ya?ml)", text):
        file = folder / text.removeprefix("file://")
        if file.suffix not in {".txt", ".json", ".yaml", ".yml"} or not file.exists():
            config.left.append((place, f"{text}: only text and chats in files beside it are read"))
            return
        text = file.read_text(encoding="utf-8")
    messages: Any = None
    if text.lstrip().startswith(("[", "- role")):
        try:
            messages = yaml.safe_load(text)
        except yaml.YAMLError:
            messages = None
    if not isinstance(messages, list):
        messages = [{"role": "user", "content": text}]
    try:
        config.prompts[label] = [
            {"role": str(each["role"]), "content": _template(str(each["content"]))}
            for each in messages
        ]
    except (KeyError, TypeError):
        config.left.append((place, "a chat is a list of messages with role and content"))
    except ValueError as error:
        config.left.append((place, str(error)))


def _template(text: str) -> str:
    """`{{name}}` becomes `{{item.name}}`; ValueError for what only a template engine can do."""
    changed = _FIELD.sub("", text)
    if other := _OTHER.search(changed):
        raise ValueError(f"{other[0]!r} is more than the name of a variable")
    return _FIELD.sub(r"{{item.\1}}", text)


def _tests(folder: Path, given: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in _list(given):
        bare = isinstance(one, dict) and "vars" not in one and "assert" not in one
        each = one.get("path", one) if bare else one
        if not isinstance(each, str):
            found.append(each)
            continue
        file = folder / each.removeprefix("file://")
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise Problem(f"tests: {each} cannot be read: {error}") from error
        if file.suffix == ".csv":
            found += [_of_csv(row) for row in csv.DictReader(text.splitlines())]
        elif file.suffix == ".jsonl":
            found += [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            found += _list(yaml.safe_load(text))
    return found


def _of_csv(row: dict[str, str]) -> dict[str, Any]:
    """A column `__expected` asserts; all others are variables."""
    variables = {key: value for key, value in row.items() if not key.startswith("__")}
    asserts = []
    for key, value in row.items():
        if key.startswith("__expected") and value:
            kind, colon, rest = value.partition(":")
            known = colon and re.fullmatch(r"[a-z-]+(\([\d.]+\))?", kind)
            asserts.append(
                {"type": kind, "value": rest.strip()} if known else {"type": "equals",
                                                                      "value": value}
            )  # fmt: skip
    return {"vars": variables, "assert": asserts}


def _test(
    config: Config,
    found: dict[str, Eval],
    place: str,
    test: dict[str, Any],
    shared: dict[str, Any],
    judge: str,
) -> None:
    """Put a test's row into the eval of those that are asserted alike."""
    item: dict[str, Any] = {**(shared.get("vars") or {}), **(test.get("vars") or {})}
    criteria = []
    asserts = [
        (f"{where}.assert[{index}]", each)
        for where, given in (("defaultTest", shared), (place, test))
        for index, each in enumerate(_list(given.get("assert")))
    ]
    for number, (where, each) in enumerate(asserts):
        try:
            made, expected = criterion(dict(each), f"expected_{number}", judge, item)
        except (ValueError, TypeError, KeyError) as error:
            if (where, str(error)) not in config.left:
                config.left.append((where, str(error)))
            continue
        criteria.append(made)
        if expected is not None:
            item[f"expected_{number}"] = expected
    if not criteria:
        config.left.append((place, "nothing is asserted of it that could be taken"))
        return
    alike = json.dumps(criteria, sort_keys=True)
    found.setdefault(alike, Eval(criteria)).rows.append({"item": item})


def criterion(
    given: dict[str, Any], name: str, judge: str, item: dict[str, Any]
) -> tuple[dict[str, Any], Any]:
    """The grader that asserts it, and what it expects of this row; ValueError if none can.

    The row keeps what is expected under `name`, so that tests that differ only there are one eval.
    """
    kind, value = str(given["type"]), given.get("value")
    if isinstance(value, str) and value.startswith("file://"):
        raise ValueError(f"{kind}: its value lies in a file of code or text")
    base = {"name": f"{given.get('metric') or kind} {name.removeprefix('expected_')}"}
    threshold = given.get("threshold")
    if kind == "python" and isinstance(value, str):
        return base | _inline(value, threshold), None
    expected = _filled(value, item)
    if kind in _PYTHON and not (kind == "is-json" and value):
        if kind.endswith(("-all", "-any")) and isinstance(expected, str):
            expected = [part.strip() for part in expected.split(",")]
        return base | _python(_PYTHON[kind], name), "" if expected is None else expected
    return base | _compared(kind, name, threshold, judge), str(expected)


def _compared(kind: str, name: str, threshold: Any, judge: str) -> dict[str, Any]:
    """A grader of the answer beside one text; ValueError if there is none."""
    both = {"input": _ANSWER, "reference": f"{{{{item.{name}}}}}"}
    if kind in _STRINGS:
        return {"type": "string_check", "operation": _STRINGS[kind]} | both
    rouge = _ROUGE.fullmatch(kind)
    if rouge or kind in {"bleu", "gleu"}:
        metric = f"rouge_{rouge[1].replace('n', '1')}" if rouge else kind
        usual = 0.75 if rouge else 0.5
        measured = {"evaluation_metric": metric, "pass_threshold": threshold or usual}
        return {"type": "text_similarity"} | both | measured
    if kind == "levenshtein":
        most = float(5 if threshold is None else threshold)
        return {"type": "python", "source": _LEVENSHTEIN.format(name=name, most=most)}
    if kind not in {"llm-rubric", "g-eval"}:
        raise ValueError(f"{kind} has no grader here")
    if not judge:
        raise ValueError(f"{kind} needs a model that judges: --judge MODEL")
    text = (
        f"Answer:\n{_ANSWER}\n\nDoes it meet this?\n{{{{item.{name}}}}}\n\n"
        "Give 1 if it does and 0 if it does not."
    )
    asked = {"input": [{"role": "user", "content": text}], "model": judge, "range": [0, 1]}
    passes = {"pass_threshold": 0.5 if threshold is None else threshold}
    return {"type": "score_model"} | asked | passes


def _filled(value: Any, item: dict[str, Any]) -> Any:
    """The value with this row's variables in their places."""
    if isinstance(value, list):
        return [_filled(each, item) for each in value]
    if not isinstance(value, str):
        return value

    def of_row(match: re.Match[str]) -> str:
        if match[1] not in item:
            raise ValueError(f"{match[0]} names no variable of this test")
        return str(item[match[1]])

    filled = _FIELD.sub(of_row, value)
    if other := _OTHER.search(filled):
        raise ValueError(f"{other[0]!r} is more than the name of a variable")
    return filled


def _python(expression: str, name: str) -> dict[str, Any]:
    source = (
        "import re\n\n\ndef grade(sample, item):\n"
        f"    text, value = sample['output_text'] or '', item['{name}']\n"
        f"    return float({expression})\n"
    )
    return {"type": "python", "source": source}


def _inline(code: str, threshold: Any) -> dict[str, Any]:
    """Promptfoo's own: an expression, or the body of a function, over `output` and `context`."""
    plain = code.strip("\n")
    lines = plain.splitlines() if "\n" in plain else [f"return ({plain.strip()})"]
    body = "\n".join(f"        {line}" for line in lines)
    source = (
        "def grade(sample, item):\n    def asserted(output, context):\n"
        f"{body}\n    found = asserted(sample['output_text'], {{'vars': item}})\n"
        "    if isinstance(found, dict):\n"
        "        found = found.get('score', found.get('pass', found.get('pass_')))\n"
        "    return float(found)\n"
    )
    return {"type": "python", "source": source} | (
        {"pass_threshold": float(threshold)} if threshold is not None else {}
    )


_LEVENSHTEIN = """def grade(sample, item):
    a, b = sample['output_text'] or '', item['{name}']
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return float(row[-1] <= {most})
"""
