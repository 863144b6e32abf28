"""The command line. Every command's function returns the exit status."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from . import build, lifecycle, namespace, provider, record, status
from .component import enter
from .console import ClusterError

DEFAULT_NAME = "riskpredictor"

Run = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it worked, 1 for a message, 130 for Ctrl-C."""
    arguments = build_parser().parse_args(argv)
    run: Run = arguments.run
    try:
        return run(arguments)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run `up` again to go on or `down` to clean up", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(
        prog="cluster.py",
        description="A real Kubernetes on one machine: make it, use it, remove it.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Run, text: str) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=text, description=text)
        found.set_defaults(run=run)
        if run is not build_image:
            found.add_argument("--name", default=DEFAULT_NAME, help=f"default: {DEFAULT_NAME}")
        if run in {up, down, kubeconfig, load_image}:
            _add_provider_options(found)
        return found

    it = command("up", up, "make the cluster, or repair what is not running in it")
    it.add_argument("--profile", choices=record.PROFILES, default="node")
    it.add_argument("--kwok", type=int, default=0, metavar="N", help="add N fake nodes")
    it.add_argument("--nodes", type=int, default=1, metavar="N", help="real nodes; default: 1")
    it.add_argument("--ip-family", choices=record.IP_FAMILIES, help="default: ipv4")
    it.add_argument(
        "--assigned-users",
        action="store_true",
        help="assign pods a user each, and refuse those that name one, as OpenShift does",
    )
    it = command("down", down, "remove the cluster and everything that it made")
    it.add_argument("--all", action="store_true", help="all local clusters")
    command("kubeconfig", kubeconfig, "print the kubeconfig's path")
    it = command("status", show_status, "show components and addresses; 3 if not all is well")
    it.add_argument("--json", action="store_true")
    it = command("load-image", load_image, "make images usable by pods")
    it.add_argument("images", nargs="+", metavar="ARCHIVE|IMAGE")
    it = command("build-image", build_image, "build an image from a Dockerfile")
    it.add_argument("--tag", required=True)
    it.add_argument("--file", type=Path, required=True)
    it.add_argument("--context", type=Path, default=Path(), help="default: this folder")
    it.add_argument("--build-arg", action="append", default=[], metavar="KEY=VALUE")
    it.add_argument("--target", default="", metavar="STAGE", help="default: the last stage")
    it.add_argument("--builder", choices=build.BUILDERS, default="buildah")
    it = command("logs", logs, "show the log of a component")
    it.add_argument("component")
    it.add_argument("-f", "--follow", action="store_true")
    it = command("stop", stop, "stop a component and leave it stopped")
    it.add_argument("component")
    it = command("start", start, "start a component")
    it.add_argument("component")
    it = command("restart", restart, "stop and start a component")
    it.add_argument("component")
    it = command("exec", execute, "run a program of this machine in a node's network")
    _add_node_option(it)
    it.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- ARGS")
    it = command("ctr", ctr, "run containerd's `ctr` on a node's images and containers")
    _add_node_option(it)
    it.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- ARGS")
    return parser


def _add_node_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--node", type=int, default=1, metavar="N", help="which; default: 1")


def _add_provider_options(command: argparse.ArgumentParser) -> None:
    """Options of the commands that work with every kind of cluster."""
    command.add_argument(
        "--cluster",
        choices=provider.SOURCES,
        default=os.environ.get("CLUSTER") or "local",
        help="where it comes from; default: $CLUSTER, else local",
    )
    command.add_argument(
        "--context",
        default=os.environ.get("CONTEXT", ""),
        help="which context of your kubeconfig, for --cluster current; default: $CONTEXT",
    )


def up(arguments: argparse.Namespace) -> int:
    chosen = _provider(arguments)
    chosen.up()
    print(f"export KUBECONFIG={chosen.kubeconfig()}")
    return 0


def down(arguments: argparse.Namespace) -> int:
    if arguments.all:
        for name in record.names():
            provider.LocalProvider(name).down()
    else:
        _provider(arguments).down()
    return 0


