"""Requests to the API server with kubectl's credentials, as raw JSON.

The only module that uses the Kubernetes client.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
import yaml

from riskpredictor_kubectl import __version__, names
from riskpredictor_kubectl.errors import PluginError, ServerError
from riskpredictor_kubectl.names import Body

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
PAGE = 500
LOOPBACK = "localhost,127.0.0.0/8,::1"


@dataclass(frozen=True)
class Target:
    """Cluster and namespace as the flags name them; the kubeconfig's where empty."""

    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""
    kubectl: str = "kubectl"
    """The program, for what kubectl itself has to do."""

    @property
    def kubectl_flags(self) -> list[str]:
        """The same as flags of kubectl, without the namespace."""
        flags = {"--kubeconfig": self.kubeconfig, "--context": self.context}
        return [f"{flag}={value}" for flag, value in flags.items() if value]


class Client:
    """The API of one cluster, and the namespace to use where none is named."""

    def __init__(self, target: Target, *, patience: float = READ_SECONDS) -> None:
        """``patience`` is how long the server may take for one answer.

        Raises:
            PluginError: the kubeconfig does not say how to reach the cluster.
        """
        # Imported here because it is slow, and --help does not need it.
        from kubernetes.client import ApiClient, Configuration
        from kubernetes.config import ConfigException, load_kube_config

        self.target = target
        path = _kubeconfig(target)
        configuration = Configuration()
        # A person waits, and can try again.
        configuration.retries = False
        try:
            context = _context(path, target.context)
            self.namespace = target.namespace or context.get("namespace") or "default"
            load_kube_config(path, target.context or None, configuration)
        except (ConfigException, yaml.YAMLError, OSError, ValueError, LookupError, TypeError) as e:
            raise PluginError(f"kubeconfig {path}: {' '.join(str(e).split())}") from None
        if configuration.proxy == Configuration(host=configuration.host).proxy:
            # The environment's, and kubectl asks no such proxy for a cluster on this machine.
            configuration.no_proxy = f"{configuration.no_proxy or ''},{LOOPBACK}"
        self._server = configuration.host
        self._patience = patience
        self._client = ApiClient(configuration)
        self._client.user_agent = f"kubectl-riskpredictor/{__version__}"

    def get(self, path: str, **query: Any) -> Body:
        """An object or a list.

        Raises:
            ServerError: the server refused.
            PluginError: it did not answer.
        """
        return self.request("GET", path, query)

    def find(self, path: str) -> Body | None:
        """An object, or None if there is none."""
        try:
            return self.get(path)
        except ServerError as error:
            if error.status == 404:
                return None
            raise

    def items(self, path: str, **query: Any) -> list[Body]:
        """All objects of a list, page by page."""
        found: list[Body] = []
        more = ""
        while True:
            pages = {"limit": PAGE, "continue": more} if more else {"limit": PAGE}
            body = self.get(path, **query, **pages)
            found += body["items"]
            more = body["metadata"].get("continue", "")
            if not more:
                return found

    def predictors(self, namespace: str) -> list[Body]:
        """The RiskPredictors of a namespace, or of all if it is empty."""
        try:
            return self.items(names.path(names.PREDICTORS, namespace))
        except ServerError as error:
            # A namespace that does not exist has none, so 404 means the resource itself.
            raise _without_crd() if error.status == 404 else error from None

    def predictor(self, namespace: str, name: str) -> Body:
        """One RiskPredictor."""
        try:
            return self.get(names.path(names.PREDICTORS, namespace, name))
        except ServerError as error:
            if error.status == 404 and f'"{name}"' not in str(error):
                raise _without_crd() from None
            raise

    def request(self, method: str, path: str, query: Body | None = None, body: Any = None) -> Body:
        """Send one request; raises as ``get`` does."""
        with self._send(method, path, query or {}, body, self._patience) as response:
            answer: Body = json.loads(response.data)
            return answer

    def merge_patch(self, path: str, change: Body) -> Body:
        """Change an object by a JSON merge patch (RFC 7396); raises as ``get`` does."""
        with self._send("PATCH", path, {}, change, self._patience) as response:
            answer: Body = json.loads(response.data)
            return answer

    def lines(self, path: str, seconds: float, **query: Any) -> Iterator[str]:
        """The lines of a streamed answer as they come, until the server ends it.

        Args:
            path: of the watch or log.
            seconds: the longest silence.
            query: its parameters.
        """
        with self._send("GET", path, query, None, seconds) as response:
            rest = b""
            try:
                # read1 gives what is there; a larger read would wait for more.
                while chunk := response.read1(65536):
                    *whole, rest = (rest + chunk).split(b"\n")
                    yield from (line.decode(errors="replace") for line in whole)
            except urllib3.exceptions.HTTPError as error:
                raise self._no_answer(error) from None
            if rest:
                yield rest.decode(errors="replace")

    @contextmanager
    def _send(
        self, method: str, path: str, query: Body, body: Any, patience: float
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        headers = {"Accept": "application/json"}
        if method == "PATCH":
            headers["Content-Type"] = "application/merge-patch+json"
        serialized = self._client.param_serialize(
            method, path, query_params=list(query.items()), body=body, header_params=headers,
            auth_settings=["BearerToken"],
        )  # fmt: skip
        try:
            answer = self._client.call_api(
                *serialized, _request_timeout=(CONNECT_SECONDS, patience)
            ).response
            if answer.status >= 400:
                raise _refusal(answer.status, answer.data)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._no_answer(error) from None
        try:
            yield answer
        finally:
            answer.close()

    def _no_answer(self, error: Exception) -> PluginError:
        # The text of the outer error names objects by their addresses in memory.
        why = str(error.__cause__ or error).rsplit(": ", 1)[-1] or type(error).__name__
        return PluginError(
            f"the API server {self._server} does not answer ({why}); is the cluster up, and is "
            "--context the right one?"
        )


def contexts(target: Target) -> list[str]:
    """The names of a kubeconfig's contexts."""
    return [str(entry["name"]) for entry in _merged(_kubeconfig(target))[1]]


def _kubeconfig(target: Target) -> str:
    path = target.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    if not any(Path(part).expanduser().is_file() for part in path.split(os.pathsep) if part):
        raise PluginError(f"kubeconfig {path} does not exist; name one with --kubeconfig")
    return path


def _merged(path: str) -> tuple[str, list[Body]]:
    """The current context, and all of them."""
    from kubernetes.config.kube_config import KubeConfigMerger

    merged = KubeConfigMerger(path).config.value
    return merged.get("current-context") or "", [node.value for node in merged["contexts"]]


def _context(path: str, name: str) -> Body:
    current, known = _merged(path)
    wanted = name or current
    if not wanted:
        raise PluginError("the kubeconfig has no current context; name one with --context")
    for entry in known:
        if entry["name"] == wanted:
            found: Body = entry.get("context") or {}
            return found
    raise PluginError(f'context "{wanted}" does not exist')


def _refusal(status: int, data: bytes) -> ServerError:
    try:
        body = json.loads(data)
        return ServerError(status, body.get("reason", ""), body.get("message", ""))
    except (ValueError, AttributeError):
        return ServerError(status, "", data.decode(errors="replace").strip()[:200])


def _without_crd() -> PluginError:
    return PluginError(
        'the server doesn\'t have a resource type "riskpredictors"; install the operator first: '
        "kubectl apply -k deploy/operator"
    )
