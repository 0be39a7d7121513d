"""Hostile sites in a process of their own: prints their ports as JSON, and serves until its standard input ends."""

from __future__ import annotations

import functools
import json
import sys
from contextlib import AsyncExitStack

import trio

from hostile.bombs import answer, bombs
from support.wire import answering, serving

HEAD = b"HTTP/1.1 200 OK\r\n"


async def drip(talk):
    """Send a head a byte at a time."""
    await talk.request()
    while True:
        await talk.drip(b"HTTP/1.1 103 Early Hints\r\n\r\n", gap=0.002)


async def reset(talk):
    """Break off in the body."""
    await talk.request()
    await talk.send(HEAD + b"Content-Length: 100\r\n\r\nabc")
    talk.reset()


async def garbage(talk):
    """Send what is no HTTP."""
    await talk.request()
    await talk.send(b"\0" * 1000)


async def flood(talk, head=b"\r\n", piece=b"x"):
    """Send a body without end."""
    await talk.request()
    await talk.send(HEAD + head)
    await talk.flood(piece)


async def silent(talk):
    """Say nothing; to TLS, too."""
    await talk.client_gone()


SITES = {
    "drip": drip,
    "reset": reset,
    "garbage": garbage,
    "endless": flood,
    "chunks": functools.partial(flood, head=b"Transfer-Encoding: chunked\r\n\r\n", piece=b"1\r\nx\r\n"),
    "headers": functools.partial(flood, head=b"", piece=b"a: b\r\n"),
    "silent": silent,
}


async def main():
    """Serve them all."""
    sites = SITES | {coding: answering(answer(coding, bomb)) for coding, bomb in bombs().items()}
    async with AsyncExitStack() as stack:
        ports = {name: (await stack.enter_async_context(serving(serve))).port for name, serve in sites.items()}
        print(json.dumps(ports), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


if __name__ == "__main__":
    trio.run(main)
