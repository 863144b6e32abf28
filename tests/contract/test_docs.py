"""Every document: links lead somewhere, YAML is valid, and each command is one that a test knows.

tests/e2e/test_docs.py runs the kubectl lines of the guides on a real cluster.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jsonschema  # type: ignore[import-untyped]
import pytest
import run
import yaml
from click.testing import CliRunner
from unit.kubectl.cards import VITALS
from unit.operator.builders import SAMPLES, crd, schema, stored
from unit.predictor.support import service

from riskpredictor_kubectl.cli import cli
from riskpredictor_kubectl.declaration import read
from riskpredictor_operator.core.spec import parse
from riskpredictor_server.web.app import create_app
from support import early_warning, foreign_model
from support.cluster import ROOT
from support.docs import Block, Command, anchors, blocks, commands, documents, inline, links

DOCUMENTS = documents()
COMMANDS = [command for document in DOCUMENTS for command in commands(document)]
MADE = ("build/", "dist/", "models/")
"""Folders that a command makes; what is in them is not in the repository."""
PLACES = ("crds", "deploy", "docs", "operator", "predictor", "tests", "tools")
"""First folders of paths in the repository."""


def _names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


# Links


@pytest.mark.parametrize("document", DOCUMENTS, ids=_names(DOCUMENTS))
def test_links_lead_somewhere(document: Path) -> None:
    assert list(broken_links(document)) == []


def broken_links(document: Path) -> Iterator[str]:
    for line, target in links(document):
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        if not there.exists():
            yield f"{line}: {target}: no such file"
        elif anchor and there.suffix == ".md" and anchor not in anchors(there):
            yield f"{line}: {target}: no such heading"


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(
        "# One `two`: three\n[a](#one-two-three) [b](#one) [`c`](none.md)\n"
        "```\n[d](in-a-block.md)\n```\n![e](none.png) [f](https://example.org)\n"
    )
    assert list(broken_links(document)) == [
        "2: #one: no such heading", "2: none.md: no such file", "6: none.png: no such file",
    ]  # fmt: skip


def test_every_picture_is_shown_somewhere() -> None:
    shown = {
        (document.parent / target).resolve()
        for document in DOCUMENTS
        for _, target in links(document)
    }
    assert set((ROOT / "docs" / "images").iterdir()) - shown == set()


def test_the_index_names_every_guide() -> None:
    index = ROOT / "docs" / "README.md"
    named = {(index.parent / target).resolve() for _, target in links(index)}
    assert set(index.parent.glob("*.md")) - named == {index}


# Code and tests that are named


NAMED_TESTS = sorted(
    {
        (path, name)
        for document in DOCUMENTS
        for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", document.read_text())
        if path != "tests/path.py"
    }
)


@pytest.mark.parametrize(("path", "name"), NAMED_TESTS)
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    """A file alone may be named, too."""
    if not name:
        assert (ROOT / path).is_file()
        return
    pattern = rf"^ *((async )?def {name}\(|class {name}:)"
    assert re.search(pattern, (ROOT / path).read_text(), re.MULTILINE)


EXCERPTS = [b for d in DOCUMENTS for b in blocks(d) if b.language == "python"]


@pytest.mark.parametrize("block", EXCERPTS, ids=str)
def test_an_excerpt_is_in_the_file_that_is_linked_before_it(block: Block) -> None:
    *_, target = [to for line, to in links(block.document) if line < block.line]
    assert block.text in (block.document.parent / target).read_text()


# YAML


YAML = [b for d in DOCUMENTS for b in blocks(d) if b.language in ("yaml", "yml")]
KINDS = {
    "Kustomization", "Application", "ApplicationSet", "AppProject", "GitRepository",
    "OCIRepository", "HelmRelease", "HelmRepository", "Namespace", "ConfigMap", "Deployment",
    "NetworkPolicy", "ResourceQuota", "PodMonitor",
}  # fmt: skip
"""Kinds of others that may stand in a guide; their form is not checked beyond name and version."""


@pytest.mark.parametrize("block", YAML, ids=str)
def test_yaml_is_valid(block: Block) -> None:
    for document in yaml.safe_load_all(block.text):
        check_yaml(document)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_valid(name: str) -> None:
    check_yaml(yaml.safe_load((ROOT / "deploy" / "samples" / f"{name}.yaml").read_text()))


def check_yaml(document: Any) -> None:
    """Fails if it is neither a valid RiskPredictor (or a part of its spec), nor known otherwise."""
    kind = document.get("kind")
    if kind == "RiskPredictor" or (kind is None and set(document) == {"spec"}):
        _check_riskpredictor(document)
    elif kind is None:
        _check_values(document)
    else:
        assert kind in KINDS, f"a block about a {kind} needs a test: tests/contract/test_docs.py"
        assert document["apiVersion"]
        assert kind == "Kustomization" or document["metadata"]["name"]


def _check_riskpredictor(document: Any) -> None:
    whole = {
        "apiVersion": "healthtech.dev/v1alpha1", "kind": "RiskPredictor",
        "metadata": {"name": "example"}, **document,
    }  # fmt: skip
    whole["spec"] = {"modelVersion": "v1", **document["spec"]}
    jsonschema.validate(whole["spec"], _closed(schema()["properties"]["spec"]))
    assert whole["apiVersion"].split("/")[0] == crd()["spec"]["group"]
    parse(stored(whole))


def _closed(node: Any) -> Any:
    """The schema, refusing fields that it does not name, as kubectl does."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    # The rules in CEL are for the API server.
    closed = {name: _closed(item) for name, item in node.items() if not name.startswith("x-")}
    open_ended = node.get("x-kubernetes-preserve-unknown-fields")
    if node.get("x-kubernetes-int-or-string"):
        closed.pop("type", None)
    if "properties" in closed and not open_ended:
        closed["additionalProperties"] = False
    return closed


