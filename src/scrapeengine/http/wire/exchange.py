"""One request and its answer: the turn, the connection, the deadline, and errors in our own words.

Invariants:

- Between the right to start (`Destination.start`) and the first byte there is no checkpoint. So what the platform sees
  is what was booked, and a penalty that comes meanwhile is seen in time.
- A channel is left by whoever has it: the exchange, or the answer that holds it. None is held in waiting for a turn.
- Connecting, sending and reading have the time of one attempt together, over both connections where a kept one was
  closed. Waiting for turns is not counted.
- Whatever `Exception` the wire raises is translated by `failed`, once. A caller's own passes in `CallersError`, which
  is none.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import attrs
import trio

from scrapeengine.decide.heed import said_of
from scrapeengine.decide.retry_after import seconds_of
from scrapeengine.errors import AttemptTimeout, RequestError
from scrapeengine.http.transport.failures import BodyOverCap, Expired, Stale, Unreadable
from scrapeengine.http.wire.answers import Response, header, location_of
from scrapeengine.http.wire.call import Call
from scrapeengine.http.wire.client_task import ClientTask, Destination
from scrapeengine.http.wire.connector import Channel, Connector
from scrapeengine.http.wire.reading import BodyReader
from scrapeengine.http.wire.telling import RequestTelling, tell_connected
from scrapeengine.http.wire.translate import tells_nothing, translated
from scrapeengine.model.standards import IDEMPOTENT, REDIRECTS
from scrapeengine.model.urls import shown

__all__ = ["Exchange", "Read", "Reader", "first", "whole"]

T = TypeVar("T")


Read: TypeAlias = tuple[T, bool]
"""An answer that was read, and whether it holds the channel, from which more is to come, and leaves it itself."""
Reader = Callable[["Exchange", Channel], Awaitable[Read[T]]]
"""Reads what is wanted of an answer whose head is there. The channel's phase says where it has failed."""


