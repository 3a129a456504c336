"""Whom the gateway asks, in which order; without a socket."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from slipway.gateway import plan
from slipway.gateway.facts import Origin, Route, Rule, Snapshot


def route(name: str, **more: Any) -> Route:
    given = {"endpoints": (f"unix:/{name}",), "state": "live"} | more
    return Route(project_id="p", name=name, deployment_id=f"d-{name}", version_id="v", **given)


def picture(*routes: Route) -> Snapshot:
    return Snapshot(routes={("p", one.name): one for one in routes})


def test_without_a_rule_a_name_is_itself() -> None:
    one = route("m")
    assert plan.targets(picture(one), one, 12.5) == (one,)


def test_shares_are_kept_to_a_hundredth() -> None:
    asked = route("m", rule=Rule(shares=(("a", 90), ("b", 9), ("c", 1))))
    drawn = Counter(plan.names(asked, n / 100)[0] for n in range(10_000))
    assert drawn == {"a": 9000, "b": 900, "c": 100}


def test_request_ids_are_as_good_as_chance() -> None:
    # A prefix and a counter: what is drawn must not follow the counter.
    drawn = [plan.draw(b"req_0123456789abcdef%08x" % n) for n in range(20_000)]
    assert min(drawn) >= 0
    assert max(drawn) < 100
    tenths = Counter(int(one // 10) for one in drawn)
    assert all(1_800 < count < 2_200 for count in tenths.values()), tenths


def test_fallbacks_follow_in_order_and_nobody_is_asked_twice() -> None:
    rule = Rule(shares=(("a", 50), ("b", 50)), fallbacks=("b", "c", "a"))
    here = picture(*(route(name) for name in "abc"))
    asked = route("m", rule=rule)
    assert [one.name for one in plan.targets(here, asked, 10)] == ["a", "b", "c"]
    assert [one.name for one in plan.targets(here, asked, 60)] == ["b", "c", "a"]


def test_those_that_cannot_answer_are_passed_over() -> None:
    rule = Rule(shares=(("a", 100),), fallbacks=("b", "gone", "c"))
    asked = route("m", rule=rule)
    here = picture(route("a", endpoints=(), state="unhealthy"), route("b"), route("c"))
    assert [one.name for one in plan.targets(here, asked, 0)] == ["b", "c"]
    # None is there: the one that comes back is waited for, the stopped one is not.
    here = picture(
        route("a", endpoints=(), state="stopped"), route("b", endpoints=(), state="unhealthy")
    )
    assert [one.name for one in plan.targets(here, asked, 0)] == ["b"]
    here = picture(route("a", endpoints=(), state="stopped"))
    assert [one.name for one in plan.targets(here, asked, 0)] == ["a"]
    assert plan.targets(picture(), asked, 0) == ()


def test_a_name_may_be_its_own_target_and_rules_do_not_chain() -> None:
    asked = route("m", rule=Rule(shares=(("m", 100),), fallbacks=("rule",)))
    bare = Route(
        project_id="p", name="rule", deployment_id="", version_id="", endpoints=(), state="live",
        rule=Rule(shares=(("m", 100),)),
    )  # fmt: skip
    assert plan.targets(picture(asked, bare), asked, 0) == (asked,)
    assert not plan.answers(route("m", endpoints=(), state="stopped", rule=asked.rule))


def test_a_session_stays_with_its_replica_while_it_lives() -> None:
    addresses = [f"unix:/{n}" for n in range(5)]
    sessions = [f"session-{n}".encode() for n in range(1000)]
    at = {one: plan.replica(addresses, one) for one in sessions}
    assert all(150 < count < 260 for count in Counter(at.values()).values())
    assert at == {one: plan.replica(addresses[::-1], one) for one in sessions}
    fewer = {one: plan.replica(addresses[1:], one) for one in sessions}
    moved = [one for one in sessions if fewer[one] != at[one]]
    assert {at[one] for one in moved} == {addresses[0]}
    assert plan.replica([], b"x") is None


def test_a_target_is_asked_by_its_own_name_and_for_nothing_else() -> None:
    body = b'{"model": "m", "messages": [{"content": "\\u00e4 \xc3\xa4", "n": 1.10}], "seed": 1e3}'
    named = plan.body_for(body, route("other"))
    assert json.loads(named) == json.loads(body) | {"model": "other"}
    assert (b"1.10" in named, b"1e3" in named) == (True, True)  # numbers as they were sent
    far = route("far", origin=Origin(netloc="h", base_path="", model='x"y'))
    assert json.loads(plan.body_for(body, far))["model"] == 'x"y'
