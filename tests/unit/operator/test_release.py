"""Specification of what pods are made of: what is declared, what a Deployment says, and both as
JSON."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.operator.builders import OPTIONS, Object, declared, predictor, sources
from unit.operator.live_objects import live
from unit.operator.strategies import bounded, specs
from unit.operator.test_candidate_manifests import DIGEST, IN_IMAGE, from_store, trial

from riskpredictor_operator.core import api
from riskpredictor_operator.core.compare import recorded
from riskpredictor_operator.core.manifests import render
from riskpredictor_operator.core.model import ConfigMapKey, Model, parse_model
from riskpredictor_operator.core.release import (
    Candidate,
    Release,
    Serving,
    from_document,
    serving_of,
    shadow_of,
    to_document,
)
from riskpredictor_operator.core.release import declared as declared_release
from riskpredictor_operator.core.spec import parse

_words = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,10}[A-Za-z0-9])?", fullmatch=True)
_keys = st.builds(ConfigMapKey, _words, _words)
_values = st.text(max_size=8) | st.sampled_from(["$", "$$", "$(POD_NAME)", "$$$a"]) | st.booleans()
_places = st.dictionaries(_words, _values, max_size=3)


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Models of every kind of store, with any text that a place may hold."""
    source = draw(st.sampled_from(list(sources())))
    ((kind, place),) = source.items()
    digest = f"sha256:{draw(st.integers(0, 16**8 - 1)):064x}"
    return Model(
        digest,
        kind,
        {**draw(_places), **place},
        credentials_secret=draw(st.none() | _words),
        ca_bundle=draw(st.none() | _keys),
        public_key=draw(st.none() | _keys),
    )


releases = st.builds(Release, _words, _words.map("r.example/{}:1".format), st.none() | models())
candidates = st.builds(
    Candidate, releases, st.from_regex(r"[0-9a-f]{12}", fullmatch=True),
    st.sampled_from(["Shadow", "Canary-10", "Canary-0.01"]), st.floats(0, 99), st.floats(0.01, 100),
    st.sampled_from(["NeverLower", "None"]), st.none() | st.sampled_from(["X-Subject-Key", "x-$a"]),
    st.none() | _words,
)  # fmt: skip
servings = st.builds(
    Serving, releases, st.none() | candidates,
    st.lists(st.from_regex(r"[0-9a-f]{12}", fullmatch=True), max_size=3, unique=True).map(tuple),
)  # fmt: skip


def applied(serving: Serving, **spec: Any) -> Object:
    """The live Deployment of a predictor that is made so."""
    return live(api.DEPLOYMENT, render(declared(**spec), serving).deployment)


@given(serving=servings)
@bounded
def test_what_was_applied_is_read_back_whole(serving: Serving) -> None:
    assert serving_of(applied(serving)) == serving


@given(serving=servings, spec=specs())
@bounded
def test_it_is_read_back_whatever_else_is_declared(serving: Serving, spec: Object) -> None:
    manifest = render(parse(predictor(**spec)), serving).deployment
    assert serving_of(live(api.DEPLOYMENT, manifest)) == serving


@given(serving=servings)
@bounded
def test_without_a_record_the_live_template_tells(serving: Serving) -> None:
    body = applied(serving)
    del body["metadata"]["annotations"][api.ANNOTATION_LAST_APPLIED]
    assert serving_of(body) == serving


FULL = Serving(
    from_store("v1", "sha256:" + "0a" * 32), trial(from_store("v2", DIGEST), cases="ward-cases"),
    ("00c0ffee0001",),
)  # fmt: skip


def _by_hand(body: Object) -> None:
    pod = body["spec"]["template"]
    pod["metadata"]["labels"]["healthtech.dev/model-version"] = "v9"
    pod["metadata"]["annotations"]["healthtech.dev/rollout-id"] = "else"
    pod["spec"]["containers"][0]["image"] = "other:v9"
    pod["spec"]["initContainers"] = []


def test_what_somebody_changed_since_is_not_what_was_applied() -> None:
    body = applied(FULL)
    _by_hand(body)
    assert serving_of(body) == FULL


def _without_labels(body: Object) -> None:
    del body["spec"]["template"]["metadata"]["labels"]


def _other_container(body: Object) -> None:
    body["spec"]["template"]["spec"]["containers"][0]["name"] = "web"


def _other_source(body: Object) -> None:
    env = body["spec"]["template"]["spec"]["initContainers"][0]["env"]
    (source,) = [entry for entry in env if entry["name"] == "RISKPREDICTOR_MODEL_SOURCE"]
    source["value"] = '{"ftp": {}}'


def _no_share(body: Object) -> None:
    env = body["spec"]["template"]["spec"]["containers"][0]["env"]
    (percent,) = [e for e in env if e["name"] == "RISKPREDICTOR_CANDIDATE_PERCENT"]
    percent["value"] = "nan"


