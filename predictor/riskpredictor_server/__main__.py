"""Command line of the server: ``python -m riskpredictor_server --help``.

With ``fetch`` as the first argument it is the step that fetches a model: ``store/fetch.py``. With
``compare`` it compares two models on a file of records: ``compare.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from dataclasses import replace

from riskpredictor_server.api.service import Service
from riskpredictor_server.asgi import Application
from riskpredictor_server.http.addresses import ListenError, listen
from riskpredictor_server.http.server import Server, connection_limit
from riskpredictor_server.logs import configure, print_startup_error
from riskpredictor_server.settings import SettingsError, parse

_STDERR = 2


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal, then exit. Returns 2 for a wrong setting, 1 if it cannot listen."""
    _reserve_standard_files()
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == ["fetch"]:
        return _fetch(arguments[1:])
    if arguments[:1] == ["compare"]:
        from riskpredictor_server.compare import main as compare

        return compare(arguments[1:])
    try:
        settings = parse(arguments)
    except SettingsError as error:
        print_startup_error(str(error), error.log_format)
        return 2
    configure(settings.log_format, settings.log_level)
    settings = replace(settings, max_connections=connection_limit(settings.max_connections))
    try:
        sockets = listen(settings.host, settings.port)
    except ListenError as error:
        print_startup_error(str(error), settings.log_format)
        return 1
    server = Server(Application(Service(settings)))
    # Modules and model stay until the end, and requests leave no reference cycles: never look for
    # garbage in the former, and seldom otherwise.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    asyncio.run(server.serve(sockets=sockets))
    return server.exit_now(0)


def _fetch(arguments: list[str]) -> int:
    # Its libraries are as large as the server, which never needs them.
    from riskpredictor_server.store.fetch import main as fetch

    # The first process of a container gets no signal that it has no handler for: a pod that waits
    # for its store would take its whole grace period to go.
    signal.signal(signal.SIGTERM, _terminate)
    return fetch(arguments)


def _terminate(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _reserve_standard_files() -> None:
    """Open those that are closed: a connection would get their numbers, and then log lines."""
    with contextlib.suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
            pass
        os.close(number)


if __name__ == "__main__":
    sys.exit(main())
