"""Names made from a RiskPredictor.

Invariant: children carry the RiskPredictor's own name, which the CRD holds to a DNS label of at
most 63 characters that starts with a letter, so every name here is valid and unique in its
namespace without hashing or cutting.
"""

from __future__ import annotations

from riskpredictor_operator.core.api import LABEL_PREDICTOR
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Key


def image_of(rp: RiskPredictor, default_repository: str) -> str:
    """Image reference of the predictor container: ``<repository>:<tag or modelVersion>``, and
    ``@<digest>`` if there is one."""
    tagged = f"{rp.image.repository or default_repository}:{rp.image.tag or rp.model_version}"
    return f"{tagged}@{rp.image.digest}" if rp.image.digest else tagged


def url_of(rp: RiskPredictor) -> str:
    """Address of the Service inside the cluster; the port is left out where it is HTTP's own."""
    port = "" if rp.service.port == 80 else f":{rp.service.port}"
    return f"http://{rp.key.name}.{rp.key.namespace}.svc{port}"


def selector_of(key: Key) -> str:
    """Label selector of a predictor's pods, as text."""
    return f"{LABEL_PREDICTOR}={key.name}"
