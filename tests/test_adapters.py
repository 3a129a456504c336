"""A finished LoRA answers by its name on its base's deployment, without one of its own."""

from __future__ import annotations

import json
import pathlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import engine_models
import httpx
import openai
import pytest
from django.utils import timezone
from engine_world import Running
from gateway_world import SECRET, world

from slipway.gateway import adapters
from slipway.gateway.loader import Loader
from slipway.traffic import services as traffic
from slipway_runtime.serving import lora

# peft asks transformers by a name that transformers is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

ASK: Any = [{"role": "user", "content": "华北地区的销售额?"}]


def made_adapter(folder: pathlib.Path, seed: int) -> pathlib.Path:
    """A random LoRA of the tiny model as PEFT saves it."""
    import peft
    import torch

    torch.manual_seed(seed)
    config = peft.LoraConfig(init_lora_weights=False, r=4, target_modules="all-linear")
    peft.get_peft_model(engine_models.model(), config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[pathlib.Path]:
    return [made_adapter(tmp_path_factory.mktemp("adapter"), seed) for seed in range(4)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("engine")) as one:
        yield one


def merged_answer(running: Running, adapter: pathlib.Path | None, tokens: int) -> str:
    """What the plain library answers by the base with the adapter merged into it."""
    model = engine_models.model()
    if adapter is not None:
        model = lora.merge(model, adapter)
    tokenizer = running.served.tokenizer
    prompt = tokenizer.apply_chat_template(ASK, add_generation_prompt=True)["input_ids"]
    text: str = tokenizer.decode(
        engine_models.greedy(model, prompt, tokens), skip_special_tokens=True
    )
    return text


def ask(running: Running, adapter: pathlib.Path | None, tokens: int = 24) -> httpx.Response:
    body = {"model": "any", "messages": ASK, "max_tokens": tokens, "ignore_eos": True}
    headers = {"x-adapter": adapter.as_uri()} if adapter else {}
    with running.http() as http:
        asked = body | ({} if adapter else {"model": "tiny"})
        return http.post("/v1/chat/completions", json=asked, headers=headers)


def test_many_adapters_asked_at_once_answer_as_their_merged_models(
    running: Running, made: list[pathlib.Path]
) -> None:
    answers: dict[int, httpx.Response] = {}

    def one(index: int) -> None:
        answers[index] = ask(running, [*made, None][index % 5])

    threads = [threading.Thread(target=one, args=(index,)) for index in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, answer in answers.items():
        assert answer.status_code == 200, answer.text
        wanted = merged_answer(running, [*made, None][index % 5], 24)
        assert answer.json()["choices"][0]["message"]["content"] == wanted
        assert answer.json()["model"] == ("tiny" if index % 5 == 4 else "any")


def test_an_adapter_that_cannot_be_had_is_said_and_the_engine_goes_on(
    running: Running, made: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    refused = ask(running, tmp_path / "nothing")
    assert (refused.status_code, refused.json()["error"]["code"]) == (500, "adapter_unusable")
    strange = tmp_path / "strange"
    strange.mkdir()
    for file in made[0].iterdir():
        (strange / file.name).write_bytes(file.read_bytes())
    config = json.loads((strange / "adapter_config.json").read_text()) | {"use_dora": True}
    (strange / "adapter_config.json").write_text(json.dumps(config))
    refused = ask(running, strange)
    assert "use_dora" in refused.json()["error"]["message"]
    assert ask(running, made[0]).status_code == 200


def test_the_least_used_makes_room_for_the_newest(
    made: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    with Running(tmp_path) as one:
        assert ask(one, made[0]).status_code == 200
        (size,) = one.app._shelf._sizes.values()
        one.app._shelf._most_bytes = 2 * size
        for index in (1, 0, 2, 3):
            assert ask(one, made[index], 8).status_code == 200
        kept = {made[2].as_uri(), made[3].as_uri()}
        assert set(one.app._shelf._sizes) == set(one.served.adapters.names()) == kept
        answer = ask(one, made[1])
        assert answer.json()["choices"][0]["message"]["content"] == merged_answer(one, made[1], 24)


# The routes


def deployed(**changes: Any) -> Any:
    given = {
        "project_id": UUID(int=1), "name": "base", "deployment_id": UUID(int=2),
        "version_id": UUID(int=3), "endpoints": ("unix:/run/a.sock",), "state": "live",
        "reason": "", "root": "base@1", "context_length": 512, "capabilities": ("chat",),
        "takes_adapters": True, "at_once": 512, "queue": 256,
    }  # fmt: skip
    return SimpleNamespace(**(given | changes))


def version(number: int, **changes: Any) -> Any:
    given = {
        "id": UUID(int=100 + number), "project_id": UUID(int=1), "model_name": "sales",
        "reference": f"sales@{number}", "uri": f"file:///sales/{number}", "adapter": {"rank": 4},
        "base_version_id": UUID(int=3), "created_at": datetime(2026, 1, number, tzinfo=UTC),
    }  # fmt: skip
    return SimpleNamespace(**(given | changes))


def checkpoint(step: int, **changes: Any) -> Any:
    given = {
        "id": UUID(int=200 + step), "project_id": UUID(int=1), "model": "sales", "step": step,
        "uri": f"file:///ckpt/{step}", "base_version_id": UUID(int=3), "version_id": None,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return SimpleNamespace(**(given | changes))


def test_what_is_finished_has_a_route_on_its_bases_deployment() -> None:
    homes = adapters.homes([deployed()])
    routes = adapters.beside(homes, [version(1), version(2)], [checkpoint(8)])
    found = {route.name: route for route in routes}
    assert list(found) == ["sales", "sales@1", "sales@2", "sales:ckpt-step-8"]
    assert found["sales"].adapter == "file:///sales/2"
    assert found["sales@1"].version_id == str(UUID(int=101))
    assert found["sales:ckpt-step-8"].adapter == "file:///ckpt/8"
    for route in routes:
        assert route.endpoints == ("unix:/run/a.sock",)
        assert (route.parent, route.deployment_id) == ("base", str(UUID(int=2)))


def test_what_cannot_be_answered_beside_its_base_has_none() -> None:
    homes = adapters.homes([deployed(takes_adapters=False)])
    assert homes == {}
    homes = adapters.homes([deployed()])
    unfit = [
        version(1, base_version_id=UUID(int=9)),
        version(2, adapter={"dora": True}),
        version(3, project_id=UUID(int=7)),
    ]
    assert adapters.beside(homes, unfit, [checkpoint(1, project_id=UUID(int=7))]) == []


def test_of_two_deployments_the_one_that_answers_is_taken() -> None:
    down = deployed(endpoints=(), deployment_id=UUID(int=8))
    (home,) = adapters.homes([down, deployed(), down])[UUID(int=3)].values()
    assert home.deployment_id == UUID(int=2)


def test_the_gateway_names_the_adapter_to_the_engine_and_to_no_client() -> None:
    with world() as gw:
        gw.routes["p1", "sales"] = gw.route(
            name="sales", adapter="file:///sales/2", version_id="v2"
        )
        client = openai.OpenAI(base_url=gw.url, api_key=SECRET, http_client=gw.http)
        client.chat.completions.create(
            model="sales", messages=ASK, extra_headers={"x-adapter": "file:///etc"}
        )
        assert b"\r\nx-adapter: file:///sales/2\r\n" in gw.engine.exchanges[-1].head
        assert gw.records()[-1]["version_id"] == "v2"
        client.chat.completions.create(
            model="m", messages=ASK, extra_headers={"x-adapter": "file:///etc"}
        )
        assert b"x-adapter" not in gw.engine.exchanges[-1].head
        assert [model.id for model in client.models.list()] == ["m", "sales"]


@pytest.mark.django_db
def test_the_picture_holds_adapters_and_checkpoints_of_deployed_bases(owner: Any) -> None:
    from slipway.deployments.models import Deployment, Revision
    from slipway.registry.models import Model, ModelVersion
    from slipway.training.models import Checkpoint, TrainingJob

    def model_version(name: str, **fields: Any) -> Any:
        model, _ = Model.objects.get_or_create(project_id=owner.project_id, name=name)
        return ModelVersion.objects.create(
            project_id=owner.project_id, model=model, number=1, phase="ready", **fields
        )

    base = model_version("base")
    tuned = model_version("sales", kind="adapter", base=base)
    model_version("other", kind="adapter", base=model_version("undeployed"))
    deployment = Deployment.objects.create(
        project_id=owner.project_id, name="live-base", phase="live", version_id=base.pk
    )
    Revision.objects.create(
        project_id=owner.project_id, deployment=deployment, number=1, replicas=1,
        version_id=base.pk, reference="base@1", phase="serving", base_uri="file:///base",
        endpoints=["unix:/run/one.sock"],
    )  # fmt: skip
    job = TrainingJob.objects.create(
        whole_version_id=base.pk,
        project_id=owner.project_id, base_version_id=base.pk, base_name="base@1", scale="lora",
        result_name="sales", dataset_version_id=uuid4(), dataset_name="d@1", dataset_sha256="",
        method="sft", phase="succeeded", result_version_id=tuned.pk,
        queued_at=timezone.now(),
    )  # fmt: skip
    Checkpoint.objects.create(job=job, step=20, attempt=1, uri="file:///ckpt-20", at=timezone.now())
    project = str(owner.project_id)
    routes = {name: route for (_, name), route in Loader()().routes.items()}
    assert set(routes) == {"live-base", "sales", "sales@1", "sales:ckpt-step-20"}
    assert routes["sales"].adapter.endswith(str(tuned.pk))
    assert routes["sales:ckpt-step-20"].version_id == str(tuned.pk)
    assert {route.project_id for route in routes.values()} == {project}
    assert routes["live-base"].adapter == ""
    # A further name for all of it, and one checkpoint shared with another project.
    other, now = uuid4(), timezone.now()
    tuned_name, step = "ft:base:acme:sales:1", "ft:base:acme:sales:1:ckpt-step-20"
    shared = traffic.give_alias(
        project_id=other, name=step, of_project_id=owner.project_id, of_name=step, now=now
    )
    traffic.give_alias(
        project_id=owner.project_id, name=tuned_name, of_project_id=owner.project_id,
        of_name="sales", now=now, with_checkpoints=True,
    )  # fmt: skip
    picture = Loader()().routes
    assert {n for p, n in picture if p == project} == {*routes, tuned_name, step}
    assert {n for p, n in picture if p != project} == {step}
    abroad = picture[str(other), step]
    assert (abroad.project_id, abroad.adapter) == (str(other), "file:///ckpt-20")
    assert abroad.endpoints == ("unix:/run/one.sock",)
    traffic.drop_alias(shared.id)
    assert (str(other), step) not in Loader()().routes
    deployment.phase = "stopping"
    deployment.save()
    assert not any(route.endpoints for route in Loader()().routes.values())