def _no_id(body: Object) -> None:
    del body["spec"]["template"]["metadata"]["annotations"]["healthtech.dev/rollout-id"]


def _nothing(body: Object) -> None:
    body["spec"] = {}


UNREADABLE: dict[str, Callable[[Object], None]] = {
    "no labels": _without_labels,
    "no predictor": _other_container,
    "an unknown store": _other_source,
    "no share": _no_share,
    "no id": _no_id,
    "no pods": _nothing,
}


@pytest.mark.parametrize("change", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_none(change: Callable[[Object], None]) -> None:
    body = applied(FULL)
    del body["metadata"]["annotations"][api.ANNOTATION_LAST_APPLIED]
    change(body)
    assert serving_of(body) is None


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"spec": 7}', '{"spec": {"template": []}}'])
def test_of_a_damaged_record_the_live_template_tells(text: str) -> None:
    body = applied(FULL)
    body["metadata"]["annotations"][api.ANNOTATION_LAST_APPLIED] = text
    assert serving_of(body) == FULL


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@given(data=st.data())
@bounded
def test_a_deployment_of_any_shape_raises_nothing(data: st.DataObject) -> None:
    """One value somewhere in it is replaced by something else."""
    body = copy.deepcopy(applied(FULL))
    del body["metadata"]["annotations"][api.ANNOTATION_LAST_APPLIED]
    place: Any = body["spec"]
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(_json)
    found = serving_of(body)
    assert found is None or isinstance(found, Serving)


def test_a_manifest_that_was_too_large_for_its_record_is_read_from_its_template() -> None:
    many = {"annotations": {f"example.com/{n}": "x" * 60_000 for n in range(2)}}
    manifest = render(declared(podTemplate=many), FULL).deployment
    assert recorded(manifest) == manifest
    assert serving_of(live(api.DEPLOYMENT, manifest)) == FULL


# ---- as JSON ----


@given(release=releases)
@bounded
def test_a_release_comes_back_from_its_document(release: Release) -> None:
    document = json.loads(json.dumps(to_document(release)))
    assert from_document(document) == release
    assert document.get("digest", "") == release.digest
    assert parse_model(document) == release.model, "the model is told as spec.model tells it"


@pytest.mark.parametrize(
    "document",
    [{}, {"version": "v1"}, {"version": "v1", "image": ""}, {"version": 1, "image": "a:1"},
     {"version": "v1", "image": "a:1", "model": {"digest": "x"}},
     {"version": "v1", "image": "a:1", "model": {"digest": "x", "source": {"ftp": {}}}}],
    ids=["nothing", "no image", "an empty image", "a number", "no source", "an unknown source"],
)  # fmt: skip
def test_a_document_of_no_release_is_refused(document: Object) -> None:
    with pytest.raises(ValueError, match=r"release"):
        from_document(document)


# ---- what is declared ----


def test_a_release_is_as_declared() -> None:
    assert declared_release(declared(), OPTIONS) == Release("v1", "health-predictor:v1", None)
    rp = declared(model={"digest": DIGEST, "source": {"pvc": {"claimName": "models"}}})
    assert declared_release(rp, OPTIONS) == Release("v1", "health-predictor:runtime", rp.model)
    assert declared_release(rp, OPTIONS).digest == DIGEST


def test_without_spec_shadow_there_is_no_shadow() -> None:
    assert shadow_of(declared(), OPTIONS) is None


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        pytest.param({}, "health-predictor:v3", id="the operator's repository"),
        pytest.param({"repository": "mine"}, "mine:v3", id="own repository"),
        pytest.param(
            {"repository": "mine", "tag": "t", "digest": "sha256:" + "0a" * 32}, "mine:v3",
            id="tag and digest are the other model's",
        ),
    ],
)  # fmt: skip
def test_a_shadow_in_an_image_has_its_version_as_tag(image: Object, reference: str) -> None:
    rp = declared(image=image, shadow={"modelVersion": "v3"})
    assert shadow_of(rp, OPTIONS) == Release("v3", reference, None)


def test_a_shadow_from_a_store_is_fetched_by_the_image_that_serves() -> None:
    model = {"digest": DIGEST, "source": {"pvc": {"claimName": "models"}}}
    rp = declared(image={"tag": "of-the-server"}, shadow={"modelVersion": "v3", "model": model})
    found = shadow_of(rp, OPTIONS)
    assert found is not None
    assert found.image == declared_release(rp, OPTIONS).image == "health-predictor:of-the-server"
    assert found == dataclasses.replace(
        found, version="v3", model=Model(DIGEST, "pvc", {"claimName": "models"})
    )


def test_the_image_that_serves_is_no_part_of_a_release_beside_it() -> None:
    candidate = trial(Release("v2", "ours/model:v2", None))
    found = serving_of(applied(Serving(IN_IMAGE, candidate)))
    assert found is not None
    assert found.candidate is not None
    assert (found.stable.image, found.candidate.release.image) == ("ours/model:v1", "ours/model:v2")