def kubeconfig(arguments: argparse.Namespace) -> int:
    print(_provider(arguments).kubeconfig())
    return 0


def load_image(arguments: argparse.Namespace) -> int:
    _provider(arguments).load_image(arguments.images)
    return 0


def _provider(arguments: argparse.Namespace) -> provider.Provider:
    return provider.choose(
        arguments.cluster,
        arguments.name,
        arguments.context,
        _options(arguments) if arguments.run is up else record.Options(),
    )


def _options(arguments: argparse.Namespace) -> record.Options:
    return record.Options(
        arguments.profile,
        arguments.kwok,
        arguments.nodes,
        arguments.ip_family,
        arguments.assigned_users,
    )


def build_image(arguments: argparse.Namespace) -> int:
    build_args = dict(key_value(pair) for pair in arguments.build_arg)
    build.build(
        arguments.builder,
        arguments.file,
        arguments.context,
        arguments.tag,
        build_args,
        arguments.target,
    )
    return 0


def key_value(pair: str) -> tuple[str, str]:
    """Split ``KEY=VALUE``; the value may be empty or hold further equals signs."""
    key, equals, value = pair.partition("=")
    if not key or not equals:
        raise ClusterError(f"--build-arg {pair!r} is not KEY=VALUE")
    return key, value


def show_status(arguments: argparse.Namespace) -> int:
    """0 if all of the cluster is healthy, else 3, like the ``status`` of an init script."""
    found = status.of(record.existing(arguments.name))
    print(found.to_json() if arguments.json else found.to_text())
    return 0 if found.running else 3


def logs(arguments: argparse.Namespace) -> int:
    paths = record.existing(arguments.name).paths
    log = paths.log(arguments.component)
    if not log.exists():
        known = sorted(path.stem for path in paths.logs.glob("*.log"))
        raise ClusterError(f"no log of {arguments.component!r}", f"one of: {', '.join(known)}")
    _become(["tail", "-n", "200", *(["-F"] if arguments.follow else []), str(log)])


def stop(arguments: argparse.Namespace) -> int:
    stopped = lifecycle.stop_component(arguments.name, arguments.component)
    print(f"{arguments.component}: {'stopped' if stopped else 'was not running'}", file=sys.stderr)
    return 0


def start(arguments: argparse.Namespace) -> int:
    started = lifecycle.start_component(arguments.name, arguments.component)
    print(f"{arguments.component}: {'started' if started else 'ran already'}", file=sys.stderr)
    return 0


def restart(arguments: argparse.Namespace) -> int:
    lifecycle.stop_component(arguments.name, arguments.component)
    return start(arguments)


def execute(arguments: argparse.Namespace) -> int:
    cluster = record.existing(arguments.name)
    argv = _after_dashes(arguments.argv)
    if cluster.has_node:
        holder = namespace.require(_node(cluster, arguments.node))
        argv = [*namespace.enter_network(holder), *argv]
    _become(argv)


def ctr(arguments: argparse.Namespace) -> int:
    cluster = record.existing(arguments.name)
    prefix = enter(namespace.require(_node(cluster, arguments.node)))
    _become([*prefix, "ctr", "--namespace=k8s.io", *_after_dashes(arguments.argv)])


def _node(cluster: record.Cluster, number: int) -> record.Node:
    """A node by its number on the command line, which begins at 1."""
    if not 1 <= number <= len(cluster.nodes):
        names = ", ".join(node.name for node in cluster.nodes) or "none"
        raise ClusterError(f"cluster {cluster.name} has no node {number}", f"its nodes: {names}")
    return cluster.nodes[number - 1]


def _become(argv: list[str]) -> NoReturn:
    """Replace this process by another program."""
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted
    except FileNotFoundError as error:
        raise ClusterError(f"there is no program {argv[0]!r} on this machine") from error


def _after_dashes(argv: list[str]) -> list[str]:
    given = argv[1:] if argv[:1] == ["--"] else argv
    if not given:
        raise ClusterError("no program given", "write it after two dashes: `... -- PROGRAM ARGS`")
    return given
