"""`slipway import`: an export made here is taken in there, twice is once, and nothing is silent."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import pytest
from door_world import Door, rows_of, until
from gateway_world import Exchange, answer_well, completion_of

from slipway.cli import promptfoo, taking
from slipway.cli.root import root

Run = Callable[..., str]


@pytest.fixture
def run(door: Door, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`slipway import …` in the rival's project; gives what it says."""
    monkeypatch.setenv("SLIPWAY_URL", f"http://127.0.0.1:{door.port}")
    monkeypatch.setenv("SLIPWAY_API_KEY", door.keys["rival-owner"])
    # Making a client of one's own reads the certificates of the world.
    monkeypatch.setattr(taking, "door", lambda: door.client("rival-owner"))

    def invoke(*words: str, fails: bool = False) -> str:
        done = click.testing.CliRunner().invoke(root, ["import", *words])
        if fails:
            return str(done.exception)
        assert done.exception is None, done.output
        return done.output

    return invoke


@pytest.fixture(scope="module")
def export(door: Door, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What docs/export_openai.py writes of a project with files, a job and an eval."""
    client = door.client()
    client.files.create(file=("rows.jsonl", rows_of(12)), purpose="fine-tune")
    client.evals.create(
        name="greets",
        data_source_config={"type": "custom", "item_schema": {"type": "object"},
                            "include_sample_schema": True},
        testing_criteria=[{"type": "string_check", "name": "hi", "input": "{{sample.output_text}}",
                           "reference": "hi", "operation": "ilike"}],
    )  # fmt: skip
    script = Path(__file__).parent.parent / "docs" / "export_openai.py"
    spec = importlib.util.spec_from_file_location("export_openai", script)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("export")
    module.export(client, folder)
    module.export(client, folder)
    file = json.loads((folder / "files.jsonl").read_text().splitlines()[-1])
    job = {"id": "ftjob-1", "model": "gpt-4o-mini", "training_file": file["id"], "seed": 3,
           "status": "succeeded", "fine_tuned_model": "ft:gpt-4o-mini:x"}  # fmt: skip
    with (folder / "fine_tuning_jobs.jsonl").open("a") as jobs:
        jobs.write(json.dumps(job) + "\n")
    return folder


def test_an_export_is_taken_in_once(run: Run, export: Path, door: Door, tmp_path: Path) -> None:
    rival = door.client("rival-owner")
    before = len(list(rival.files.list()))
    said = run("openai", str(export), "--dry-run")
    assert "would take   file" in said
    assert len(list(rival.files.list())) == before
    said = run("openai", str(export))
    assert "taken        eval" in said
    assert "left         job ftjob-1" in said
    assert "--model gpt-4o-mini=OURS" in said
    names = [file.filename for file in rival.files.list()]
    assert "rows.jsonl" in names
    made = next(e for e in rival.evals.list(order="desc") if e.name == "greets")
    assert made.testing_criteria[0].name == "hi"
    archive = shutil.make_archive(str(tmp_path / "export"), "zip", export)
    said = run("openai", archive)
    assert "\ntaken" not in f"\n{said}"
    assert "already here file" in said
    assert "already here eval" in said
    assert [file.filename for file in rival.files.list()] == names
    # A job is asked for anew on a model of ours; here there is none of that name to tune.
    said = run("openai", str(export), "--model", "gpt-4o-mini=m")
    assert "left         job ftjob-1" in said


def test_what_is_no_export_is_told(run: Run, tmp_path: Path) -> None:
    assert "no files.jsonl" in run("openai", str(tmp_path), fails=True)
    (tmp_path / "files.jsonl").write_text('{"id": "file-1"}\n{"nothing": 1}\n')
    assert "files.jsonl, line 2" in run("openai", str(tmp_path), fails=True)


CONFIG = """
description: Capitals
prompts:
  - "Name the capital of {{country}}."
  - file://chat.json
  - "{% if x %}no{% endif %}"
providers: [openai:gpt-4o, {id: "anthropic:x"}]
defaultTest:
  assert: [{type: not-contains, value: sorry}]
tests:
  - vars: {country: France, city: Paris}
    assert: [{type: icontains, value: "{{city}}"}]
  - vars: {country: Italy, city: Rome}
    assert: [{type: icontains, value: Rome}]
  - vars: {country: Spain}
    assert:
      - {type: regex, value: "Madrid|madrid"}
      - {type: python, value: "len(output) < 60 and context['vars']['country'] == 'Spain'"}
      - {type: javascript, value: "output.length"}
      - {type: llm-rubric, value: is polite}
  - file://more.csv
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "chat.json").write_text('[{"role": "system", "content": "Say {{country}}"}]')
    (tmp_path / "more.csv").write_text("country,__expected\nPeru,icontains:Lima\n")
    path = tmp_path / "promptfooconfig.yaml"
    path.write_text(CONFIG)
    return path


