"""Names made from a RiskPredictor.

Invariant: children carry the RiskPredictor's own name, which the CRD holds to a DNS label of at
most 63 characters that starts with a letter, so every name here is valid and unique in its
namespace without hashing or cutting. A copy of a model is a ConfigMap, whose name may be longer.
"""

from __future__ import annotations

from riskpredictor_operator.core.api import LABEL_PREDICTOR
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Key


def model_copy_of(key: Key, digest: str) -> str:
    """Name of the ConfigMap that holds the copy of a model: ``<name>-model-<12 digits>``.

    Two models whose digests begin alike would share the name; what is in it is verified against
    the whole digest.
    """
    return f"{key.name}-model-{digest.removeprefix('sha256:')[:12]}"


def url_of(rp: RiskPredictor) -> str:
    """Address of the Service inside the cluster; the port is left out where it is HTTP's own."""
    port = "" if rp.service.port == 80 else f":{rp.service.port}"
    return f"http://{rp.key.name}.{rp.key.namespace}.svc{port}"


def selector_of(key: Key) -> str:
    """Label selector of a predictor's pods, as text."""
    return f"{LABEL_PREDICTOR}={key.name}"
