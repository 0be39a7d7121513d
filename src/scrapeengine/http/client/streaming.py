"""Answers whose body is not read at once: for an iterator, or into a file."""

from __future__ import annotations

import math

import trio

from scrapeengine.http.client.files import FilePath, replacing
from scrapeengine.http.wire.answers import BodyReader, Response
from scrapeengine.http.wire.connector import Channel
from scrapeengine.http.wire.exchange import Exchange, Reader, whole

__all__ = ["StreamedAnswer", "streamed"]


class StreamedAnswer:
    """An answer with its body still to come. Implements `scrapeengine.model.task.Streamed`, and is documented there."""

    def __init__(self, exchange: Exchange | None, channel: Channel | None, answer: Response) -> None:
        """Make it.

        Args:
            exchange: what brought it; None if `answer` has its body already.
            channel: what brings the body.
            answer: the head.
        """
        self._exchange = exchange
        self._channel = channel
        self._rest = [answer.content] if channel is None and answer.content else []
        if channel is not None:
            channel.deadline = math.inf  # from here on each part has its own, while it is waited for
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
        exchange = self._exchange
        if self._channel is None or exchange is None or exchange.body is None:
            raise StopAsyncIteration
        limit = exchange.task.policy.timeout.attempt
        self._channel.deadline = trio.current_time() + limit
        try:
            part = await exchange.body.part()
        except Exception as error:  # noqa: BLE001 - the border: whatever it is leaves in our words
            raise exchange.failed(error) from None
        finally:
            if self._channel is not None:
                self._channel.deadline = math.inf
        if part is None:
            await self._leave()
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
        await self._leave()

    async def _leave(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.leave()

    def __repr__(self) -> str:
        """Show the status."""
        return f"<Streamed [{self.status_code}]>"


def streamed(cap: float | None) -> Reader[Response | StreamedAnswer]:
    """Make a reader that leaves the body of a good answer for later.

    An answer of 400 and more is read at once: it is an error, or may be tried again.

    Args:
        cap: the bytes that the body may have, on the wire and decoded; None: what the platform's `Caps` say.
    """

    async def read(exchange: Exchange, channel: Channel) -> Response | StreamedAnswer:
        if exchange.leads_on(channel) or channel.status >= 400:
            return await whole(exchange, channel)
        head = Response.of(exchange.call, channel, b"")
        exchange.body = BodyReader(channel, exchange.task.policy.caps.body if cap is None else cap)
        answer = StreamedAnswer(exchange, channel, head)
        exchange.kept = True
        return answer

    return read
