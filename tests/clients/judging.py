"""Graders and evals."""

from __future__ import annotations

from typing import Any

import openai
from world import CHAT, HELLO, pages, scenario, until

SAME: Any = {"type": "string_check", "name": "same", "input": "{{sample.output_text}}",
             "reference": "{{item.answer}}", "operation": "eq"}  # fmt: skip


def _like(metric: str) -> Any:
    return {"type": "text_similarity", "name": metric, "input": "{{sample.output_text}}",
            "reference": "{{item.answer}}", "evaluation_metric": metric}  # fmt: skip


GRADERS: Any = [
    SAME,
    *map(_like, ("fuzzy_match", "bleu", "gleu", "meteor", "rouge_1", "rouge_l")),
    {"type": "python", "name": "py",
     "source": "def grade(sample, item):\n"
               "    return float(sample['output_text'] == item['answer'])"},
    {"type": "multi", "name": "all", "graders": {"a": SAME, "b": _like("fuzzy_match")},
     "calculate_output": "(a + b) / 2"},
]  # fmt: skip


@scenario("every grader is validated and run")
def _(w: Any) -> None:
    # The client's type of a `multi` knows one grader where the API takes several by name.
    graders = w.lenient.fine_tuning.alpha.graders
    text = "the cat sat on the mat today"
    for grader in GRADERS:
        assert graders.validate(grader=grader).grader
        good = graders.run(grader=grader, model_sample=text, item={"answer": text})
        assert good.reward > 0.99, grader
        bad = graders.run(grader=grader, model_sample="xyz", item={"answer": text})
        assert bad.reward < 0.5, grader
    none = SAME | {"operation": "same-ish"}
    w.refused(openai.BadRequestError, lambda: graders.validate(grader=none), 400)


@scenario("a model judges")
def _(w: Any) -> None:
    graders = w.openai.fine_tuning.alpha.graders
    judge = {"type": "score_model", "name": "judge", "model": CHAT, "range": [0, 1],
             "input": [{"role": "user", "content": "{{sample.output_text}}"}],
             "sampling_params": {"max_completion_tokens": 8}}  # fmt: skip
    graders.validate(grader=judge)
    found = graders.run(grader=judge, model_sample="fine", item={})
    # The demonstration's model is no judge: what counts is that it was asked, and paid for.
    assert found.metadata.token_usage > 0
    assert 0 <= found.reward <= 1


def _eval(w: Any, config: Any, criteria: Any) -> Any:
    return w.openai.evals.create(
        name=f"eval {w.mark}", data_source_config=config, testing_criteria=criteria
    )


def _ended(w: Any, made: Any, run: Any) -> Any:
    def look() -> Any:
        found = w.openai.evals.runs.retrieve(run.id, eval_id=made.id)
        return found if found.status in {"completed", "failed", "canceled"} else None

    return until("the run", look)


CUSTOM: Any = {
    "type": "custom", "include_sample_schema": True,
    "item_schema": {"type": "object", "properties": {"answer": {"type": "string"}}},
}  # fmt: skip


@scenario("an eval judges answers at hand, row by row")
def _(w: Any) -> None:
    made = _eval(w, CUSTOM, [SAME, _like("rouge_1") | {"pass_threshold": 0.5}])
    rows = [{"item": {"answer": "yes"}, "sample": {"output_text": text}} for text in ("yes", "no")]
    source = {"type": "jsonl", "source": {"type": "file_content", "content": rows}}
    run = w.openai.evals.runs.create(made.id, name="at hand", data_source=source)
    done = _ended(w, made, run)
    assert (done.status, done.result_counts.passed, done.result_counts.failed) == (
        "completed", 1, 1,
    )  # fmt: skip
    items = pages(w.openai.evals.runs.output_items.list(run.id, eval_id=made.id, limit=1))
    assert [item.status for item in items] == ["pass", "fail"]
    (failed,) = w.openai.evals.runs.output_items.list(run.id, eval_id=made.id, status="fail")
    assert w.openai.evals.runs.output_items.retrieve(
        failed.id, eval_id=made.id, run_id=run.id
    ).results
    assert [each.id for each in pages(w.openai.evals.runs.list(made.id))] == [run.id]
    assert w.openai.evals.update(made.id, name="renamed").name == "renamed"
    assert made.id in [each.id for each in pages(w.openai.evals.list(limit=2))]
    assert w.openai.evals.runs.delete(run.id, eval_id=made.id).deleted
    assert w.openai.evals.delete(made.id).deleted


@scenario("an eval asks a model by chat completions and by responses")
def _(w: Any) -> None:
    made = _eval(w, CUSTOM, [SAME])
    template = [{"role": "user", "content": "{{item.question}}"}]
    content = [{"item": {"question": HELLO[0]["content"], "answer": "?"}}]
    for kind, limit in (("completions", "max_completion_tokens"),
                        ("responses", "max_completion_tokens")):  # fmt: skip
        source = {
            "type": kind, "model": CHAT, "source": {"type": "file_content", "content": content},
            "input_messages": {"type": "template", "template": template},
            "sampling_params": {limit: 8, "temperature": 0},
        }  # fmt: skip
        done = _ended(w, made, w.openai.evals.runs.create(made.id, data_source=source))
        assert (done.status, done.result_counts.failed) == ("completed", 1), done
        assert done.per_model_usage[0].completion_tokens <= 8


@scenario("an eval judges chats that were stored")
def _(w: Any) -> None:
    mark = {"mark": f"eval-{w.mark}"}
    said = w.openai.chat.completions.create(
        model=CHAT, messages=HELLO, max_tokens=4, store=True, metadata=mark
    )
    until("the stored chat", lambda: list(w.openai.chat.completions.list(metadata=mark)))
    long = SAME | {"operation": "ne", "reference": ""}
    made = _eval(w, {"type": "stored_completions", "metadata": mark}, [long])
    source = {"type": "completions", "source": {"type": "stored_completions", "metadata": mark}}
    done = _ended(w, made, w.openai.evals.runs.create(made.id, data_source=source))
    assert (done.status, done.result_counts.total) == ("completed", 1)
    (item,) = w.openai.evals.runs.output_items.list(done.id, eval_id=made.id)
    assert item.sample.output[0].content == said.choices[0].message.content


@scenario("a run is cancelled, and one of no use says why")
def _(w: Any) -> None:
    made = _eval(w, CUSTOM, [SAME])
    content = [{"item": {"answer": "a"}, "sample": {"output_text": "a"}}] * 500
    source = {"type": "jsonl", "source": {"type": "file_content", "content": content}}
    run = w.openai.evals.runs.create(made.id, data_source=source)
    assert w.openai.evals.runs.cancel(run.id, eval_id=made.id).status == "canceled"
    source = {"type": "jsonl", "source": {"type": "file_id", "id": "file-none"}}
    w.refused(
        openai.NotFoundError, lambda: w.openai.evals.runs.create(made.id, data_source=source), 404
    )
