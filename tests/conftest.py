"""Fixtures of all layers. Only clusters that the tests made themselves are ever touched."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from support.network import need_ipv6

_COUNTER = itertools.count(1)

# The same cases in each run, however slow the machine; HYPOTHESIS=random looks for new ones.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=os.environ.get("HYPOTHESIS") != "random",
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")


@pytest.fixture
def unique_name() -> str:
    """A name for a namespace that no other test uses."""
    return f"t{os.getpid()}-{next(_COUNTER)}"


@pytest.fixture
def has_ipv6() -> None:
    """The test has an IPv6 address, or is skipped."""
    need_ipv6()


@pytest.fixture(scope="session", autouse=True)
def no_foreign_cluster() -> Iterator[None]:
    """No test may reach somebody's own cluster by accident."""
    before = os.environ.get("KUBECONFIG")
    os.environ["KUBECONFIG"] = "/nonexistent/tests-name-their-cluster"
    yield
    if before is None:
        del os.environ["KUBECONFIG"]
    else:
        os.environ["KUBECONFIG"] = before
