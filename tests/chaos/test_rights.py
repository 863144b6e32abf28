"""Every single right of the operator is taken away while it works, and given back.

What it may not do is said: in the status of the RiskPredictor, or, where the right is one to speak,
in the log. Once the right is back all heals by itself, within the half minute that it waits before
it asks again.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp.web import Request

from riskpredictor_operator.core.api import CHILDREN
from riskpredictor_operator.kube import Key
from riskpredictor_operator.preflight import permissions
from support.api import DEPLOYMENT, NAMESPACE, SERVICE, Api, Body, eventually
from support.audit import Mark, Right
from support.cluster import LocalCluster
from support.endstate import await_order, disorder
from support.operator import ALONE, Supervisor
from support.predictors import Predictors
from support.proxy import GONE_EVENT, Fault, Proxy, is_watch
from support.roles import Role, without

RIGHTS: list[Right] = [
    (verb, resource.group, f"{resource.plural}/{sub}" if sub else resource.plural)
    for verb, resource, sub in permissions()
]
"""All that the role grants (a contract test holds it to this list)."""

EVERYWHERE = [right for right in RIGHTS if right[0] in ("list", "watch") and right[2] != "pods"]
"""Rights used for all namespaces at once, by the watches."""
COPIES = [right for right in RIGHTS if right[2] == "configmaps"]
"""Without these a model from a store has no copy, and nothing else is missing; what is told then is
in tests/unit/operator/test_model_copier.py."""
ONE_BY_ONE = [right for right in RIGHTS if right not in EVERYWHERE and right not in COPIES]
SPEECH = [right for right in ONE_BY_ONE if right[2] in ("events", "riskpredictors/status")]
"""Without these the status, or the Event, is what cannot be written."""

LONG = os.environ.get("CHAOS") == "long"
TELL_SECONDS, HEAL_SECONDS = 20.0, 60.0


def _words(right: Right) -> str:
    return f"{right[0]} {right[2]}"


# ---- rights in a namespace: all at the same time, each missing in a namespace of its own ----


@dataclass
class Outcome:
    """What came of one missing right."""

    ready: Body = field(default_factory=dict)
    """Ready while it was missing."""
    log: list[str] = field(default_factory=list)
    """What the operator logged about that RiskPredictor meanwhile."""
    disorder: list[str] = field(default_factory=list)
    """What was not as declared in the end."""
    requests: int = 0
    """Refused in five seconds after it was told."""


def _provoke(api: Api, predictors: Predictors, key: Key, right: Right) -> None:
    """Ask for something that cannot be done without the right."""
    verb, _, plural = right
    child = next((each for each in CHILDREN if each.plural == plural), SERVICE)
    if right in SPEECH:
        predictors.patch(key, modelVersion="v2")
    elif plural == "pods":
        predictors.patch(key, podTemplate={"nodeSelector": {"no": "node"}})
    elif verb == "delete" and child in (DEPLOYMENT, SERVICE):
        predictors.break_beyond_update(key, child)
    elif verb == "delete":
        predictors.patch(key, replicas=1)
    elif verb == "patch":
        api.patch(child, key, {"metadata": {"labels": {"app": "other"}}})
    else:
        api.delete(child, key)


def _wanted(right: Right) -> Body:
    if right in SPEECH:
        return {"modelVersion": "v2"}
    fixed = right[0] == "delete" and right[2] not in (DEPLOYMENT.plural, SERVICE.plural)
    return {"replicas": 1} if fixed else {"modelVersion": "v1"}


@pytest.fixture(scope="module")
def outcomes(
    cluster: LocalCluster,
    api: Api,
    operator_config: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[Right, Outcome]]:
    """The rights in the whole cluster shrink to the watches'; each namespace grants all but one."""
    role, log = Role.of(cluster), tmp_path_factory.mktemp("rights") / "operator.log"
    assert sorted(RIGHTS) == role.rights
    homes = {right: Predictors(api, f"rights-{n}") for n, right in enumerate(ONE_BY_ONE)}
    for home in homes.values():
        api.create(NAMESPACE, {"metadata": {"name": home.namespace}})
    try:
        with Supervisor(operator_config, log, ALONE) as operator:
            keys = {right: home.create(minReplicas=1) for right, home in homes.items()}
            for right, home in homes.items():
                home.settle(keys[right])
                role.grant(home.namespace, without(role.body["rules"], [right]))
            found = {right: Outcome() for right in ONE_BY_ONE}
            with role.lacking(ONE_BY_ONE):
                before = len(operator.says())
                for right, home in homes.items():
                    _provoke(api, home, keys[right], right)
                _await_telling(found, homes, keys, lambda: operator.says()[before:])
                mark = Mark(cluster)
                time.sleep(5.0)
                for entry in mark.requests():
                    for right, home in homes.items():
                        if entry.get("objectRef", {}).get("namespace") == home.namespace:
                            refused = entry["responseStatus"].get("code") == 403
                            found[right].requests += refused
            homes[("list", "", "pods")].patch(keys[("list", "", "pods")], podTemplate=None)
            _await_order(api, found, homes)
            assert operator.exits == []
        assert "Traceback" not in operator.says()
        yield found
    finally:
        for home in homes.values():
            api.delete(NAMESPACE, Key("", home.namespace))


