"""What each command does with its arguments. Every function returns the exit code."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from . import images, lifecycle, namespace, provider, record, status, supervise
from .errors import ClusterError


def up(arguments: argparse.Namespace) -> int:
    chosen = _provider(arguments)
    chosen.up()
    print(f"export KUBECONFIG={chosen.kubeconfig()}")
    return 0


def down(arguments: argparse.Namespace) -> int:
    if arguments.all:
        for name in record.names():
            provider.LocalProvider(name, "node").down()
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
        profile=getattr(arguments, "profile", "node"),
        kwok_nodes=getattr(arguments, "kwok", 0),
    )


def build_image(arguments: argparse.Namespace) -> int:
    build_args = dict(key_value(pair) for pair in arguments.build_arg)
    images.build(arguments.builder, arguments.file, arguments.context, arguments.tag, build_args)
    return 0


def key_value(pair: str) -> tuple[str, str]:
    """Split ``KEY=VALUE``; the value may be empty or hold further equals signs."""
    key, equals, value = pair.partition("=")
    if not key or not equals:
        raise ClusterError(f"--build-arg {pair!r} is not KEY=VALUE")
    return key, value


def show_status(arguments: argparse.Namespace) -> int:
    """0 if all of the cluster is healthy, else 3, as an init script's ``status`` has it."""
    found = status.of(lifecycle.existing(arguments.name))
    print(found.to_json() if arguments.json else found.to_text())
    return 0 if found.running else 3


def logs(arguments: argparse.Namespace) -> int:
    paths = lifecycle.existing(arguments.name).paths
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
    cluster = lifecycle.existing(arguments.name)
    argv = _after_dashes(arguments.argv)
    if cluster.has_node:
        # Network only: files, processes and devices stay those of the caller.
        argv = ["nsenter", f"--target={namespace.require(cluster)}", "--net", "--", *argv]
    _become(argv)


def ctr(arguments: argparse.Namespace) -> int:
    cluster = lifecycle.existing(arguments.name)
    prefix = supervise.enter(namespace.require(cluster))
    _become([*prefix, "ctr", "--namespace=k8s.io", *_after_dashes(arguments.argv)])


def _become(argv: list[str]) -> NoReturn:
    """Turn into another program: its exit code, signals and terminal need no translation."""
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - without a shell is what is wanted
    except FileNotFoundError as error:
        raise ClusterError(f"there is no program {argv[0]!r} on this machine") from error


def _after_dashes(argv: list[str]) -> list[str]:
    given = argv[1:] if argv[:1] == ["--"] else argv
    if not given:
        raise ClusterError("no program given", "write it after two dashes: `... -- PROGRAM ARGS`")
    return given
