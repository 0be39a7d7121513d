"""One connection to one server, and the requests that it carries, one at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import NamedTuple, Protocol

import httpx
import trio

from scrapeengine.http.transport.failures import Stale
from scrapeengine.http.transport.parser import Parser
from scrapeengine.http.transport.streams import ByteStream

__all__ = ["Connection", "Origin", "Watch", "within"]

_STEP = 16 * 1024
"""How much is parsed at once: in chunks of one byte it takes 1 to 2 ms, and the loop stands still meanwhile."""
_NOTHING = memoryview(b"")
_PATIENCE_FOR_100 = 1.0
"""How long a request that expects a `100 Continue` waits for it, in seconds (RFC 9110, section 10.1.1, sets none)."""


class Origin(NamedTuple):
    """Where a connection leads."""

    scheme: str
    """`http` or `https`."""
    host: str
    """A name in ASCII and lower case, or an address; IPv6 without brackets."""
    port: int
    guarded: bool = False
    """Whether only public addresses are connected to; what was not checked does not serve what must be."""
    name: str = ""
    """Whom TLS must find there, if that is not the host."""


class Watch(Protocol):
    """What closes a connection when its deadline has passed."""

    def end(self) -> None:
        """Watch no more."""
        ...


class Connection:
    """One connection. `ask`, then `more` until the answer is done; then its owner keeps or closes it.

    Whatever ends a request before its answer is done (an error, a cancellation) leaves the connection unfit for
    another one, and `reusable` says so.
    """

    def __init__(self, origin: Origin, stream: ByteStream, made: float) -> None:
        self.origin = origin
        self.made = made
        """When it was made; trio's time."""
        self.rested = made
        """Since when it has been idle, when it is; trio's time."""
        self.phase = "connect"
        """What it is doing: "connect", "send", "head", "body", "idle"."""
        self.answer = Parser()
        self._ahead = _NOTHING
        """What was read and is not parsed yet."""
        self._stream = stream
        self._asked = 0
        self._sent = False
        self._unsent = ""
        """Why the request could not be sent whole; empty if it was."""
        self._written = 0
        self.closed = False
        self.watch: Watch | None = None
        """What closes it when its deadline has passed."""

    @property
    def reusable(self) -> bool:
        """Whether it can carry another request; one that has carried none can."""
        if not self._asked:
            return not self.closed
        return self._sent and self.answer.done and self.answer.keep and not (self._ahead or self.closed)

    @property
    def quiet(self) -> bool:
        """Whether it is as it was left: the server has neither closed it nor sent what nobody asked for."""
        return self._stream.quiet()

    @property
    def unsent(self) -> str:
        """Why the request could not be sent whole; empty if it was."""
        return self._unsent

    async def ask(self, method: str, head: bytes, *, most: float) -> None:
        """Send a request that has its body in its head's bytes, and wait for the head of its answer."""
        if self._begin(method, head, most) < len(head):
            await self._rest(head, None)
        await self.head()

    async def send(
        self,
        method: str,
        head: bytes,
        body: AsyncGenerator[bytes, None] | None = None,
        *,
        most: float,
        expect: bool = False,
        limit: float | None = None,
    ) -> None:
        """Send a request. What keeps it from being sent, `head` says, or the server does.

        Args:
            method: the request's.
            head: the bytes of its head; those of a short body may follow.
            body: what follows, in the form in which it goes out; it is closed.
            most: the bytes that the answer's body may have on the wire.
            expect: whether to wait for a `100 Continue` before the body is sent.
            limit: the seconds that the head has, and each part of the body; None: no limit.

        Raises:
            Stale: a kept connection was closed before any byte of the answer came.
            httpx.WriteTimeout: the server took nothing for too long.
            httpx.TransportError: the connection broke, or what came is no answer.

        The first bytes are sent without a checkpoint where the kernel takes them. Checkpoint if it has to wait. If
        cancelled, the connection is not `reusable`.
        """
        if self._begin(method, head, most) < len(head):
            await self._rest(head, limit)
        if body is not None:
            await self.upload(body, expect=expect, limit=limit)

    async def upload(
        self, body: AsyncGenerator[bytes, None], *, expect: bool = False, limit: float | None = None
    ) -> None:
        """Send the body of a request whose head was sent; arguments, errors and cancellation as for `send`."""
        if self._unsent:
            return
        self._sent = False
        try:
            self._sent = await self._upload(body, expect=expect, limit=limit)
        except httpx.WriteError as error:
            self._unsent = str(error)

    async def head(self) -> None:
        """Wait for the head of the answer.

        Raises:
            Stale: a kept connection was closed before any byte of the answer came.
            httpx.WriteError: the server took only a part of the request, and did not say why.
            httpx.TransportError: the connection broke, or what came is no answer.

        Checkpoint. If cancelled, the connection is not `reusable`.
        """
        if not self._unsent:
            self.phase = "head"
        answer = self.answer
        try:
            while not answer.ready:
                await self.more()
        except Stale:
            raise
        except httpx.TransportError:
            if self._unsent:
                raise httpx.WriteError(self._unsent) from None
            raise
        self.phase = "body"

    def _begin(self, method: str, head: bytes, most: float) -> int:
        """Send what the kernel takes at once; return how much that was, all of it if it takes nothing any more."""
        self._asked += 1
        self._unsent = ""
        self.answer.begin(method, most)
        self.phase = "send"
        try:
            self._written = self._stream.write_now(head)
        except httpx.WriteError as error:
            self._sent, self._unsent = False, str(error)
            return len(head)
        self._sent = self._written == len(head)
        return self._written

    async def _rest(self, head: bytes, limit: float | None) -> None:
        try:
            with within(limit, httpx.WriteTimeout):
                await self._stream.write(memoryview(head)[self._written :])
            self._sent = True
        except httpx.WriteError as error:
            self._unsent = str(error)

    async def more(self) -> None:
        """Wait for more of the answer: `answer.parts` and `answer.done` say what came.

        Raises:
            httpx.TransportError: the connection broke, or what came is no answer.

        Checkpoint. If cancelled, nothing is lost.
        """
        answer = self.answer
        try:
            if self._ahead and not self.closed:
                await trio.lowlevel.checkpoint()
            else:
                data = await self._stream.read()
                if len(data) <= _STEP:
                    answer.feed(data) if data else answer.end()
                    return
                self._ahead = memoryview(data)
            self._parse(answer)
        except httpx.ReadError as error:
            if self._asked > 1 and answer.untouched:
                raise Stale(str(error)) from None
            raise

    def _parse(self, answer: Parser) -> None:
        """Parse a step of what was read; all that is left of it where it is the body, and has a length."""
        while self._ahead:
            part, self._ahead = self._ahead[:_STEP], self._ahead[_STEP:] or _NOTHING
            answer.feed(part)
            if not answer.measured:
                return

    def close(self) -> None:
        """Close it at once, without a checkpoint. Who waits for it gets an error."""
        self.closed = True
        if self.watch is not None:
            self.watch.end()
            self.watch = None
        self._stream.close()

    async def _upload(self, body: AsyncGenerator[bytes, None], *, expect: bool, limit: float | None) -> bool:
        """Send a body, unless its answer comes first: who has one need not read on (RFC 9112, section 9.5).

        Returns:
            Whether all of it was sent.
        """
        async with aclosing(body):
            if expect and await self._refused():
                return False
            failed: BaseException | None = None
            sent = False
            heard: list[httpx.TransportError] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, nursery.cancel_scope, heard)
                try:
                    async for part in body:
                        with within(limit, httpx.WriteTimeout):
                            await self._stream.write(part)
                    sent = True  # an answer may be here by now all the same
                except (trio.Cancelled, BaseExceptionGroup):  # what was cancelled may leave in a group
                    raise
                except BaseException as error:  # noqa: BLE001 - it leaves below, and in no group
                    failed = error
                nursery.cancel_scope.cancel()
        if failed is not None:
            raise failed
        if heard:  # what it was is no more to be read
            raise heard[0]
        return sent

    async def _listen(self, scope: trio.CancelScope, heard: list[httpx.TransportError]) -> None:
        """Wait for an answer that comes before the body was sent, and end the sending then."""
        try:
            while not self.answer.ready:
                await self.more()
        except httpx.TransportError as error:
            heard.append(error)
        scope.cancel()

    async def _refused(self) -> bool:
        """Wait for the word that the body may be sent; whether the server has answered without it."""
        with trio.move_on_after(_PATIENCE_FOR_100):
            while not (self.answer.continued or self.answer.ready):
                await self.more()
        return self.answer.ready


@contextmanager
def within(seconds: float | None, error: type[httpx.TimeoutException]) -> Iterator[None]:
    """Limit what is done inside; None: no limit.

    Raises:
        httpx.TimeoutException: of the type that was given; it has taken too long.
    """
    if seconds is None:
        yield
        return
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise error(f"nothing came or went for {seconds:g} s")
