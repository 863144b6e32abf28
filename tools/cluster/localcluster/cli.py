"""A real Kubernetes on one machine: make it, use it, remove it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import commands, images, provider, record
from .errors import ClusterError

DEFAULT_NAME = "riskpredictor"

Run = Callable[[argparse.Namespace], int]

if TYPE_CHECKING:
    # Generic for type checkers only, and argparse offers no public name for it.
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


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
    parser = argparse.ArgumentParser(prog="cluster.py", description=__doc__)
    sub = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_cluster_commands(sub)
    _add_image_commands(sub)
    _add_component_commands(sub)
    return parser


def _command(sub: _Commands, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    command = sub.add_parser(name, help=text, description=text)
    command.add_argument("--name", default=DEFAULT_NAME, help=f"default: {DEFAULT_NAME}")
    command.set_defaults(run=run)
    return command


def _anywhere(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
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
    return command


def _add_cluster_commands(sub: _Commands) -> None:
    up = _command(sub, "up", commands.up, "make the cluster, or repair what is not running in it")
    _anywhere(up).add_argument("--profile", choices=record.PROFILES, default="node")
    up.add_argument("--kwok", type=int, default=0, metavar="N", help="add N fake nodes")
    down = _command(sub, "down", commands.down, "remove the cluster and everything that it made")
    _anywhere(down).add_argument("--all", action="store_true", help="all local clusters")
    _anywhere(_command(sub, "kubeconfig", commands.kubeconfig, "print the kubeconfig's path"))
    status = _command(
        sub, "status", commands.show_status, "show components and addresses; 3 if not all is well"
    )
    status.add_argument("--json", action="store_true")


def _add_image_commands(sub: _Commands) -> None:
    load = _command(sub, "load-image", commands.load_image, "make images usable by pods")
    _anywhere(load).add_argument("images", nargs="+", metavar="ARCHIVE|IMAGE")
    build = sub.add_parser("build-image", help="build an image from a Dockerfile")
    build.set_defaults(run=commands.build_image)
    build.add_argument("--tag", required=True)
    build.add_argument("--file", type=Path, required=True)
    build.add_argument("--context", type=Path, default=Path(), help="default: this folder")
    build.add_argument("--build-arg", action="append", default=[], metavar="KEY=VALUE")
    build.add_argument("--builder", choices=images.BUILDERS, default="buildah")


def _add_component_commands(sub: _Commands) -> None:
    logs = _command(sub, "logs", commands.logs, "show the log of a component")
    logs.add_argument("component")
    logs.add_argument("-f", "--follow", action="store_true")
    for name, run, text in (
        ("stop", commands.stop, "stop a component and leave it stopped"),
        ("start", commands.start, "start a component"),
        ("restart", commands.restart, "stop and start a component"),
    ):
        _command(sub, name, run, text).add_argument("component")
    for name, run, text in (
        ("exec", commands.execute, "run a program of this machine in the node's network"),
        ("ctr", commands.ctr, "run containerd's `ctr` on the node's images and containers"),
    ):
        command = _command(sub, name, run, text)
        command.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- ARGS")
