"""Specification of names: the address of a predictor, and the names of its children."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from unit.operator.builders import Object, declared, manifests, predictor
from unit.operator.strategies import bounded
from unit.operator.strategies import names as valid_names

from riskpredictor_operator.core import names
from riskpredictor_operator.core.spec import parse


@pytest.mark.parametrize(
    ("service", "url"),
    [
        pytest.param({}, "http://risk.shop.svc", id="HTTP's own port"),
        pytest.param({"port": 8080}, "http://risk.shop.svc:8080", id="another port"),
    ],
)
def test_address_inside_the_cluster(service: Object, url: str) -> None:
    assert names.url_of(declared(service=service)) == url


@given(name=valid_names)
@bounded
def test_children_carry_the_predictors_name_and_fit_a_dns_label(name: str) -> None:
    body = predictor(name)
    found = {manifest["metadata"]["name"] for manifest in manifests(body).values()}
    assert found == {name}
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name)
    assert parse(body).key.name == name
