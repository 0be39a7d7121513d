"""One connection to one server, and the requests that it carries, one at a time.

Invariants:

- Whatever ends a request before all of it is out and its answer is done leaves `reusable` false. `unsent` is None only
  when all is out, and the parser is done only when all has come.
- What was read is parsed before more is read, so bytes have their order. What is left of it when an answer is done was
  asked for by nobody: such a connection is not kept.
- One task at a time waits in `more`: the one that listens while a body is sent has left when the head is waited for.
- `phase` is written by the connection itself, and by its owner for what is done outside: decoding, and rest.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine
from typing import Any, NamedTuple, Protocol

import httpx
import trio

from scrapeengine.http.transport.failures import Stale
from scrapeengine.http.transport.parser import Parser
from scrapeengine.http.transport.streams import ByteStream, within
from scrapeengine.http.transport.uploading import send_body

__all__ = ["Connection", "Origin", "Watch"]

_STEP = 16 * 1024
"""The bytes that are parsed at once: in chunks of one byte it takes 1 to 2 ms, and the loop stands still meanwhile."""
_NOTHING = memoryview(b"")


class Origin(NamedTuple):
    """The place that a connection leads to."""

    scheme: str
    """`http` or `https`."""
    host: str
    """A name in ASCII and lower case, or an address; IPv6 without brackets."""
    port: int
    guarded: bool = False
    """Whether only public addresses are connected to; what was not checked does not serve what must be."""
    name: str = ""
    """The name that TLS must find there, if that is not the host."""


class Watch(Protocol):
    """Closes a connection when its deadline has passed."""

    def end(self) -> None:
        """Watch no more."""
        ...


class Connection:
    """One connection. `ask`, then `more` until the answer is done; then its owner keeps or closes it.

    What has come of the answer is in its parser. Whatever ends a request before its answer is done (an error, a
    cancellation) leaves the connection unfit for another one, and `reusable` says so.

    Size: 16 methods, a step of a request each, or what two steps have in common.
    """

    def __init__(self, origin: Origin, stream: ByteStream, made: float) -> None:
        """Make it.

        Args:
            origin: where it leads.
            stream: its bytes; it is closed with the connection.
            made: when it was made; trio's time.
        """
        self.origin = origin
        self.made = made
        """When it was made; trio's time."""
        self.phase = "connect"
        """The step that it is at: "connect", "send", "head", "body", "idle"."""
        self.parser = Parser()
        """The meaning of its bytes, its last answer among it."""
        self.unsent: str | None = None
        """Why the request could not be sent whole; empty if it is not sent whole, and need not be; None if it was."""
        self.closed = False
        self.watch: Watch | None = None
        """Closes it when its deadline has passed; its owner sets it."""
        self._stream = stream
        self._ahead = _NOTHING
        """The bytes that were read and are not parsed yet."""
        self._asked = 0

    def __repr__(self) -> str:
        """Say where it leads, and what it does."""
        state = "closed" if self.closed else self.phase
        return f"<Connection to {self.origin.host}:{self.origin.port}, {state}, {self._asked} requests>"

    @property
    def reusable(self) -> bool:
        """Whether it can carry another request; one that has carried none can."""
        parser = self.parser
        return self.unsent is None and parser.answer.done and parser.keep and not (self._ahead or self.closed)

    @property
    def quiet(self) -> bool:
        """Whether it is as it was left: the server has neither closed it nor sent what nobody asked for."""
        return self._stream.quiet()

    def ask(self, method: str, head: bytes, *, most: float) -> Coroutine[Any, Any, None]:
        """Send a request that has its body in its head's bytes; the coroutine waits for the head of its answer.

        Errors and cancellation as for `send` and `head`. It is no coroutine function: a frame less for each request.
        """
        return self.head() if self._begin(method, head, most) else self._rest_and_head()

    async def _rest_and_head(self) -> None:
        await self._flush(None)
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
        if not self._begin(method, head, most):
            await self._flush(limit)
        if body is not None:
            await self.upload(body, expect=expect, limit=limit)

    async def upload(
        self, body: AsyncGenerator[bytes, None], *, expect: bool = False, limit: float | None = None
    ) -> None:
        """Send the body of a request whose head was sent; arguments, errors and cancellation as for `send`."""
        if self.unsent:
            return
        self.unsent = ""  # until all of it is out
        try:
            if await send_body(body, self._stream, self, expect=expect, limit=limit):
                self.unsent = None
        except httpx.WriteError as error:
            self.unsent = str(error)

    async def head(self) -> None:
        """Wait for the head of the answer.

        Raises:
            Stale: a kept connection was closed before any byte of the answer came.
            httpx.WriteError: the server took only a part of the request, and did not say why.
            httpx.TransportError: the connection broke, or what came is no answer.

        Checkpoint. If cancelled, the connection is not `reusable`.
        """
        if not self.unsent:
            self.phase = "head"
        answer = self.parser.answer
        try:
            while not answer.ready:
                if self._ahead:
                    await self.more()
                else:  # as `more` does, with a frame less
                    self._take_in(await self._stream.read())
        except Stale:
            raise
        except httpx.TransportError as error:
            if self._is_stale(error):
                raise Stale(str(error)) from None
            if self.unsent:
                raise httpx.WriteError(self.unsent) from None
            raise
        self.phase = "body"

    async def more(self) -> None:
        """Wait for more of the answer; the parser has what came.

        Raises:
            Stale: a kept connection was closed before any byte of the answer came.
            httpx.TransportError: the connection broke, or what came is no answer.

        Checkpoint. If cancelled, nothing is lost.
        """
        try:
            if self._ahead and not self.closed:
                await trio.lowlevel.checkpoint()
                self._parse(self.parser)
            else:
                self._take_in(await self._stream.read())
        except httpx.ReadError as error:
            if self._is_stale(error):
                raise Stale(str(error)) from None
            raise

    def close(self) -> None:
        """Close it at once, without a checkpoint. Who waits for it gets an error."""
        self.closed = True
        if self.watch is not None:
            self.watch.end()
            self.watch = None
        self._stream.close()

    def _begin(self, method: str, head: bytes, most: float) -> bool:
        """Send what the kernel takes at once; false if more is to be sent, and can be."""
        self._asked += 1
        self.parser.begin(method, most)
        self.phase = "send"
        self.unsent = ""  # until all of it is out, whatever ends the sending
        try:
            if not self._stream.write_now(head):
                return False
            self.unsent = None
        except httpx.WriteError as error:
            self.unsent = str(error)  # there may be an answer that says why: `head` looks for it
        return True

    async def _flush(self, limit: float | None) -> None:
        try:
            with within(limit, httpx.WriteTimeout):
                await self._stream.flush()
            self.unsent = None
        except httpx.WriteError as error:
            self.unsent = str(error)

    def _is_stale(self, error: httpx.TransportError) -> bool:
        """Say whether the server may not have seen the request.

        Only a connection that was kept can have been closed before the request was sent. Where the server has said
        anything, it may have heard the request.
        """
        return isinstance(error, httpx.ReadError) and self._asked > 1 and self.parser.answer.untouched

    def _take_in(self, data: bytes) -> None:
        """Parse what was read, or the first step of it; none: the server sends no more."""
        if len(data) <= _STEP:
            self.parser.feed(data) if data else self.parser.end()
        else:
            self._ahead = memoryview(data)
            self._parse(self.parser)

    def _parse(self, parser: Parser) -> None:
        """Parse a step of what was read; all that is left of it where it is the body, and has a length."""
        while self._ahead:
            part, self._ahead = self._ahead[:_STEP], self._ahead[_STEP:] or _NOTHING
            parser.feed(part)
            if not parser.measured:
                return
