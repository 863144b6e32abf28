"""``kubectl riskpredictor open``."""

from __future__ import annotations

import time
import webbrowser

import click

from riskpredictor_kubectl.cluster import Cluster
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.forward import forwarding
from riskpredictor_kubectl.options import name_argument, to_screen, with_cluster

AGAIN_SECONDS = 60.0
"""How long a pod may be away before we give up: a roll-out takes the one that we talk to."""


@click.command(name="open")
@name_argument()
@click.option("--port", type=click.IntRange(1, 65535), help="Local port; a free one otherwise.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@with_cluster
def open_command(cluster: Cluster, name: str, port: int | None, no_browser: bool) -> None:
    """Open the web page, until Ctrl-C.

    Keeps its address when the pod behind it goes away, in a roll-out for example.
    """
    try:
        _serve(cluster, name, port or 0, browser=not no_browser)
    except KeyboardInterrupt:
        # The way this ends.
        return


def _serve(cluster: Cluster, name: str, port: int, *, browser: bool) -> None:
    shown = False
    lost = 0.0
    while True:
        try:
            with forwarding(cluster, name, port) as forward:
                port = forward.port
                if not shown:
                    click.echo(forward.url)
                    to_screen("Ctrl-C ends it")
                    shown = True
                    if browser and not webbrowser.open(forward.url):
                        to_screen("no browser here; open the address yourself")
                elif lost:
                    to_screen("connected again")
                lost = 0.0
                forward.wait()
        except PluginError:
            if not shown or (lost and time.monotonic() - lost > AGAIN_SECONDS):
                raise
        if not lost:
            lost = time.monotonic()
            to_screen("the pod went away; connecting to another one")
        time.sleep(1.0)