def _check_values(document: Any) -> None:
    values = ROOT / "deploy" / "chart" / "values.schema.json"
    jsonschema.validate(document, json.loads(values.read_text()))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("kind: RiskPredictor\nspec: {minReplica: 2}", id="unknown field"),
        pytest.param("spec: {minReplicas: two}", id="wrong type"),
        pytest.param("spec: {image: {pullPolicy: Sometimes}}", id="wrong value"),
        pytest.param("kind: RiskForecast\napiVersion: v1", id="unknown kind"),
        pytest.param("shape: round", id="neither"),
    ],
)
def test_yaml_that_is_not_valid_fails(text: str) -> None:
    with pytest.raises((AssertionError, jsonschema.ValidationError)):
        check_yaml(yaml.safe_load(text))


# Commands


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_is_known_and_right(command: Command) -> None:
    for words in command.parts():
        check_command(words)


def check_command(words: list[str]) -> None:
    """Fails if a program is unknown here, or would not understand its arguments."""
    program, *arguments = words
    assert program in PROGRAMS, (
        f"a command with {program} needs a test: tests/contract/test_docs.py"
    )
    PROGRAMS[program](arguments)
    for word in arguments:
        for path in word.removeprefix("@").split("=")[-1:]:
            if path.split("/")[0] in PLACES and "/" in path:
                assert (ROOT / path).exists(), f"no such file: {path}"


def anything(_: list[str]) -> None:
    """A program of which only the paths among its arguments can be checked."""


@cache
def makefile() -> str:
    return (ROOT / "Makefile").read_text()


def make(arguments: list[str]) -> None:
    for word in arguments:
        name, assigned, _ = word.partition("=")
        if assigned:
            assert f"$({name})" in makefile() or f"$(or $({name})" in makefile(), (
                f"no use of {name}"
            )
        else:
            assert re.search(rf"^{re.escape(name)}:", makefile(), re.MULTILINE), f"no target {name}"


VERBS = {
    "get", "describe", "logs", "events", "explain", "wait", "top", "apply", "create", "patch",
    "scale", "delete", "annotate", "label", "set", "rollout", "port-forward", "diff", "kustomize",
    "config", "riskpredictor", "edit", "auth", "drain",
}  # fmt: skip
WITH_VALUE = {"-n", "--namespace", "--context", "--kubeconfig"}


def kubectl(arguments: list[str]) -> None:
    rest = iter(arguments)
    for word in rest:
        if word in WITH_VALUE:
            next(rest)
        elif not word.startswith("-"):
            assert word in VERBS, f"kubectl {word} is not known here"
            if word == "riskpredictor":
                plugin(list(rest))
            return


def plugin(arguments: list[str]) -> None:
    if any(word.isupper() or "|" in word for word in arguments):
        return
    # All that stands before it is read first, and refused if it is wrong. No cluster is asked for
    # the flags of predict: these two have other models than all others.
    models = {
        "ward": read({"features": foreign_model.FEATURES}),
        "early-warning": read(yaml.safe_load(early_warning.SCHEMA.read_text())),
    }
    asked = "riskpredictor_kubectl.commands.predict._ask"
    with patch(asked, lambda _, name, __: models.get(name, VITALS)):
        done = CliRunner().invoke(cli, [*arguments, "--help"], env={"KUBECONFIG": "/nonexistent"})
    assert done.exit_code == 0, done.output
    for flag in (word.split("=")[0] for word in arguments if word.startswith("--")):
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", done.output), f"{flag} is not in its --help"


