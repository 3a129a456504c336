"""Evals by the `openai` package: rows asked and judged through the gateway, counted, readable."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import openai
import pytest
from django.utils import timezone
from door_world import Door, error_of, until
from gateway_world import Exchange, answer_well, completion_of

from slipway.door.models import EvalRun, StoredCompletion
from slipway.door.services import eval_sources, evals, item_schemas
from slipway.door.services.words import Bad
from slipway.metering.services import budgets, prices

CONFIG: Any = {
    "type": "custom",
    "item_schema": {"type": "object", "properties": {"q": {"type": "string"}, "a": {}}},
    "include_sample_schema": True,
}
EQUAL: Any = {"type": "string_check", "name": "equal", "input": "{{sample.output_text}}",
              "reference": "{{item.a}}", "operation": "eq"}  # fmt: skip
ALIKE: Any = {"type": "text_similarity", "name": "alike", "input": "{{sample.output_text}}",
              "reference": "{{item.a}}", "evaluation_metric": "fuzzy_match",
              "pass_threshold": 0.5}  # fmt: skip
ROWS = [{"item": {"q": f"say {n}", "a": f"say {n}" if n % 2 else "other"}} for n in range(6)]


@pytest.fixture(autouse=True)
def _echo(door: Door) -> Iterator[None]:
    async def echo(exchange: Exchange) -> None:
        said = exchange.asked["messages"][-1]["content"]
        await exchange.whole(completion_of("m", said, 7, 5))

    door.engine.script = echo
    yield
    door.engine.script = answer_well


@pytest.fixture(scope="module")
def client(door: Door) -> openai.OpenAI:
    return door.client(_strict_response_validation=True)


def asking(rows: list[Any] | None = None, **more: Any) -> Any:
    template = [{"role": "user", "content": "{{item.q}}"}]
    return {"type": "completions", "model": "m",
            "input_messages": {"type": "template", "template": template},
            "source": {"type": "file_content", "content": rows or ROWS}} | more  # fmt: skip


def ended(client: openai.OpenAI, run: Any) -> Any:
    def look() -> Any:
        found = client.evals.runs.retrieve(run.id, eval_id=run.eval_id)
        return found if found.status in {"completed", "failed", "canceled"} else None

    return until("the run's end", look, seconds=60)


def test_an_eval_is_made_changed_listed_and_deleted(door: Door, client: openai.OpenAI) -> None:
    made = client.evals.create(
        name="first", data_source_config=CONFIG, testing_criteria=[EQUAL], metadata={"k": "v"}
    )
    assert (made.object, made.name, made.metadata) == ("eval", "first", {"k": "v"})
    assert made.data_source_config.type == "custom"
    assert set(made.data_source_config.schema_["properties"]) == {"item", "sample"}  # type: ignore[union-attr,arg-type]
    assert client.evals.retrieve(made.id) == client.evals.retrieve(made.id)
    assert client.evals.update(made.id, name="second").name == "second"
    assert made.id in [e.id for e in client.evals.list(limit=1)]
    with pytest.raises(openai.NotFoundError):
        door.client("rival-owner").evals.retrieve(made.id)
    gone = client.evals.delete(made.id)
    assert (gone.object, gone.deleted, gone.eval_id) == ("eval.deleted", True, made.id)
    with pytest.raises(openai.NotFoundError):
        client.evals.retrieve(made.id)


def test_evals_are_listed_by_when_they_were_made_or_changed(client: openai.OpenAI) -> None:
    made = [
        client.evals.create(name=name, data_source_config=CONFIG, testing_criteria=[EQUAL]).id
        for name in ("a", "b", "c")
    ]
    client.evals.update(made[0], name="changed last")

    def listed(by: Any) -> list[str]:
        # Pages of one: each begins where the last one ended.
        return [e.id for e in client.evals.list(limit=1, order_by=by) if e.id in made]

    assert listed("created_at") == made
    assert listed("updated_at") == [*made[1:], made[0]]
    with pytest.raises(openai.BadRequestError, match="order_by must be created_at or updated_at"):
        listed("name")


def test_a_model_is_asked_and_judged_row_by_row(door: Door, client: openai.OpenAI) -> None:
    made = client.evals.create(data_source_config=CONFIG, testing_criteria=[EQUAL, ALIKE])
    created = door.call("POST", f"evals/{made.id}/runs", json={"data_source": asking()})
    assert created.status_code == 201
    run = client.evals.runs.retrieve(created.json()["id"], eval_id=made.id)
    done = ended(client, run)
    assert (done.status, done.model) == ("completed", "m")
    counts = done.result_counts
    assert (counts.total, counts.passed, counts.failed, counts.errored) == (6, 3, 3, 0)
    by_criterion = {r.testing_criteria: r.passed for r in done.per_testing_criteria_results}
    assert [v for k, v in by_criterion.items() if k.startswith("equal-")] == [3]
    used = done.per_model_usage[0]
    assert (used.to_dict()["model_name"], used.invocation_count, used.total_tokens) == ("m", 6, 72)
    items = list(client.evals.runs.output_items.list(run.id, eval_id=made.id, limit=2))
    assert sorted(i.datasource_item_id for i in items) == list(range(6))
    failed = list(client.evals.runs.output_items.list(run.id, eval_id=made.id, status="fail"))
    assert {i.datasource_item_id for i in failed} == {0, 2, 4}
    one = client.evals.runs.output_items.retrieve(items[0].id, eval_id=made.id, run_id=run.id)
    assert one.sample.output[0].content == one.datasource_item["q"]
    assert one.sample.input[0].role == "user"
    assert {r.name for r in one.results} == {"equal", "alike"}
    assert client.evals.runs.delete(run.id, eval_id=made.id).deleted


def test_answers_at_hand_are_judged_without_a_model(door: Door, client: openai.OpenAI) -> None:
    rows = [{"item": {"a": "x"}, "sample": {"output_text": text}} for text in ("x", "y", "x")]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    file = door.client().files.create(file=("rows.jsonl", data), purpose="evals")
    made = client.evals.create(data_source_config=CONFIG, testing_criteria=[EQUAL])
    source: Any = {"type": "jsonl", "source": {"type": "file_id", "id": file.id}}
    done = ended(client, client.evals.runs.create(made.id, data_source=source))
    assert (done.result_counts.passed, done.result_counts.failed) == (2, 1)
    assert done.per_model_usage == []


def test_a_grader_in_python_judges_every_row(client: openai.OpenAI) -> None:
    source = ("def grade(sample, item):\n    n = int(sample['output_text'].split()[1])\n"
              "    return n / 5 if n != 4 else open('/etc/passwd')\n")  # fmt: skip
    python: Any = {"type": "python", "name": "py", "source": source, "pass_threshold": 0.5}
    made = client.evals.create(data_source_config=CONFIG, testing_criteria=[python])
    done = ended(client, client.evals.runs.create(made.id, data_source=asking()))
    counts = done.result_counts
    assert (counts.passed, counts.failed, counts.errored) == (2, 3, 1)
    items = client.evals.runs.output_items.list(done.id, eval_id=made.id).data
    assert {i.datasource_item_id: i.results[0].score for i in items if i.status != "error"} == (
        pytest.approx({0: 0, 1: 0.2, 2: 0.4, 3: 0.6, 5: 1})
    )
    (lost,) = [i for i in items if i.status == "error"]
    assert "FileNotFoundError" in lost.results[0].to_dict()["errors"]["python_grader_runtime_error"]  # type: ignore[index]


@pytest.mark.django_db
def test_stored_completions_are_rows_with_what_was_asked_and_said() -> None:
    project = uuid4()
    for n, mark in enumerate(("a", "b", "a")):
        StoredCompletion.objects.create(
            project_id=project, name=f"chatcmpl-{n}", request_id=f"req_{n}", model="m",
            metadata={"mark": mark}, body=completion_of("m", f"said {n}", 1, 1),
            messages=[{"role": "user", "content": f"asked {n}"}], settings={},
            created_at=timezone.now(),
        )  # fmt: skip
    source = {"type": "stored_completions", "metadata": {"mark": "a"}}
    asked = {"model": "m", "input_messages": {"type": "item_reference",
                                              "item_reference": "item.input"}}  # fmt: skip
    given: dict[str, Any] = {"type": "completions", "source": source}
    found = eval_sources.read(given, project_id=project, now=timezone.now())
    assert found.model == ""
    assert [row.sample for row in found.rows()] == [{"output_text": f"said {n}"} for n in (0, 2)]
    again = eval_sources.read(given | asked, project_id=project, now=timezone.now())
    assert again.asked(next(again.rows()).item) == [{"role": "user", "content": "asked 0"}]
    other = eval_sources.read(given, project_id=uuid4(), now=timezone.now())
    assert list(other.rows()) == []


@pytest.mark.django_db
def test_a_run_whose_first_request_no_budget_pays_is_not_begun(owner: Any) -> None:
    now = timezone.now()
    made = evals.create(project_id=owner.project_id, name="e", metadata=None,
                        data_source_config=CONFIG, testing_criteria=[EQUAL], now=now)  # fmt: skip
    prices.open_book(
        name="b", organisation_id=None, valid_from=now, now=now,
        prices=[{"kind": "requests", "amount": Decimal(2), "per": 1}],
    )  # fmt: skip
    budgets.set_budget(
        organisation_id=owner.organisation_id, reach="project", target_id=owner.project_id,
        period="month", limit=Decimal(1), hard=True, alert_at=[],
    )  # fmt: skip

    def start(source: Any) -> Any:
        return evals.start_run(made, key_id=uuid4(), name="", metadata=None, data_source=source,
                               now=now)  # fmt: skip

    with pytest.raises(budgets.BudgetSpent, match="budget of 1 a month"):
        start(asking())
    assert not EvalRun.objects.exists()
    rows = [{"item": {"a": "x"}, "sample": {"output_text": "x"}}]
    free = {"type": "jsonl", "source": {"type": "file_content", "content": rows}}
    assert start(free).phase == "queued", "answers at hand cost nothing to compare"


def test_what_cannot_be_asked_or_judged_is_an_error_of_its_row(client: openai.OpenAI) -> None:
    made = client.evals.create(data_source_config=CONFIG, testing_criteria=[EQUAL])
    rows = [{"item": {"q": "a", "a": "a"}}, {"item": {"a": "no question"}}, {"item": {"q": "b"}}]
    done = ended(client, client.evals.runs.create(made.id, data_source=asking(rows)))
    assert (done.result_counts.passed, done.result_counts.errored) == (1, 2)
    lost = asking(model="nobody")
    done = ended(client, client.evals.runs.create(made.id, data_source=lost))
    assert (done.status, done.result_counts.errored) == ("completed", 6)


def test_a_cancelled_run_keeps_what_was_judged(door: Door, client: openai.OpenAI) -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.1)
        await answer_well(exchange)

    door.engine.script = slow
    made = client.evals.create(data_source_config=CONFIG, testing_criteria=[EQUAL])
    rows = [{"item": {"q": "x", "a": "y"}} for _ in range(300)]
    run = client.evals.runs.create(made.id, data_source=asking(rows))
    until("a row", lambda: client.evals.runs.retrieve(
        run.id, eval_id=made.id).result_counts.failed)  # fmt: skip
    assert client.evals.runs.cancel(run.id, eval_id=made.id).status == "canceled"
    assert ended(client, run).result_counts.failed < 300
    assert door.call("POST", f"evals/{made.id}/runs/{run.id}").json()["status"] == "canceled"


@pytest.mark.parametrize(
    ("config", "criteria", "param"),
    [
        ({"type": "logs"}, [EQUAL], "data_source_config"),
        ({"type": "custom"}, [EQUAL], "data_source_config"),
        (CONFIG, [], "testing_criteria"),
        (CONFIG, [EQUAL | {"operation": "is"}], "testing_criteria[0].operation"),
        (CONFIG, [EQUAL, {k: v for k, v in ALIKE.items() if k != "pass_threshold"}],
         "testing_criteria[1].pass_threshold"),
        (CONFIG, [{"type": "python", "name": "p", "source": "x"}], "testing_criteria[0].source"),
        (CONFIG, [EQUAL | {"reference": "{{item.b}}"}], "testing_criteria[0].reference"),
        (CONFIG, [EQUAL | {"reference": "{{item.q.deep}}"}, EQUAL | {"input": "{{row.q}}"}],
         "testing_criteria[1].input"),
        (CONFIG, [EQUAL | {"input": "{{sample.words}}"}], "testing_criteria[0].input"),
        (CONFIG | {"include_sample_schema": False}, [EQUAL], "testing_criteria[0].input"),
        ({"type": "stored_completions"}, [EQUAL], "testing_criteria[0].reference"),
        (CONFIG, [{"type": "score_model", "name": "s", "model": "m", "input": [
            {"role": "user", "content": "{{item.a}}"}, {"role": "user", "content": "{{item.z}}"},
        ]}], "testing_criteria[0].input[1].content"),
    ],
)  # fmt: skip
def test_wrong_evals_name_their_field(door: Door, config: Any, criteria: Any, param: str) -> None:
    body = {"data_source_config": config, "testing_criteria": criteria}
    refused = door.call("POST", "evals", json=body)
    assert refused.status_code == 400
    assert error_of(refused)["param"] == param


def test_wrong_sources_are_refused_or_fail_the_run(door: Door, client: openai.OpenAI) -> None:
    made = client.evals.create(data_source_config=CONFIG, testing_criteria=[EQUAL])
    for source in ({}, {"type": "responses"}, {"type": "jsonl"}, asking(model=7),
                   {"type": "jsonl", "source": {"type": "file_id", "id": "file-0"}},
                   {"type": "jsonl", "source": {"type": "stored_completions", "limit": 0}},
                   {"type": "completions", "source": {"type": "file_content", "content": ROWS}},
                   {"type": "completions", "source": {"type": "stored_completions"},
                    "model": "m"}):  # fmt: skip
        refused = door.call("POST", f"evals/{made.id}/runs", json={"data_source": source})
        assert refused.status_code in {400, 404}, source
        error_of(refused)
    deep = b'{"item": {"q": %b}}\n' % (b"[" * 101 + b"]" * 101)
    for data, says in (
        (b'\n{"item": 1}\n', "Line 2 cannot be used"),
        (b'{"item": {}}\n\n' + deep, "Line 3 nests arrays and objects deeper than 100 levels"),
        (b"\n" + b"[" * 10**5, "Line 2 nests"),
        (b"\n{" + b" " * 2**20, "Line 2 is longer than 1048576 bytes"),
    ):
        file = door.client().files.create(file=("rows.jsonl", data), purpose="evals")
        source = {"type": "jsonl", "source": {"type": "file_id", "id": file.id}}
        done = ended(client, client.evals.runs.create(made.id, data_source=source))  # type: ignore[arg-type]
        assert done.status == "failed"
        assert says in done.error.message


SCHEMA: Any = {
    "type": "object",
    "properties": {"q": {"type": "string", "pattern": "^say"}, "a": {"$ref": "#/$defs/a"}},
    "required": ["q"],
    "$defs": {"a": {"type": "array", "items": {"enum": ["x", "y"]}}},
}
STRICT: Any = {"type": "custom", "item_schema": SCHEMA, "include_sample_schema": True}
FAULTS: list[tuple[Any, str, str, str]] = [
    ({"q": 5}, ".q", '5 is not of type "string"', "properties.q.type"),
    ({"q": "ask"}, ".q", '"ask" does not match "^say"', "properties.q.pattern"),
    ({"q": "say", "a": ["x", "z"]}, ".a[1]", '"z" is not one of', "$defs.a.items.enum"),
    ({"a": []}, "", '"q" is a required property', "required"),
]


@pytest.mark.parametrize(("item", "path", "says", "rule"), FAULTS)
def test_items_are_held_to_the_schema(
    door: Door, client: openai.OpenAI, item: Any, path: str, says: str, rule: str
) -> None:
    made = client.evals.create(data_source_config=STRICT, testing_criteria=[EQUAL])
    good = {"q": "say", "a": ["x"]}
    asked = asking([{"item": good}, {"item": item}])
    refused = door.call("POST", f"evals/{made.id}/runs", json={"data_source": asked})
    error = error_of(refused)
    assert (refused.status_code, error["code"]) == (400, "invalid_item")
    assert error["message"].startswith(f"data_source.source.content[1].item{path}: {says}")
    lines = "\n".join(json.dumps({"item": each}) for each in (good, good, item))
    file = door.client().files.create(file=("rows.jsonl", f"\n{lines}".encode()), purpose="evals")
    source = asking() | {"source": {"type": "file_id", "id": file.id}}
    done = ended(client, client.evals.runs.create(made.id, data_source=source))
    assert (done.status, done.error.code) == ("failed", "invalid_item")
    assert done.error.message.startswith(f"Line 4: $.item{path}: {says}")
    assert f"(rule {rule} of item_schema)" in done.error.message


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "text"}, "item_schema.type"),
        ({"properties": {"q": {"pattern": "(?=a)b"}}}, "item_schema.properties.q.pattern"),
        ({"pattern": "((a{99}){99}){99}"}, "item_schema.pattern"),
        ({"$ref": "http://127.0.0.1:1/schema"}, "Retrieval is disabled"),
        ({"$ref": "file:///etc/passwd"}, "Retrieval is disabled"),
        ({"$ref": "#/nowhere"}, "'/nowhere' does not exist"),
        ({"$schema": "http://127.0.0.1:1/meta"}, "Unknown meta-schema"),
    ],
)
def test_a_schema_that_is_none_is_refused_with_the_eval(door: Door, schema: Any, says: str) -> None:
    config = CONFIG | {"item_schema": CONFIG["item_schema"] | schema}
    body = {"data_source_config": config, "testing_criteria": [EQUAL]}
    refused = door.call("POST", "evals", json=body)
    error = error_of(refused)
    assert (refused.status_code, error["code"]) == (400, "invalid_schema"), error
    assert error["param"] == "data_source_config.item_schema"
    assert says in error["message"]


def test_a_schema_that_takes_for_ever_is_given_up() -> None:
    twice = {"anyOf": [{"properties": {"c": {"$ref": "#/$defs/n"}}, "required": ["x"]}] * 2}
    item: Any = {}
    for _ in range(90):
        item = {"c": item}
    with pytest.raises(Bad, match="within 1 s of processor time"):
        item_schemas.count({"$ref": "#/$defs/n", "$defs": {"n": twice}}, [("x", item)], seconds=1)
    slow = {"pattern": "^(a|aa)+$"}
    assert item_schemas.count(slow, [("x", "a" * 10**6)] * 3, seconds=1) == 3


def test_a_run_asks_and_takes_rows_as_responses(door: Door, client: openai.OpenAI) -> None:
    made = client.evals.create(data_source_config=CONFIG, testing_criteria=[EQUAL])
    schema: Any = {"type": "json_schema", "name": "x", "schema": {"type": "object"}}
    tool: Any = {"type": "function", "name": "f", "parameters": {}, "strict": False}
    source = asking(type="responses", sampling_params={
        "temperature": 0.5, "max_completion_tokens": 9, "text": {"format": schema},
        "tools": [tool],
    })  # fmt: skip
    done = ended(client, client.evals.runs.create(made.id, data_source=source))
    assert (done.result_counts.passed, done.result_counts.failed) == (3, 3)
    asked = door.engine.exchanges[-1].asked
    assert (asked["temperature"], asked["max_completion_tokens"]) == (0.5, 9)
    assert asked["response_format"]["json_schema"]["name"] == "x"
    assert asked["tools"][0]["function"]["name"] == "f"

    mark: Any = {"mark": uuid4().hex}
    for text, more in (("one", {}), ("two", {"user": "ada"}), ("three", {"user": "ada"})):
        client.responses.create(
            model="m", input=text, instructions="Echo it.", metadata=mark, **more
        )
    judged: Any = EQUAL | {"reference": "{{item.input[1].content}}"}
    kept = client.evals.create(data_source_config=CONFIG, testing_criteria=[judged])
    for wanted, count in (
        ({}, 3), ({"users": ["ada"]}, 2), ({"instructions_search": "echo"}, 3),
        ({"tools": ["f"]}, 0), ({"model": "m", "temperature": 1.0}, 3),
        ({"created_before": 1}, 0),
    ):  # fmt: skip
        rows = {"type": "responses", "source": {"type": "responses", "metadata": mark} | wanted}
        run = ended(client, client.evals.runs.create(kept.id, data_source=rows))  # type: ignore[arg-type]
        assert run.status == ("completed" if count else "failed"), wanted
        assert run.result_counts.passed == count
