"""The body of a request, sent while its answer may come: who has that may stop reading (RFC 9112, section 9.5)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

import httpx
import trio

from scrapeengine.http.transport.parser import Parser
from scrapeengine.http.transport.streams import ByteStream, within

__all__ = ["Hearing", "send_body"]

_PATIENCE_FOR_100 = 1.0
"""Seconds for which a request that expects a `100 Continue` waits for it (RFC 9110, section 10.1.1, sets none)."""


class Hearing(Protocol):
    """Hears what a server says."""

    @property
    def parser(self) -> Parser:
        """The meaning of what came, its last answer among it."""
        ...

    async def more(self) -> None:
        """Wait for more of it. Checkpoint. If cancelled, nothing is lost."""
        ...


async def send_body(
    body: AsyncGenerator[bytes, None], stream: ByteStream, hearing: Hearing, *, expect: bool, limit: float | None
) -> bool:
    """Send a body, unless its answer comes first.

    Args:
        body: in the form in which it goes out; it is closed.
        stream: where it goes.
        hearing: hears the answer.
        expect: whether to wait for a `100 Continue` before it is sent.
        limit: the seconds that each part has; None: no limit.

    Returns:
        Whether all of it was sent.

    Raises:
        httpx.WriteTimeout: the server took nothing for too long.
        httpx.TransportError: the connection broke, or what came is no answer.
        Exception: what the body has raised, in no group.

    Checkpoint. If cancelled, some of it may have been sent.
    """
    async with aclosing(body):
        if expect and await _answered_first(hearing):
            return False
        sent = False
        failed: BaseException | None = None
        heard: list[httpx.TransportError] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, hearing, nursery.cancel_scope, heard)
            try:
                await _write_all(body, stream, limit)
                sent = True  # an answer may be here by now all the same
            except (trio.Cancelled, BaseExceptionGroup):  # what was cancelled may leave in a group
                raise
            except BaseException as error:  # noqa: BLE001 - it leaves below, and in no group
                failed = error
            # Who listens may stand anywhere in `more`: cancelled there, nothing is lost.
            nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed
    if heard:  # what it was is no more to be read
        raise heard[0]
    return sent


async def _write_all(body: AsyncGenerator[bytes, None], stream: ByteStream, limit: float | None) -> None:
    async for part in body:
        with within(limit, httpx.WriteTimeout):
            await stream.write(part)


async def _listen(hearing: Hearing, scope: trio.CancelScope, heard: list[httpx.TransportError]) -> None:
    """Wait for an answer that comes before the body was sent, and end the sending then."""
    try:
        while not hearing.parser.answer.ready:
            await hearing.more()
    except httpx.TransportError as error:
        heard.append(error)
    scope.cancel()


async def _answered_first(hearing: Hearing) -> bool:
    """Wait for the word that the body may be sent; whether the server has answered without it."""
    answer = hearing.parser.answer
    with trio.move_on_after(_PATIENCE_FOR_100):
        while not (answer.continued or answer.ready):
            await hearing.more()
    return answer.ready
