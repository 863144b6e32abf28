"""``kubectl riskpredictor open``."""

from __future__ import annotations

import time
import webbrowser

import click

from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.errors import PluginError
from riskpredictor_kubectl.forward import forwarding
from riskpredictor_kubectl.options import name_argument, with_client
from riskpredictor_kubectl.output import notice

AGAIN_SECONDS = 60.0
"""How long to look for another pod when one goes away, as in a roll-out."""


@click.command(name="open")
@name_argument()
@click.option("--port", type=click.IntRange(1, 65535), help="Local port; by default a free one.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@with_client
def open_command(client: Client, name: str, port: int | None, no_browser: bool) -> None:
    """Open the web page, until Ctrl-C.

    The address stays when the pod behind it goes away, as in a roll-out.
    """
    try:
        _serve(client, name, port or 0, browser=not no_browser)
    except KeyboardInterrupt:
        # Ctrl-C is the way to end it.
        return


def _serve(client: Client, name: str, port: int, *, browser: bool) -> None:
    shown = False
    lost = 0.0
    while True:
        try:
            with forwarding(client, name, port) as forward:
                port = forward.port
                if not shown:
                    click.echo(forward.url)
                    notice("Ctrl-C ends it")
                    shown = True
                    if browser and not webbrowser.open(forward.url):
                        notice("no browser found; open the address yourself")
                elif lost:
                    notice("connected again")
                lost = 0.0
                forward.wait()
        except PluginError:
            if not shown or (lost and time.monotonic() - lost > AGAIN_SECONDS):
                raise
        if not lost:
            lost = time.monotonic()
            notice("the pod went away; connecting to another one")
        time.sleep(1.0)
