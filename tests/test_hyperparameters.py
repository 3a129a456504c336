"""Hyper-parameters: one schema, faults a user can mend, automatic values with their reason."""

from __future__ import annotations

import pytest

from slipway_contracts import hyperparameters as hp

TINY = hp.Limits(
    parameters=3_880_000, positions=512, hidden_size=256, layers=4, vocabulary_size=2600
)
LARGE = hp.Limits(
    parameters=7_000_000_000, positions=32_768, hidden_size=4096, layers=32, vocabulary_size=152_064
)
BOTH = [(method, scale) for method in hp.METHODS for scale in hp.SCALES]


@pytest.mark.parametrize(("method", "scale"), BOTH)
def test_a_schema_tells_everything_a_form_needs(method, scale):
    parameters = hp.schema(method, scale, TINY)
    keys = [p.key for p in parameters]
    assert len(keys) == len(set(keys))
    for p in parameters:
        assert set(p.name) == set(p.text) == {"zh", "en"}
        assert all([*p.name.values(), *p.text.values()])
        if p.type in ("int", "float"):
            assert p.minimum is not None
            assert p.maximum is not None
            assert p.minimum < p.maximum
        assert (p.default == hp.AUTO) <= p.auto
    assert ("lora_rank" in keys) == (scale == "lora")


@pytest.mark.parametrize(("method", "scale"), BOTH)
@pytest.mark.parametrize("limits", [hp.Limits(), TINY, LARGE])
def test_defaults_and_what_they_resolve_to_pass_the_check(method, scale, limits):
    defaults = {p.key: p.default for p in hp.schema(method, scale, limits)}
    assert hp.check(method, scale, defaults, limits) == []
    for rows in (1, 20, 100, 5000, 1_000_000):
        facts = hp.Facts(rows=rows, longest_tokens=300)
        resolved = hp.resolve(method, scale, {}, facts=facts, limits=limits)
        assert set(resolved.values) == set(defaults)
        assert hp.AUTO not in resolved.values.values()
        assert set(resolved.why) == {key for key, value in defaults.items() if value == hp.AUTO}
        assert hp.check(method, scale, resolved.values, limits) == []


@pytest.mark.parametrize(
    ("key", "value", "rule", "fix"),
    [
        ("epochs", 0, "out of range", 'from 1 to 100 or "auto"'),
        ("epochs", 2.5, "not a whole number", 'a whole number such as 1 or "auto"'),
        ("epochs", True, "not a whole number", 'a whole number such as 1 or "auto"'),
        ("learning_rate", 1.0, "out of range", 'from 1e-07 to 0.1 or "auto"'),
        ("learning_rate", float("nan"), "out of range", 'from 1e-07 to 0.1 or "auto"'),
        ("learning_rate", "fast", "not a number", 'a number such as 1e-07 or "auto"'),
        ("max_seq_len", 513, "out of range", 'from 32 to 512 or "auto"'),
        ("packing", 1, "not a boolean", "true or false"),
        ("weight_decay", "auto", "not a number", "a number such as 0.0"),
        ("save_strategy", "hourly", "not a choice", "one of epoch, steps, no"),
        ("lora_targets", "q_proj", "not a list of layers", '"all-linear" or a list of layer names'),
        ("lora_targets", [], "not a list of layers", '"all-linear" or a list of layer names'),
        ("lora_targets", [3], "no such layer: 3", '"all-linear" or some of layer names'),
    ],
)
def test_a_fault_names_key_rule_value_and_fix(key, value, rule, fix):
    [fault] = hp.check("sft", "lora", {key: value}, TINY)
    assert (fault.key, fault.rule, fault.fix) == (key, rule, fix)
    assert fault.value is value


def test_every_fault_is_told_and_unknown_keys_are_named():
    faults = hp.check("sft", "full", {"epochs": -1, "lora_rank": 8, "batch_size": 8, "epoch": 3})
    assert [f.key for f in faults] == ["epochs", "lora_rank", "epoch"]
    assert faults[2].rule == "unknown key"
    assert "epochs" in faults[2].fix