def _await_telling(
    found: dict[Right, Outcome],
    homes: dict[Right, Predictors],
    keys: dict[Right, Key],
    log: Callable[[], str],
) -> None:
    """Fill in what is said, until all have said something or had the time for it."""
    until = time.monotonic() + TELL_SECONDS
    while time.monotonic() < until:
        for right, outcome in found.items():
            outcome.ready = homes[right].condition(keys[right])
            about = re.escape(str(keys[right]))
            outcome.log = re.findall(rf"^.*{about}.*$", log(), flags=re.MULTILINE)
        if all(_is_told(right, outcome) for right, outcome in found.items()):
            return
        time.sleep(0.3)


def _is_told(right: Right, outcome: Outcome) -> bool:
    if right in SPEECH:
        return any(_names(right, line) for line in outcome.log)
    return bool(outcome.ready["reason"] == "Forbidden")


def _names(right: Right, text: str) -> bool:
    """Whether it says which right is missing, in the API server's words."""
    verb, _, plural = right
    return f'cannot {verb} resource "{plural}"' in text


def _await_order(api: Api, found: dict[Right, Outcome], homes: dict[Right, Predictors]) -> None:
    until = time.monotonic() + HEAL_SECONDS
    while time.monotonic() < until:
        for right, outcome in found.items():
            outcome.disorder = disorder(api, homes[right].namespace, {"risk": _wanted(right)})
        if not any(outcome.disorder for outcome in found.values()):
            return
        time.sleep(1.0)


@pytest.mark.parametrize("right", ONE_BY_ONE, ids=_words)
def test_a_missing_right_is_told_and_all_heals_when_it_is_back(
    outcomes: dict[Right, Outcome], right: Right
) -> None:
    outcome = outcomes[right]
    if right in SPEECH:
        assert any(_names(right, line) for line in outcome.log), outcome.log
    else:
        assert (outcome.ready["status"], outcome.ready["reason"]) == ("False", "Forbidden")
        assert _names(right, outcome.ready["message"]), outcome.ready["message"]
        assert "apply its roles again" in outcome.ready["message"]
    assert outcome.requests <= 5, "it does not insist"
    assert outcome.disorder == []


# ---- rights in all namespaces: one after the other, the watches expire and begin with a list ----

IN_SHORT = [("list", "apps", "deployments"), ("watch", "healthtech.dev", "riskpredictors")]


@pytest.mark.parametrize("right", EVERYWHERE if LONG else IN_SHORT, ids=_words)
def test_blinded_it_says_so_and_catches_up(
    cluster: LocalCluster,
    api: Api,
    proxy: Proxy,
    cut_off: Supervisor,
    predictors: Predictors,
    right: Right,
) -> None:
    key = predictors.create(minReplicas=1)
    predictors.wait(key)
    expired: Counter[str] = Counter()

    def choose(request: Request) -> Fault | None:
        # Twice, for the connection of the first may be one that is cut.
        if not is_watch(request) or expired[request.path] == 2:
            return None
        expired[request.path] += 1
        return GONE_EVENT

    with Role.of(cluster).lacking([right]):
        before = len(cut_off.says())
        proxy.choose = choose
        proxy.cut()
        eventually(
            lambda: _names(right, cut_off.says()[before:]),
            within=30,
            what=f"the log tells that it cannot {_words(right)}",
        )
        predictors.patch(key, modelVersion="v2")
        api.patch(DEPLOYMENT, key, {"spec": {"revisionHistoryLimit": 7}})
        api.patch(SERVICE, key, {"metadata": {"labels": {"app": "other"}}})
        time.sleep(2.0)
    predictors.wait(key, within=HEAL_SECONDS)
    await_order(api, key.namespace, {key.name: {"modelVersion": "v2"}}, within=HEAL_SECONDS)
    assert cut_off.exits == []
