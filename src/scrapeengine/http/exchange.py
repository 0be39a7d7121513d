"""One request and its answer: the turn, the connection, the deadline, and errors in our own words."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import attrs
import trio

from scrapeengine.decide.retry_after import seconds_of
from scrapeengine.errors import AttemptTimeout, RequestError
from scrapeengine.http.answers import Answer, Body, header, location_of
from scrapeengine.http.call import Call
from scrapeengine.http.failures import BodyTooLarge, Expired, Stale, Unreadable
from scrapeengine.http.requests import REDIRECTS
from scrapeengine.http.seat import Seat
from scrapeengine.http.translate import tells_nothing, translated
from scrapeengine.http.wire import Line, Wire
from scrapeengine.model.urls import shown

__all__ = ["Exchange", "Reader", "first", "whole"]

T = TypeVar("T")

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})

Reader = Callable[["Exchange", Line], Awaitable[T]]


@attrs.define(eq=False)
class Exchange:
    """One request on its way. It is made for each attempt, and for each hop of a redirect."""

    seat: Seat
    wire: Wire
    call: Call
    attempt: int
    at: str | None
    """The platform that it goes to; None: the task's own."""
    most: float | None = None
    """The bytes that the body may have on the wire; None: what the platform's `Caps` say."""
    follows: bool = True
    """Whether a redirect is followed, and its body so left unread."""
    fresh: bool = False
    """Whether a connection is made for it, whatever there is at hand."""
    phase: str = attrs.field(default="connect", init=False)
    body: Body | None = attrs.field(default=None, init=False)
    """The body that is being read."""
    kept: bool = attrs.field(default=False, init=False)
    """Whether the line is somebody else's to leave."""
    _sent: float | None = attrs.field(default=None, init=False)
    _spent: float = attrs.field(default=0.0, init=False)

    async def run(self, read: Reader[T], after: float = 0.0) -> T:
        """Wait for its turn, send it, and read its answer in the time that an attempt has.

        Args:
            read: reads what is wanted of the answer, once its head is there.
            after: seconds to wait before, parked.

        Raises:
            PlatformClosed: the platform is closed for longer than its policy's patience.
            RequestError: no answer came.

        Checkpoint. If cancelled, what carried it is closed.
        """
        if after > 0:
            await self.seat.turn(self.at, after)
        renewed = False
        while True:
            line = None if renewed or self.fresh else self.wire.at_hand(self.call.origin)
            if line is None or not self.seat.go(self.at, first=self.attempt == 1):
                line = await self._started(line)
            try:
                return await self._carried(line, read)
            except Stale as error:
                # The server closed a kept connection just as we used it. Once, on a fresh one, that costs no attempt.
                if renewed or self.call.method not in _IDEMPOTENT or not self.call.renewable:
                    raise self.failed(error) from error
                renewed = True
            finally:
                if not self.kept:
                    await line.leave()

    def where(self) -> dict[str, Any]:
        """Say what errors say of a request."""
        return {
            "platform": self.seat.platform,
            "method": self.call.method,
            "url": shown(self.call.url),
            "attempt": self.attempt,
            "phase": self.phase,
            "seconds": self.elapsed(),
        }

    def leads_on(self, line: Line) -> bool:
        """Say whether an answer is a redirect that is followed, and whose body is not read."""
        return self.follows and line.status in REDIRECTS and location_of(line.headers) is not None

    def elapsed(self) -> float:
        """Return the seconds since it was sent, those that it took to connect included."""
        return self._spent + (0.0 if self._sent is None else trio.current_time() - self._sent)

    async def _started(self, line: Line | None) -> Line:
        """Wait until the request may start, and return what carries it; no checkpoint may come before it is sent.

        A connection rests in the pool while the request waits, where it is looked at before it is used.
        """
        seat, at = self.seat, self.at
        waited = False
        while True:
            if line is None:
                if not seat.open(at):
                    await seat.turn(at)
                line = await self._connected()
                if seat.go(at, first=self.attempt == 1):
                    return line
            await line.leave()
            await seat.turn(at, ahead=waited)
            waited = True
            line = self.wire.at_hand(self.call.origin)
            if line is not None and seat.go(at, first=self.attempt == 1):
                return line

    async def _connected(self) -> Line:
        """Make a connection, in the time that an attempt has."""
        self.phase = "connect"
        self.seat.connecting()
        self._sent = trio.current_time()
        limit = self.seat.policy.timeout.attempt
        with trio.move_on_after(max(0.0, limit - self._spent)):
            try:
                line = await self.wire.connect(self.call.origin)
            except Exception as error:  # noqa: BLE001 - the border: whatever it is leaves in our words
                raise self.failed(error) from (error if tells_nothing(error) else None)
            self._spent, self._sent = self.elapsed(), None
            return line
        raise AttemptTimeout(f"no connection in {limit:g} s", **self.where())

    async def _carried(self, line: Line, read: Reader[T]) -> T:
        """Send the request, heed the head of its answer, whatever becomes of the rest, and read it."""
        self._sent = trio.current_time()
        self.phase = "send"
        policy = self.seat.policy
        line.deadline = self._sent + policy.timeout.attempt - self._spent
        try:
            await line.ask(self.call, policy.caps.wire if self.most is None else self.most)
        except Stale:
            self._spent, self._sent = self.elapsed(), None
            raise
        except Exception as error:  # noqa: BLE001 - as above
            self.phase = line.phase
            if line.status in {429, 503}:  # the head was whole, though what came with it is not to be had
                self._heed(line)
            raise self.failed(error) from (error if tells_nothing(error) else None)
        self.phase = "body"
        if line.status in {429, 503}:
            self._heed(line)
        try:
            return await read(self, line)
        except Exception as error:  # noqa: BLE001 - as above
            raise self.failed(error) from (error if tells_nothing(error) else None)

    def _heed(self, line: Line) -> None:
        """Close the platform if it says that it is asked too much."""
        wall, date = self.seat.wall(trio.current_time()), _text(line, b"date")
        values = [value.decode("latin-1") for name, value in line.headers if name.lower() == b"retry-after"]
        if line.status == 429 or values:
            # Sent twice, by the site and what stands before it: the longer one holds.
            waits = [wait for wait in (seconds_of(value, date, wall) for value in values) if wait is not None]
            self.seat.refused(self.at, self._sent or 0.0, max(waits, default=None))

    def failed(self, error: Exception) -> RequestError:
        """Return what the wire raised, in our own words."""
        if self.body is not None:
            self.phase = self.body.phase
        if isinstance(error, Expired):
            limit = self.seat.policy.timeout.attempt
            return AttemptTimeout(f"no whole answer in {limit:g} s", **self.where())
        return translated(error, **self.where())


