"""Makes and reads RiskPredictors in a test's namespace."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from riskpredictor_operator.kube import Key, Resource
from support.api import DEPLOYMENT, RISKPREDICTOR, SERVICE, Api, Body, Refused, eventually


class Predictors:
    """The RiskPredictors of one namespace."""

    def __init__(
        self, api: Api, namespace: str, explain: Callable[[Key], str] = lambda _: ""
    ) -> None:
        """``explain`` adds to the message of a wait that was in vain."""
        self._api = api
        self.namespace = namespace
        self._explain = explain

    def create(self, name: str = "risk", **spec: object) -> Key:
        """Declare one; ``spec`` on top of ``modelVersion: v1``."""
        key = Key(self.namespace, name)
        metadata = {"name": name, "namespace": self.namespace}
        self._api.create(
            RISKPREDICTOR, {"metadata": metadata, "spec": {"modelVersion": "v1", **spec}}
        )
        return key

    def patch(self, key: Key, **spec: object) -> Body:
        """Merge ``spec`` into the RiskPredictor's spec."""
        return self._api.patch(RISKPREDICTOR, key, {"spec": spec})

    def break_beyond_update(self, key: Key, resource: Resource) -> None:
        """Put a child in place of the operator's that no update makes right again: a Deployment
        with another selector, or a Service without an address. The operator looks away meanwhile.
        """
        field, value = {
            DEPLOYMENT: ("selector", {"matchLabels": {"app": key.name}}),
            SERVICE: ("clusterIP", "None"),
        }[resource]
        self.patch(key, suspend=True)
        self.wait(key, status="False", reason="Suspended")
        body = self._api.need(resource, key)
        for name in ("clusterIP", "clusterIPs"):
            body["spec"].pop(name, None)
        body["spec"][field] = value
        del body["metadata"]["resourceVersion"]
        self._api.delete(resource, key)

        def created() -> bool:
            with suppress(Refused):
                self._api.create(resource, body)
                return True
            return False

        eventually(created, what=f"another {resource.kind}")
        self.patch(key, suspend=None)

    def condition(self, key: Key, name: str = "Ready") -> Body:
        """One of its conditions; empty if it has none of that type."""
        return _condition(self._api.get(RISKPREDICTOR, key) or {}, name)

    def settle(self, key: Key) -> Body:
        """Wait until it is Ready and its autoscaler, too, has said what it has to say."""
        self.wait(key)
        eventually(
            lambda: self.condition(key, "Autoscaling")["reason"] != "AwaitingAutoscaler",
            within=120,
            what=f"{key}: the autoscaler's first report",
        )
        return self.wait(key)

    def wait(
        self, key: Key, status: str = "True", reason: str = "", *, within: float = 90.0
    ) -> Body:
        """Wait for Ready to have a status (and reason) for the present generation."""

        def check() -> Body | None:
            body = self._api.get(RISKPREDICTOR, key)
            assert body is not None, f"{key} is gone"
            # Of this very body: a second look may already see the next state.
            ready = _condition(body, "Ready")
            observed = body["status"]["observedGeneration"] == body["metadata"]["generation"]
            fits = ready.get("status") == status and reason in ("", ready.get("reason"))
            return body if observed and fits else None

        try:
            found = eventually(check, within=within, what=f"{key}: Ready={status} {reason}")
        except AssertionError as error:
            told = (self._api.get(RISKPREDICTOR, key) or {}).get("status")
            raise AssertionError(f"{error}\n{self._explain(key)}\n{told}") from None
        assert found is not None
        return found


def _condition(body: Body, name: str) -> Body:
    conditions = body.get("status", {}).get("conditions", [])
    return next((dict(c) for c in conditions if c["type"] == name), {})
