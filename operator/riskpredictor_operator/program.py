"""The operator as a process: settings, start-up checks, leader election, controller.

Exit status: 0 after an orderly stop, 1 when the operator cannot go on and the pod has to
restart (the lease was lost, a watch failed), 2 for unusable settings, 3 when a start-up check
failed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import uvloop

from riskpredictor_operator import __version__, metrics, preflight
from riskpredictor_operator.controller import Controller
from riskpredictor_operator.core import api
from riskpredictor_operator.kube import Key
from riskpredictor_operator.preflight import PreflightError
from riskpredictor_operator.runtime import logs
from riskpredictor_operator.runtime import metrics as runtime_metrics
from riskpredictor_operator.runtime.client import Client
from riskpredictor_operator.runtime.kopf_patches import CONNECTION_ERRORS
from riskpredictor_operator.runtime.leader_election import WRITE_FRACTION, LeaderElector
from riskpredictor_operator.runtime.login import NoClusterError
from riskpredictor_operator.runtime.probes import ProbeServer
from riskpredictor_operator.runtime.stopping import StopSignals, run_unless_stopped
from riskpredictor_operator.runtime.transport import connect
from riskpredictor_operator.settings import Settings, default_identity, load, own_namespace

logger = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_PREFLIGHT = 3


def main(signals: StopSignals) -> int:
    """Run the operator until a signal; returns the exit status."""
    settings = load(sys.argv[1:], os.environ)
    logs.configure(settings.log_format, settings.log_level, CONNECTION_ERRORS)
    metrics.BUILD.info({"version": __version__})
    status: int = uvloop.run(run(settings, signals))
    return status


async def run(settings: Settings, signals: StopSignals) -> int:
    """Connect, check, lead, work; returns the exit status."""
    stop = signals.event()
    try:
        client = await _connect(settings, stop)
    except NoClusterError as error:
        logger.error("%s", error)  # noqa: TRY400 - the message is enough
        return EXIT_PREFLIGHT
    if client is None:
        return 0
    server: ProbeServer | None = None
    try:
        lease = Key(own_namespace(settings), settings.lease_name)
        elector = _elector(client, settings, lease)
        checks = preflight.check(client, settings.namespace, lease if elector else None)
        if not await run_unless_stopped(stop, checks):
            return 0
        controller = Controller(client, settings, stop)
        server = await _serve(settings)
        if elector is not None and not await _lead(elector, stop):
            return 0
        return await _control(controller, elector)
    except PreflightError as error:
        logger.error("%s", error)  # noqa: TRY400 - the message is enough
        return EXIT_PREFLIGHT
    finally:
        if server is not None:
            await server.stop()
        await client.close()


async def _connect(settings: Settings, stop: asyncio.Event) -> Client | None:
    """The API server's client; None if told to stop while the credentials are read."""
    # A write may leave until WRITE_FRACTION of the lease is over; the rest is for it to arrive.
    arrive_seconds = settings.lease_seconds * (1 - WRITE_FRACTION)
    write_seconds = arrive_seconds if settings.leader_election else 0.0
    agent = f"riskpredictor-operator/{__version__}"
    client: Client | None = None

    async def connecting() -> None:
        nonlocal client
        transport = await connect(agent, settings.request_seconds, write_seconds)
        client = Client(transport, api.FIELD_MANAGER)

    await run_unless_stopped(stop, connecting())
    return client


def _elector(client: Client, settings: Settings, lease: Key) -> LeaderElector | None:
    if not settings.leader_election:
        return None
    identity = settings.identity or default_identity()
    elector = LeaderElector(client, lease, identity, settings.lease_seconds)
    client.before_write = elector.check
    return elector


async def _serve(settings: Settings) -> ProbeServer | None:
    if settings.http_port == 0:
        return None
    server = ProbeServer(settings.http_host, settings.http_port)
    try:
        await server.start()
    except OSError as error:
        raise PreflightError(f"port {settings.http_port}: {error}; set --http-port") from error
    return server


async def _lead(elector: LeaderElector, stop: asyncio.Event) -> bool:
    """Wait for the lease; False if told to stop before this replica has it."""
    if await run_unless_stopped(stop, elector.acquire()):
        return True
    await elector.release()
    return False


async def _control(controller: Controller, elector: LeaderElector | None) -> int:
    async def never_lost() -> None:
        await asyncio.Event().wait()

    async def nothing_to_release() -> None:
        return

    if elector is None:
        runtime_metrics.LEADER.set(1)
        why = await controller.run(never_lost, nothing_to_release)
    else:
        why = await controller.run(elector.wait_until_lost, elector.release)
    if why:
        logger.error("ending: %s", why)
        return EXIT_FAILED
    logger.info("stopped")
    return 0
