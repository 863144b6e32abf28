"""Whatever somebody writes into a RiskPredictor is refused by name, or becomes a condition."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.operator.strategies import specs

from riskpredictor_operator.core.reading import SpecError
from riskpredictor_operator.core.spec import parse
from riskpredictor_operator.kube import Key, path_of
from support.api import RISKPREDICTOR, Api, Body, Refused, eventually
from support.operator import OperatorProcess

CASES = int(os.environ.get("MALFORMED_CASES", "2000"))
MADE = 60
"""So many of those that the API server accepts are really made, and met by the operator."""

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=40),
    st.sampled_from(["", " ", "a" * 300, "-", "1e400", "10Mi ", "Ω", "v1\n", "../v1", "{}", "0"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text("ab", min_size=1, max_size=2), st.integers(), max_size=2),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a spec, its own included."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for name, sub in inner for place in _places(sub, (*path, name)))]


def _with(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    if not path:
        return junk
    copy = value.copy()
    copy[path[0]] = _with(value[path[0]], path[1:], junk)
    return copy


@st.composite
def malformed(draw: st.DrawFn) -> tuple[tuple[str, ...], Any]:
    """A spec with junk in up to three places, and where, if there is but one: field and parent."""
    spec: Any = draw(specs())
    count = draw(st.integers(0, 3))
    fields: tuple[str, ...] = ("spec",)
    for _ in range(count):
        place = draw(st.sampled_from(_places(spec)))
        named = [part for part in place if isinstance(part, str)]
        fields = tuple(named[-2:]) if named and count == 1 else ("spec",)
        spec = _with(spec, place, draw(JUNK))
        if not isinstance(spec, dict):
            break
    return fields, spec


def test_every_malformed_one_is_refused_by_name_or_met_with_a_condition(
    api: Api, operator: OperatorProcess, namespace: str
) -> None:
    # No pods: some ask for a million.
    api.limit(namespace, pods="0")
    outcome = {"refused": 0, "accepted": 0}
    made: list[Key] = []

    @settings(
        max_examples=CASES, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=malformed())
    def ask(case: tuple[tuple[str, ...], Any]) -> None:
        fields, spec = case
        name = f"m-{sum(outcome.values())}"
        answer = _try(api, namespace, name, spec)
        if isinstance(answer, Refused):
            outcome["refused"] += 1
            assert answer.status in (400, 422), answer
            assert any(field in str(answer) for field in fields), (fields, answer)
            return
        outcome["accepted"] += 1
        with suppress(SpecError):
            parse(answer)
        if len(made) < MADE and outcome["accepted"] % 7 == 0:
            _create(api, namespace, name, spec)
            made.append(Key(namespace, name))

    ask()
    assert sum(outcome.values()) >= CASES
    assert min(outcome.values()) > CASES / 10, outcome
    assert len(made) == MADE

    def silent() -> list[Key]:
        bodies = {b["metadata"]["name"]: b for b in api.items(RISKPREDICTOR, namespace)}
        return [key for key in made if not _is_told(bodies[key.name])]

    eventually(lambda: not silent(), within=90, every=1.0, what="each has a condition")
    assert "Traceback" not in operator.says()


def _try(api: Api, namespace: str, name: str, spec: Any) -> Body | Refused:
    try:
        return _create(api, namespace, name, spec, "?dryRun=All")
    except Refused as refused:
        return refused


def _create(api: Api, namespace: str, name: str, spec: Any, query: str = "") -> Body:
    body = {
        "apiVersion": RISKPREDICTOR.api_version,
        "kind": RISKPREDICTOR.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    return api.request("POST", path_of(RISKPREDICTOR, Key(namespace, "")) + query, body)


def _is_told(body: Body) -> bool:
    status = body.get("status") or {}
    ready = [c for c in status.get("conditions") or () if c["type"] == "Ready"]
    return (
        status.get("observedGeneration") == body["metadata"]["generation"]
        and len(ready) == 1
        and bool(ready[0]["message"])
    )
