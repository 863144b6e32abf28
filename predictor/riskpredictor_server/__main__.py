"""Command line of the server: ``python -m riskpredictor_server --help``."""

from __future__ import annotations

import asyncio
import gc
import sys
from dataclasses import replace

from riskpredictor_server.api.service import Service
from riskpredictor_server.asgi import Application
from riskpredictor_server.http.server import Server, bind, connection_limit
from riskpredictor_server.logs import configure, print_startup_error
from riskpredictor_server.settings import SettingsError, parse


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal, then exit. Returns 2 for a wrong setting, 1 if it cannot listen."""
    try:
        settings = parse(sys.argv[1:] if argv is None else argv)
    except SettingsError as error:
        print_startup_error(str(error), error.log_format)
        return 2
    configure(settings)
    settings = replace(settings, max_connections=connection_limit(settings.max_connections))
    try:
        sock = bind(settings.host, settings.port)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        print_startup_error(f"cannot listen on {where}: {error}", settings.log_format)
        return 1
    server = Server(Application(Service(settings)))
    # Modules and model stay until the end, and requests leave no reference cycles: never look for
    # garbage in the former, and seldom otherwise.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    asyncio.run(server.serve(sockets=[sock]))
    return server.exit_now(0)


if __name__ == "__main__":
    sys.exit(main())
