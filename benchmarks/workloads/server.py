"""Sites on loopback, in a process of their own: the path says after how many seconds they answer, `/wait/0.372`.

`/wait/inf` is never answered. A site for each port; the ports are printed once all of them listen.
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.machine import pinned

__all__ = ["sites"]

CHECKOUT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def sites(count: int, core: int | None) -> Iterator[Sequence[str]]:
    """Serve sites on a core (None: on any) while the block runs; gives their URLs."""
    command = [sys.executable, "-m", "benchmarks.workloads.server", str(count)]
    with pinned(core):
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE)  # noqa: S603 - this program
    try:
        assert process.stdout is not None
        yield [f"http://{HOST}:{port}" for port in json.loads(process.stdout.readline())]
    finally:
        process.terminate()
        process.wait()


class Connection(asyncio.Protocol):
    """A connection: one request after another."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        """Forget what was to be answered."""
        if self._answer is not None:
            self._answer.cancel()

    def data_received(self, data: bytes) -> None:
        """Read a request without a body, and answer it in its time; the next one comes after that."""
        self._received += data
        if not self._received.endswith(b"\r\n\r\n"):
            return
        seconds = float(self._received.split(b" ", 2)[1].rpartition(b"/")[2])
        self._received = b""
        assert self._transport is not None
        if seconds < math.inf:
            self._answer = asyncio.get_running_loop().call_later(seconds, self._transport.write, ANSWER)


async def serve(count: int) -> None:
    """Serve sites for ever."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Connection, HOST, 0, backlog=1024) for _ in range(count)]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