def _text(line: Line, name: bytes) -> str | None:
    value = header(line.headers, name)
    return None if value is None else value.decode("latin-1")


async def whole(exchange: Exchange, line: Line) -> Answer:
    """Read the whole answer, but of a redirect only its head."""
    if line.status >= 300 and exchange.leads_on(line):
        return Answer.of(exchange.call, line, b"")
    cap = exchange.seat.policy.caps.body
    if line.done and line.coding is None:
        # All has come with the head, as most answers do.
        body = b"".join(line.take())
        if len(body) <= cap:
            return Answer.of(exchange.call, line, body)
        raise BodyTooLarge(f"the body has more than {cap:.0f} bytes")
    exchange.body = Body(line, cap)
    try:
        return Answer.of(exchange.call, line, await exchange.body.whole())
    except Unreadable as error:
        return _bodiless(exchange, line, error)


def _bodiless(exchange: Exchange, line: Line, error: Unreadable) -> Answer:
    """Return an answer without its body, which cannot be read, if its status says enough; else raise the error."""
    if line.status < 400:
        raise error
    answer = Answer.of(exchange.call, line, b"")
    answer.unreadable = exchange.failed(error)
    return answer


def first(most: int) -> Reader[Answer]:
    """Make a reader of the first `most` bytes of a body, which leaves the rest."""

    async def read(exchange: Exchange, line: Line) -> Answer:
        if exchange.leads_on(line):
            return Answer.of(exchange.call, line, b"")
        exchange.body = body = Body(line, math.inf)
        parts, size = [], 0
        try:
            while size < most and (part := await body.part()) is not None:
                parts.append(part)
                size += len(part)
        except Unreadable as error:
            return _bodiless(exchange, line, error)
        return Answer.of(exchange.call, line, b"".join(parts)[:most])

    return read
