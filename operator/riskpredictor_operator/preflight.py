"""Start-up checks: is there an API server, the CRD, every permission, and the namespace?

What is missing is logged in one line at start; otherwise every pass would fail because of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from riskpredictor_operator.core import api
from riskpredictor_operator.kube import ApiError, Body, Key, Resource
from riskpredictor_operator.runtime.client import LEASE, Client

logger = logging.getLogger(__name__)

API_SERVER_WAIT_SECONDS = 60.0
"""How long to wait for an API server that does not answer."""


class PreflightError(Exception):
    """The operator cannot work here; the message says why and what to do."""


_CHILD_VERBS = ("get", "list", "watch", "patch", "create", "delete")
"""Server-side apply needs ``patch``, and ``create`` where the object is new. A child that no update
can restore is deleted and made anew."""


def permissions() -> Iterator[tuple[str, Resource, str]]:
    """Every (verb, resource, subresource) that the operator uses in the namespaces it looks after.

    The one list of its rights: a test compares deploy/operator's role with it.
    """
    for verb in ("get", "list", "watch"):
        yield verb, api.RISKPREDICTOR, ""
    yield "patch", api.RISKPREDICTOR, "status"
    for resource in api.CHILDREN:
        for verb in _CHILD_VERBS:
            yield verb, resource, ""
    for verb in ("get", "create", "delete"):
        yield verb, api.CONFIG_MAP, ""
    yield "list", api.POD, ""
    yield "create", api.EVENT, ""


def lease_permissions(lease: Key) -> Iterator[tuple[str, Resource, Key]]:
    """The same for the Lease. RBAC can limit all verbs but ``create`` to its name."""
    yield "create", LEASE, Key(lease.namespace, "")
    for verb in ("get", "watch", "update"):
        yield verb, LEASE, lease


async def check(client: Client, namespace: str, lease: Key | None) -> None:
    """Check the API server, the CRD, the permissions and the namespaces.

    Args:
        client: of the cluster to check.
        namespace: the namespace to look after; empty for all.
        lease: the Lease to hold; None without leader election.

    Raises:
        PreflightError: with what to do.
    """
    if not await _served(client):
        raise PreflightError(
            "the cluster does not know RiskPredictors: kubectl apply -f crds/riskpredictors.yaml"
        )
    await _check_permissions(client, namespace, lease)
    if namespace and not await client.has_namespace(namespace, api.EVENT, _an_event(namespace)):
        raise PreflightError(
            f"the namespace {namespace}, which the operator is to look after, does not exist: "
            "correct RISKPREDICTOR_NAMESPACE (--namespace), or create it"
        )
    if lease is not None and not await client.has_namespace(
        lease.namespace, LEASE, _a_lease(lease)
    ):
        raise PreflightError(
            f"the namespace of the Lease {lease} does not exist: correct "
            "RISKPREDICTOR_OPERATOR_NAMESPACE (--operator-namespace), or create it"
        )


async def _check_permissions(client: Client, namespace: str, lease: Key | None) -> None:
    everywhere = Key(namespace, "")
    wanted = [(verb, resource, everywhere, sub) for verb, resource, sub in permissions()]
    if lease is not None:
        wanted += [(verb, resource, key, "") for verb, resource, key in lease_permissions(lease)]
    try:
        answers = await asyncio.gather(*(client.allowed(*right) for right in wanted))
    except ApiError as error:
        raise PreflightError(
            f"cannot ask the API server for the operator's rights: {error}"
        ) from error
    missing: dict[str, list[str]] = {}
    for (verb, resource, key, sub), allowed in zip(wanted, answers, strict=True):
        if not allowed:
            right = f"{verb} {resource.plural}{'/' + sub if sub else ''}"
            missing.setdefault(key.namespace, []).append(right)
    if missing:
        told = "; ".join(
            f"{', '.join(rights)} in {f'namespace {where}' if where else 'all namespaces'}"
            for where, rights in missing.items()
        )
        named = " (are the namespaces the right ones?)" if any(missing) else ""
        raise PreflightError(
            f"the operator's account may not {told}{named}: "
            "apply the roles in deploy/operator again"
        )


def _an_event(namespace: str) -> Body:
    about = {"apiVersion": "v1", "kind": "Namespace", "name": namespace, "namespace": namespace}
    return {
        "metadata": {"name": "riskpredictor-operator-start", "namespace": namespace},
        "involvedObject": about,
        "reason": "Starting",
        "type": "Normal",
    }


def _a_lease(lease: Key) -> Body:
    return {"metadata": {"name": lease.name, "namespace": lease.namespace}, "spec": {}}


async def _served(client: Client) -> bool:
    """Whether the API server serves RiskPredictors; waits while it does not answer at all."""
    last: Exception | None = None
    try:
        async with asyncio.timeout(API_SERVER_WAIT_SECONDS):
            while True:
                try:
                    return await client.serves(api.RISKPREDICTOR)
                except ApiError as error:
                    if error.status in (401, 403):
                        raise PreflightError(
                            f"the API server refuses the operator's credentials: {error}"
                        ) from error
                    if last is None:
                        logger.warning("waiting for the API server: %s", error)
                    last = error
                    await asyncio.sleep(1.0)
    except TimeoutError:
        raise PreflightError(
            f"the API server {client.transport.server} does not answer ({last}): {_causes(client)}"
        ) from last


def _causes(client: Client) -> str:
    if client.transport.login.now.in_pod:
        return (
            "check the network. A NetworkPolicy on the operator's pods may be the cause: it has to "
            "allow TCP to the API server's own port (6443, on minikube 8443, on MicroK8s 16443), "
            "not only to the Service's 443; docs/INSTALL.md says how"
        )
    if proxy := client.transport.proxy:
        return f"check the proxy {proxy}; NO_PROXY can exclude the API server"
    return "check KUBECONFIG and the network"