@attrs.define(eq=False)
class Exchange:
    """One request on its way. It is made for each attempt, and for each hop of a redirect.

    Size: 13 attributes: what an attempt is given, and where it stands.
    """

    task: ClientTask
    connector: Connector
    call: Call
    attempt: int
    to: Destination
    """The platform that it goes to."""
    most: float | None = None
    """The bytes that the body may have on the wire; None: what the platform's `Caps` say."""
    follows: bool = True
    """Whether a redirect is followed, and its body so left unread."""
    fresh: bool = False
    """Whether a connection is made for it, whatever there is at hand."""
    cost: int = 1
    """The requests that it counts as, in the rates of the platform."""
    _sent: float | None = attrs.field(default=None, init=False)
    """Since when it is being connected or sent; None: it waits."""
    _spent: float = attrs.field(default=0.0, init=False)
    """The seconds that it took before, the waiting left out."""
    telling: RequestTelling | None = attrs.field(default=None, init=False)
    """Tells instruments of it once it is sent; None: nobody listens."""
    _connect: float | None = attrs.field(default=None, init=False)
    """The seconds that it took to make a connection for it; None: none was made since it was sent last."""

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
            await self.to.turn(after, cost=self.cost)
        renewed, asked = False, self.call
        while True:
            # First what carries it, then the right to start: between `start` and the sending no checkpoint may come.
            channel = None if renewed or self.fresh else self.connector.at_hand(self.call.origin)
            if channel is None or not self.to.start(first=self.attempt == 1, cost=self.cost):
                channel = await self._started(channel)
            holds = False
            try:
                now = self._sent = trio.current_time()
                if self.task.instruments.requests or self.task.followed:
                    self._tell_begun(asked, now)
                answer, holds = await self._carried(channel, read, now)
                if self.telling is not None and not holds:
                    self.telling.ended(channel.answer)
                return answer
            except Stale as error:
                self._tell_end(channel, error)
                # The server closed a kept connection just as we used it. Once, on a fresh one, that costs no attempt.
                if renewed or self.call.method not in IDEMPOTENT or not self.call.renewable:
                    raise self.failed(error, "send") from error
                renewed = True
            except BaseException as error:
                self._tell_end(channel, error)
                raise
            finally:
                # Also what is renewed: it is left, and so closed, before another one is made.
                if not holds:
                    await channel.leave()

    def where(self, phase: str) -> dict[str, Any]:
        """Say what errors say of a request.

        Args:
            phase: the step at which it is.
        """
        return {
            "platform": self.task.platform_name,
            "method": self.call.method,
            "url": shown(self.call.url),
            "attempt": self.attempt,
            "phase": phase,
            "seconds": self.elapsed(),
        }

    def leads_on(self, channel: Channel) -> bool:
        """Say whether an answer is a redirect that is followed, and whose body is not read."""
        answer = channel.answer
        return self.follows and answer.status in REDIRECTS and location_of(answer.headers) is not None

    def elapsed(self) -> float:
        """Return the seconds since it was sent, those that it took to connect included."""
        return self._spent + (0.0 if self._sent is None else trio.current_time() - self._sent)

    async def _started(self, channel: Channel | None) -> Channel:
        """Wait until the request may start, and return the channel for it; no checkpoint may come before it is sent.

        A connection rests in the pool while the request waits, where it is looked at before it is used.
        """
        to = self.to
        waited = False
        while True:
            if channel is None:
                if to.closed_for():  # to connect to a closed platform is to ask it all the same
                    await to.turn(cost=self.cost)
                channel = await self._connected()
                if to.start(first=self.attempt == 1, cost=self.cost):
                    return channel
            await channel.leave()
            await to.turn(cost=self.cost, ahead=waited)
            waited = True
            channel = self.connector.at_hand(self.call.origin)
            if channel is not None and to.start(first=self.attempt == 1, cost=self.cost):
                return channel

    async def _connected(self) -> Channel:
        """Make a connection, in the time that an attempt has."""
        self.task.connecting()  # what is booked for it lapses unused, and it is booked anew when it can be sent
        self._sent = trio.current_time()
        limit = self.task.platform.timeout.attempt
        with trio.move_on_after(max(0.0, limit - self._spent)):
            try:
                channel = await self.connector.connect(self.call.origin)
            except Exception as error:  # noqa: BLE001 - the border: whatever it is leaves in our words
                raise self.failed(error, "connect") from (error if tells_nothing(error) else None)
            if self.connector.connects and self.task.instruments.requests:
                self._connect = self.elapsed() - self._spent
                tell_connected(self.task, self.to.name, self.call, self._connect)
            self._spent, self._sent = self.elapsed(), None
            return channel
        raise AttemptTimeout(f"no connection in {limit:g} s", **self.where("connect"))

    def _tell_begun(self, asked: Call, now: float) -> None:
        """Say that it is sent; what hooks have added to it before, when it was sent to a closed connection, is gone."""
        telling = RequestTelling(self.task, self.to.name, asked, self.attempt, now, connects=self.connector.connects)
        telling.connect, self._connect = self._connect, None
        self.telling, self.call = telling, telling.call

    def _tell_end(self, channel: Channel, error: BaseException | None) -> None:
        if self.telling is not None:
            self.telling.ended(channel.answer, error)

    async def _carried(self, channel: Channel, read: Reader[T], now: float) -> Read[T]:
        """Send the request, heed the head of its answer, whatever becomes of the rest, and read it."""
        platform = self.task.platform
        # Before it is sent: to a server that takes nothing, sending is as long as waiting for its answer.
        channel.deadline = now + platform.timeout.attempt - self._spent
        try:
            await channel.ask(self.call, platform.caps.wire if self.most is None else self.most)
        except Stale:
            self._spent, self._sent = self.elapsed(), None
            raise
        except Exception as error:  # noqa: BLE001 - as above
            if channel.answer.status in {429, 503}:  # the head was whole, though what came with it is not to be had
                self._heed(channel)
            raise self.failed(error, channel.phase) from (error if tells_nothing(error) else None)
        answer = channel.answer
        if self.telling is not None:
            self.telling.head_at = self.task.instruments.now()
            self.telling.done_with_head = answer.done
        # Before the body is read: other requests of the platform may start meanwhile, and should not.
        if answer.status in {429, 503}:
            self._heed(channel)
        for name, _ in answer.headers:  # no call for those, nearly all, that state no limit
            if b"imit" in name or b"IMIT" in name:
                self._hear(channel)
                break
        try:
            return await read(self, channel)
        except Exception as error:  # noqa: BLE001 - as above
            raise self.failed(error, channel.phase) from (error if tells_nothing(error) else None)

    def _heed(self, channel: Channel) -> None:
        """Close the platform if it says that it is asked too much."""
        wall, date = self.task.wall(), _text(channel, b"date")
        answer = channel.answer
        values = [value.decode("latin-1") for name, value in answer.headers if name.lower() == b"retry-after"]
        if answer.status == 429 or values:
            # Sent twice, by the site and what stands before it: the longer one holds.
            waits = [wait for wait in (seconds_of(value, date, wall) for value in values) if wait is not None]
            self.to.refused(self._sent or 0.0, max(waits, default=None))

    def _hear(self, channel: Channel) -> None:
        """Let the platform know which limit it has stated, if it has.

        What another host states, which no platform serves, is none of the platform's: its requests count there, for
        want of a better place. A platform that has no host of its own is wherever its task asks.
        """
        task, name = self.task, self.task.platform_name
        if (task.platform.host is not None or "." in name or ":" in name) and not task.is_served(self.call.host):
            return
        said = said_of(channel.answer.headers, self.task.wall())
        if said is not None:
            self.to.heard(self._sent or 0.0, said)

    def failed(self, error: Exception, phase: str) -> RequestError:
        """Return what the wire raised, in our own words.

        Args:
            error: what it has raised.
            phase: the step at which it was.
        """
        if isinstance(error, Expired):
            limit = self.task.platform.timeout.attempt
            return AttemptTimeout(f"no whole answer in {limit:g} s", **self.where(phase))
        return translated(error, **self.where(phase))