def test_layer_names_are_checked_where_the_model_is_known():
    limits = hp.Limits(target_modules=("q_proj", "v_proj"))
    assert hp.check("sft", "lora", {"lora_targets": ["q_proj"]}, limits) == []
    [fault] = hp.check("sft", "lora", {"lora_targets": ["q_proj", "query"]}, limits)
    assert fault.rule == "no such layer: 'query'"
    assert fault.fix == '"all-linear" or some of q_proj, v_proj'


@pytest.mark.parametrize("call", [hp.schema, lambda m, s: hp.check(m, s, {})])
def test_unknown_methods_and_scales_are_refused(call):
    with pytest.raises(ValueError, match="there is sft"):
        call("magic", "lora")
    with pytest.raises(ValueError, match="there are lora, full"):
        call("sft", "half")


def test_automatic_values_follow_rows_and_size_and_say_why():
    tiny = hp.resolve("sft", "lora", {}, facts=hp.Facts(rows=100, longest_tokens=60), limits=TINY)
    assert tiny.values["batch_size"] == 10
    assert tiny.values["epochs"] * hp.steps_per_epoch(tiny.values, rows=100) == 150
    assert tiny.values["max_seq_len"] == 64
    assert "100 rows" in tiny.why["batch_size"]["en"]
    assert "3.9M" in tiny.why["learning_rate"]["en"]
    large = hp.resolve(
        "sft", "lora", {}, facts=hp.Facts(rows=20_000, longest_tokens=9000, gpus=1), limits=LARGE
    )
    assert large.values["learning_rate"] == 2e-4
    assert large.values["epochs"] == 1
    assert large.values["max_seq_len"] == 4096
    assert large.values["precision"] == "bfloat16"
    assert large.values["gradient_checkpointing"] is True
    full = hp.resolve("sft", "full", {}, facts=hp.Facts(rows=20_000), limits=LARGE)
    assert full.values["learning_rate"] < large.values["learning_rate"]


def test_given_values_are_kept_and_have_no_why():
    given = {"epochs": 2, "learning_rate": 1e-4, "batch_size": hp.AUTO}
    resolved = hp.resolve("sft", "lora", given, facts=hp.Facts(rows=100), limits=TINY)
    assert resolved.values["epochs"] == 2
    assert resolved.values["learning_rate"] == 1e-4
    assert "batch_size" in resolved.why
    assert not {"epochs", "learning_rate"} & set(resolved.why)


def _values(**given):
    facts = hp.Facts(rows=100, longest_tokens=60)
    return hp.resolve("sft", "lora", given, facts=facts, limits=TINY).values


@pytest.mark.parametrize(
    ("given", "workers", "steps"),
    [
        ({"epochs": 3, "batch_size": 10}, 1, 30),
        ({"epochs": 3, "batch_size": 9}, 1, 36),
        ({"epochs": 3, "batch_size": 10, "gradient_accumulation_steps": 4}, 1, 9),
        ({"epochs": 3, "batch_size": 10}, 2, 15),
        # 4,500 tokens fill 9 sequences of 512.
        ({"epochs": 3, "batch_size": 2, "packing": True, "max_seq_len": 512}, 1, 15),
    ],
)
def test_the_estimate_counts_steps_and_tokens(given, workers, steps):
    need = hp.estimate(
        "sft", "lora", _values(**given), rows=100, tokens=4500, limits=TINY, workers=workers
    )
    assert need.steps == steps
    assert need.tokens == 13_500


def test_the_memory_estimate_grows_with_what_is_held():
    def need(scale="lora", limits=TINY, **given):
        return hp.estimate("sft", scale, _values(**given), rows=100, tokens=4500, limits=limits)

    lora, full = need(), need("full")
    assert full.memory_parts["optimizer"] == 8 * TINY.parameters
    assert lora.memory_parts["optimizer"] < full.memory_parts["optimizer"] / 5
    assert lora.memory_bytes == sum(lora.memory_parts.values())
    assert need(batch_size=20).memory_parts["activations"] == (
        2 * need(batch_size=10).memory_parts["activations"]
    )
    # 7B in full float32 training: 16 bytes a parameter, before activations.
    assert need("full", LARGE).memory_bytes > 16 * LARGE.parameters