def python(arguments: list[str]) -> None:
    if arguments[:2] == ["-m", "pytest"]:
        paths = [word for word in arguments[2:] if word.startswith("tests")]
        assert paths
        assert all((ROOT / path).exists() for path in paths)
        return
    start = 2 if arguments[0] == "-m" else 1
    if start == 1:
        assert (ROOT / arguments[0]).is_file(), f"no such script: {arguments[0]}"
    if arguments[0] == "tests/run.py":
        assert set(arguments[1:]) <= {layer.name for layer in run.LAYERS}
        return
    # A word after the script is a subcommand, if the script has any.
    subcommand = arguments[start : start + 1] if arguments[0].endswith("cluster.py") else []
    told = help_of((*arguments[:start], *subcommand))
    for flag in (word.split("=")[0] for word in arguments[start:] if word.startswith("--")):
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", told), f"{flag} is not in its --help"


@cache
def help_of(command: tuple[str, ...]) -> str:
    done = subprocess.run(
        [sys.executable, *command, "--help"], cwd=ROOT, check=False, capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def docker(arguments: list[str]) -> None:
    assert arguments[0] in ("build", "push", "tag")
    # Without a file named, it is one that the reader writes.
    if arguments[0] == "build" and "-f" in arguments:
        file = arguments[arguments.index("-f") + 1]
        text = (ROOT / file).read_text()
        for at, word in enumerate(arguments):
            if word == "--build-arg":
                name = arguments[at + 1].split("=")[0]
                assert re.search(rf"^ARG {name}\b", text, re.MULTILINE), f"no ARG {name}"


def pip(arguments: list[str]) -> None:
    """Only packages and lock files of this repository."""
    assert arguments[0] == "install"
    for word in (word for word in arguments[1:] if not word.startswith("-")):
        place = ROOT / word.partition("[")[0]
        assert place.suffix == ".lock" or (place / "pyproject.toml").is_file(), word
        assert place.exists(), word


def curl(arguments: list[str]) -> None:
    """To a predictor, in which the path has to be a route."""
    (address,) = (word for word in arguments if "localhost" in word or "127.0.0.1" in word)
    path = "/" + address.removeprefix("http://").partition("/")[2]
    method = arguments[arguments.index("-X") + 1] if "-X" in arguments else "GET"
    routes = create_app(service()).url_map.bind("localhost")
    assert routes.test(path, method), f"no route {method} {path}"


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "make": make,
    "kubectl": kubectl,
    "python": python,
    "python3": python,
    "docker": docker,
    "pip": pip,
    "curl": curl,
    # The chart's own tests run Helm and git.
    **dict.fromkeys(
        ("helm", "git", "export", "cd", "cp", "true", "test", "grep", "sha256sum"), anything
    ),
}
"""Programs that may stand in a document, each with what checks its arguments."""


@pytest.mark.parametrize(
    "text",
    [
        "make demoo", "make demo CLUSTER=kind", "kubectl gett pods", "kubectl diff -k crds/no",
        "python3 tools/demo/load_test.py --user 3", "python tools/demo/none.py",
        "python -m riskpredictor_operator --log-levels=debug", "python tests/run.py units",
        "docker build -f Dockerfile.predictor --build-arg MODEL=v1 .", "curl localhost:80/answers",
        "kubectl riskpredictor statu", "kubectl -n a riskpredictor load x --user 3",
        "frobnicate --all", "true | kubectl gett pods", "export A=$(make nothing)",
        "pip install numpy",
    ],
)  # fmt: skip
def test_a_command_that_is_wrong_fails(text: str) -> None:
    command = Command(Block(ROOT / "x.md", 1, "sh", text), text)
    with pytest.raises(AssertionError):
        test_a_command_is_known_and_right(command)


def test_commands_are_found_wherever_they_stand(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(
        "Text with `make test`.\n\n```sh\n# why\nmake a  # so\nkubectl get \\\n  pods\n```\n"
        "1. A list:\n\n   ```console\n   $ A=b kubectl top pods > file.txt\n   said\n   ```\n\n"
        "Indented:\n\n    make b\n    some words\n"
    )
    found = commands(document)
    assert [command.text for command in found] == [
        "make a", "kubectl get pods", "A=b kubectl top pods > file.txt", "make b",
    ]  # fmt: skip
    assert found[2].parts() == [["kubectl", "top", "pods"]]
    assert [block.text for block in inline(document)] == ["make test"]


INLINE = [
    Command(block, block.text)
    for document in DOCUMENTS
    for block in inline(document)
    if re.match(r"(make|kubectl) [a-z]", block.text)
]


@pytest.mark.parametrize("command", INLINE, ids=str)
def test_a_command_within_the_text_is_known(command: Command) -> None:
    """These are often parts of a command, so only target or verb are looked at, and paths."""
    if "..." not in command.text:
        test_a_command_is_known_and_right(command)
