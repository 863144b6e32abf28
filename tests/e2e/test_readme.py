"""What the README tells people to type works as it is written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import partial

import pytest
from unit.predictor.support import free_port

from riskpredictor_operator.kube import Key
from support.api import RISKPREDICTOR, Api
from support.cluster import ROOT, LocalCluster, build_image
from support.guide import shell
from support.predictors import Predictors

_shell = partial(shell, seconds=200)
README = (ROOT / "README.md").read_text()
PREDICTOR = Key("default", "health-predictor")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def _section(title: str) -> str:
    """The shell block under a heading."""
    return re.search(rf"^## {title}\n.*?^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)[1]  # type: ignore[index]


@pytest.fixture(scope="module")
def environment(cluster: LocalCluster) -> dict[str, str]:
    """A shell in which kubectl means the test's cluster."""
    return cluster.environment


@pytest.fixture(scope="module")
def installed(api: Api, environment: dict[str, str]) -> Iterator[None]:
    """What is typed to install it, typed. Without a time limit: it builds the images."""
    try:
        for line in _section("Into your own cluster").splitlines():
            words = shlex.split(line)
            if words[0] == "docker":
                # The same Dockerfiles, arguments and names, by the builder that is here.
                options = dict(zip(words[2::2], words[3::2], strict=False))
                build_args = [options["--build-arg"]] if "--build-arg" in options else []
                build_image(options["-t"], ROOT / options["-f"], *build_args)
            else:
                _shell(line, environment)
        yield
    finally:
        if api.get(RISKPREDICTOR, PREDICTOR) is not None:
            api.delete(RISKPREDICTOR, PREDICTOR)


def test_every_shell_block_is_known_here() -> None:
    """A new block needs a test."""
    titles = ("Two commands", "Ask for a prediction", "Into your own cluster")
    assert _blocks("sh") == [
        _section(title) for title in sorted(titles, key=lambda title: README.index(f"## {title}"))
    ]


@pytest.mark.usefixtures("installed")
def test_installing_into_a_cluster(api: Api) -> None:
    Predictors(api, PREDICTOR.namespace).wait(PREDICTOR)


@pytest.mark.usefixtures("installed")
def test_asking_for_a_prediction(environment: dict[str, str]) -> None:
    port = str(free_port())
    forward, ask = _section("Ask for a prediction").replace("8080", port).splitlines()
    wait = (
        f"timeout 60 bash -c 'until (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep .1; done'"
    )
    said = _shell(
        f"{forward.removesuffix('&')} >/dev/null & trap 'kill $!' EXIT; {wait}; {ask}", environment
    )
    assert '"risk_level":"Low"' in said.replace(" ", "")


@pytest.mark.usefixtures("installed")
def test_the_resource_and_the_commands_in_the_text(
    cluster: LocalCluster, environment: dict[str, str]
) -> None:
    (resource,) = _blocks("yaml")
    cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=resource)
    invalid = cluster.try_kubectl("apply", "-f", "deploy/samples/invalid.yaml")
    told = [line for line in README.splitlines() if line.startswith("* spec: Invalid value")]
    assert told
    assert told[0] in invalid.stderr
    columns = re.search(r"^NAME +MODEL.*$", README, re.MULTILINE)
    assert columns
    assert cluster.kubectl("get", "riskpredictors").splitlines()[0].split() == columns[0].split()
    for command in ("kubectl explain riskpredictor.spec", "kubectl get rp -o wide",
                    "kubectl scale riskpredictor/health-predictor --replicas=4"):  # fmt: skip
        assert command in README
        _shell(command, environment)
    overlay = "deploy/operator/overlays/namespaced"
    assert f"kubectl apply -k {overlay}" in README
    _shell(f"kubectl apply --dry-run=server -k {overlay}", environment)
