"""Requests and limits where the user gives only one of them.

Such a default depends on another field, so it cannot be in the CRD's schema. There is only the
default of ``spec.resources`` as a whole, which is the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from riskpredictor_operator.core.quantity import amount_of

REQUESTS = {"cpu": "100m", "memory": "128Mi"}
LIMITS = {"cpu": "200m", "memory": "256Mi"}


def with_defaults(
    requests: Mapping[str, str] | None, limits: Mapping[str, str] | None
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Requests and limits, of which one that is None gets the defaults that fit the other.

    Beside given limits, a default request that exceeds its limit is left out: Kubernetes then takes
    the limit. Beside given requests, a default limit that is below its request is left out.
    """
    if requests is not None and limits is not None:
        return requests, limits
    if limits is None:
        requests = {**REQUESTS, **(requests or {})}
        return requests, {k: v for k, v in LIMITS.items() if _at_most(requests[k], v)}
    fitting = {k: v for k, v in REQUESTS.items() if k not in limits or _at_most(v, limits[k])}
    return fitting, limits


def _at_most(one: str, other: str) -> bool:
    return amount_of(one) <= amount_of(other)