def _text(channel: Channel, name: bytes) -> str | None:
    value = header(channel.answer.headers, name)
    return None if value is None else value.decode("latin-1")


async def whole(exchange: Exchange, channel: Channel) -> Read[Response]:
    """Read the whole answer, but of a redirect only its head."""
    came = channel.answer
    if came.status >= 300 and exchange.leads_on(channel):
        return Response.of(exchange.call, came, b""), False
    cap = exchange.task.platform.caps.body
    if came.done and came.coding is None:
        # All has come with the head, as most answers do.
        body = b"".join(came.take())
        if len(body) <= cap:
            return Response.of(exchange.call, came, body), False
        raise BodyOverCap(f"the body has more than {cap:.0f} bytes")
    try:
        body = await BodyReader(channel, cap).whole()
    except Unreadable as error:
        return _bodiless(exchange, channel, error)
    return Response.of(exchange.call, came, body), False


def _bodiless(exchange: Exchange, channel: Channel, error: Unreadable) -> Read[Response]:
    """Return an answer without its body, which cannot be read, if its status says enough; else raise the error."""
    came = channel.answer
    if came.status < 400:
        raise error
    return Response.of(exchange.call, came, b"", unreadable=exchange.failed(error, channel.phase)), False


def first(most: int) -> Reader[Response]:
    """Make a reader of the first `most` bytes of a body, which leaves the rest."""

    async def read(exchange: Exchange, channel: Channel) -> Read[Response]:
        came = channel.answer
        if exchange.leads_on(channel):
            return Response.of(exchange.call, came, b""), False
        body = BodyReader(channel, math.inf)
        parts, size = [], 0
        try:
            while size < most and (part := await body.part()) is not None:
                parts.append(part)
                size += len(part)
        except Unreadable as error:
            return _bodiless(exchange, channel, error)
        return Response.of(exchange.call, came, b"".join(parts)[:most]), False

    return read
