"""Several servers behind one address that deals out connections, as pods behind a Service."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from unit.predictor.support import ServerProcess, free_port


@contextmanager
def service(pods: int) -> Iterator[str]:
    """The address of so many servers that take turns, connection by connection."""
    with ExitStack() as stack:
        names = [f"health-predictor-{number}" for number in range(1, pods + 1)]
        servers = [stack.enter_context(ServerProcess(pod_name=name)) for name in names]
        port, ready, stop = free_port(), threading.Event(), threading.Event()
        balance = _balance(port, [server.port for server in servers], ready, stop)
        thread = threading.Thread(target=asyncio.run, args=(balance,), daemon=True)
        thread.start()
        assert ready.wait(5), "the balancer did not start"
        yield f"http://127.0.0.1:{port}"
        stop.set()
        thread.join(5)


async def _balance(
    port: int, targets: list[int], ready: threading.Event, stop: threading.Event
) -> None:
    turns = itertools.cycle(targets)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        near, far = await asyncio.open_connection("127.0.0.1", next(turns))
        await asyncio.gather(_copy(reader, far), _copy(near, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", port)
    ready.set()
    await asyncio.to_thread(stop.wait)
    server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except ConnectionError:
        # The browser drops what it no longer wants; the other side sees the end below.
        pass
    finally:
        writer.close()