def test_promptfoo_tests_become_evals_that_judge(run: Run, config: Path, door: Door) -> None:
    async def capital(exchange: Exchange) -> None:
        said = str(exchange.asked["messages"][-1]["content"])
        known = {"France": "It is Paris.", "Italy": "sorry", "Spain": "Madrid", "Peru": "Lima!"}
        text = next(city for country, city in known.items() if country in said)
        await exchange.whole(completion_of("m", text, 7, 5))

    door.engine.script = capital
    said = run("promptfoo", str(config), "--model", "m")
    for left in (
        "part prompts[2]",
        "tests[2].assert[2]: javascript has no grader",
        "tests[2].assert[3]: llm-rubric needs a model",
        "provider openai:gpt-4o",
    ):
        assert left in said, said
    rival = door.client("rival-owner")
    evals = {e.name: e for e in rival.evals.list(order="desc") if e.name.startswith("Capitals")}
    assert sorted(evals) == ["Capitals 1", "Capitals 2"]
    runs = [r for e in evals.values() for r in rival.evals.runs.list(e.id)]
    assert len(runs) == 4

    def over() -> Any:
        found = [rival.evals.runs.retrieve(r.id, eval_id=r.eval_id) for r in runs]
        return found if all(r.status == "completed" for r in found) else None

    done = until("the runs", over, seconds=60)
    assert {(r.result_counts.passed, r.result_counts.failed, r.result_counts.errored)
            for r in done} == {(2, 1, 0), (1, 0, 0)}  # fmt: skip
    again = run("promptfoo", str(config), "--model", "m")
    assert "\ntaken" not in f"\n{again}"
    door.engine.script = answer_well


@pytest.mark.parametrize(
    ("given", "answer", "passes"),
    [
        ({"type": "equals", "value": "a"}, "a", True),
        ({"type": "starts-with", "value": "ab"}, "abc", True),
        ({"type": "not-icontains", "value": "B"}, "abc", False),
        ({"type": "contains-all", "value": ["a", "c"]}, "abc", True),
        ({"type": "icontains-any", "value": "X, C"}, "abc", True),
        ({"type": "is-json"}, '{"a": 1}', True),
        ({"type": "is-json"}, "no", False),
        ({"type": "levenshtein", "value": "kitten", "threshold": 3}, "sitting", True),
        ({"type": "levenshtein", "value": "kitten", "threshold": 2}, "sitting", False),
        ({"type": "rouge-n", "value": "the cat sat"}, "the cat sat", True),
        ({"type": "python", "value": "if 'a' in output:\n    return 0.9\nreturn 0",
          "threshold": 0.5}, "abc", True),
        ({"type": "python", "value": "{'pass_': True, 'score': 1.0}"}, "x", True),
    ],
)  # fmt: skip
def test_each_assert_judges_as_it_did(
    door: Door, given: dict[str, Any], answer: str, passes: bool
) -> None:
    grader, expected = promptfoo.criterion(given, "expected_0", "", {})
    made = door.client().fine_tuning.alpha.graders.run(
        grader=grader, model_sample=answer, item={"expected_0": expected}  # type: ignore[arg-type]
    )  # fmt: skip
    assert not any(v is True for v in made.metadata.errors.to_dict().values())
    assert (made.reward >= grader.get("pass_threshold", 1)) == passes
