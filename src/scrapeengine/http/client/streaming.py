"""Answers whose body is not read at once: for an iterator, or into a file."""

from __future__ import annotations

import math

import trio

from scrapeengine.http.client.files import FilePath, replacing
from scrapeengine.http.wire.answers import Response
from scrapeengine.http.wire.connector import Channel
from scrapeengine.http.wire.exchange import Exchange, Read, Reader, whole
from scrapeengine.http.wire.reading import BodyReader

__all__ = ["StreamedAnswer", "streamed"]


class StreamedBody:
    """A body that is still to come, and the channel that brings it, which is its own to leave."""

    def __init__(self, exchange: Exchange, channel: Channel, cap: float) -> None:
        """Make it.

        Args:
            exchange: what brought the head of the answer.
            channel: what brings the body.
            cap: the bytes that the body may have once decoded.
        """
        self._exchange = exchange
        self._channel: Channel | None = channel
        """None once it was left."""
        self._reader = BodyReader(channel, cap)
        channel.deadline = math.inf  # from here on each part has its own, while it is waited for

    async def part(self) -> bytes | None:
        """Return the next part of the body, in the time that an attempt has; None at the end. Checkpoint."""
        exchange, channel = self._exchange, self._channel
        if channel is None:
            return None
        channel.deadline = trio.current_time() + exchange.task.platform.timeout.attempt
        try:
            part = await self._reader.part()
        except Exception as error:  # noqa: BLE001 - the border: whatever it is leaves in our words
            failed = exchange.failed(error, channel.phase)
            self._tell_end(channel, failed)
            raise failed from None
        except BaseException as error:
            # Else the block would leave the rest as it is left on purpose, and the request count as answered.
            self._tell_end(channel, error)
            raise
        finally:
            # Between two parts the time is the scraper's own, and may be long.
            channel.deadline = math.inf
        if part is None:
            await self.leave()
        return part

    async def leave(self) -> None:
        """Leave the rest of the body. Again: nothing happens."""
        channel, self._channel = self._channel, None
        if channel is not None:
            self._tell_end(channel)
            await channel.leave()

    def _tell_end(self, channel: Channel, error: BaseException | None = None) -> None:
        if self._exchange.telling is not None:
            self._exchange.telling.ended(channel.answer, error)


class StreamedAnswer:
    """An answer with its body still to come. Implements `scrapeengine.model.task.Streamed`, and is documented there."""

    def __init__(self, answer: Response, body: StreamedBody | None = None) -> None:
        """Make it.

        Args:
            answer: the head.
            body: what is still to come; None if `answer` has its body already.
        """
        self._body = body
        self._rest = [answer.content] if body is None and answer.content else []
        self._begun = self._left = False
        self.status_code = answer.status_code
        self.headers = answer.headers
        self.raw_headers = answer.raw_headers
        self.url = answer.url
        self.history = answer.history

    def __aiter__(self) -> StreamedAnswer:
        """Return itself: the body can be read once."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next part of the body."""
        if self._left:
            raise RuntimeError("the stream was left: read its body inside `async with task.http.stream(…)`")
        self._begun = True
        if self._rest:
            return self._rest.pop()
        part = None if self._body is None else await self._body.part()
        if part is None:
            raise StopAsyncIteration
        return part

    async def save(self, path: FilePath) -> int:
        """Write the body to a file, which is there whole or not at all."""
        if self._begun or self._left:
            raise RuntimeError(
                "the body can be saved once, inside `async with task.http.stream(…)`, and not after a part"
            )
        size = 0
        async with replacing(path) as write:
            async for piece in self:
                size += await write(piece)
        return size

    async def aclose(self) -> None:
        """Leave the rest of the body unread."""
        self._left = True
        if self._body is not None:
            await self._body.leave()

    def __repr__(self) -> str:
        """Show the status."""
        return f"<Streamed [{self.status_code}]>"


def streamed(cap: float | None) -> Reader[Response | StreamedAnswer]:
    """Make a reader that leaves the body of a good answer for later.

    An answer of 400 and more is read at once: it is an error, or may be tried again.

    Args:
        cap: the bytes that the body may have, on the wire and decoded; None: what the platform's `Caps` say.
    """

    async def read(exchange: Exchange, channel: Channel) -> Read[Response | StreamedAnswer]:
        if exchange.leads_on(channel) or channel.answer.status >= 400:
            return await whole(exchange, channel)
        head = Response.of(exchange.call, channel.answer, b"")
        body = StreamedBody(exchange, channel, exchange.task.platform.caps.body if cap is None else cap)
        return StreamedAnswer(head, body), True

    return read
