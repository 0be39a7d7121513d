"""The body of an answer, read under its cap and decoded in bounded steps."""

from __future__ import annotations

import math
from collections.abc import Iterator

import trio

from scrapeengine.http.transport.failures import BodyOverCap, Expired
from scrapeengine.http.wire.connector import Channel
from scrapeengine.http.wire.decoding import decoder_for, heavy_window
from scrapeengine.http.wire.stages import Decoder

__all__ = ["BodyReader"]

_STEP = 64 * 1024
"""The bytes that are decoded between two checkpoints."""
_LEAST = 1024
"""The bytes as which a piece counts at least: tiny ones cost time too."""
_AT_ONCE = 2
"""The heavy steps that are decoded at a time: more would hold up the loop by the memory that they touch."""
_HEAVY: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("scrapeengine heavy decoding")


class BodyReader:
    """The decoded body of an answer, part by part, under a cap."""

    def __init__(self, channel: Channel, cap: float) -> None:
        """Make it.

        Args:
            channel: brings the body; its phase is "decode" while that is decoded.
            cap: the bytes that the body may have once decoded.
        """
        answer = channel.answer
        # A part of what is encoded cannot be decoded: a 206 is handed over as it is.
        coding = None if answer.status == 206 else answer.coding
        decoder = None if coding is None else decoder_for(coding.decode("latin-1"))
        self._channel = channel
        self._answer = answer
        self._cap = cap
        self._since = 0
        self._decoding = None if coding is None or decoder is None else _Decoding(decoder, coding.decode("latin-1"))
        self._plain: Iterator[bytes] = iter(())
        """The parts that have come, where there is nothing to decode."""

    async def whole(self) -> bytes:
        """Read all of it.

        Raises:
            BodyOverCap: it exceeds the cap; at that point it has been left.
            httpx.TransportError: it breaks off, or cannot be decoded.

        Checkpoint, unless all of it has come already.
        """
        parts = []
        while (part := await self.part()) is not None:
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def part(self) -> bytes | None:
        """Return the next part, at most about 64 KiB; None at the end. Checkpoint where it has to wait or decodes much.

        Raises:
            BodyOverCap: the cap is exceeded.
            Expired: the deadline has passed.
            httpx.TransportError: the body breaks off, or cannot be decoded.
        """
        channel, answer, decoding = self._channel, self._answer, self._decoding
        while True:
            channel.phase = "decode"
            while True:
                piece = next(self._plain, None) if decoding is None else await decoding.next()
                if piece is None:
                    break
                if piece:
                    await self._count(piece)
                    return bytes(piece)
            channel.phase = "body"
            came = answer.take()
            if came:
                if decoding is None:
                    self._plain = iter(came)
                else:
                    decoding.feed(b"".join(came))
            elif answer.done:
                if decoding is not None:
                    decoding.end()
                return None
            else:
                await channel.more()

    async def _count(self, piece: bytes) -> None:
        answer = self._answer
        answer.decoded += len(piece)
        if answer.decoded > self._cap:
            raise BodyOverCap(f"the body has more than {self._cap:.0f} bytes once decoded")
        self._since += max(len(piece), _LEAST)
        if self._since >= _STEP:
            self._since = 0
            await trio.lowlevel.checkpoint()
            # Nobody waits for the connection here, so its deadline, which closes it, would end nothing.
            if trio.current_time() >= self._channel.deadline:
                raise Expired("the deadline has passed")


class _Decoding:
    """A decoder at work: in the loop, or in a thread where a step takes long."""

    def __init__(self, decoder: Decoder, coding: str) -> None:
        self._decoder = decoder
        self._coding = coding
        self._pieces: Iterator[bytes] = iter(())
        self._size = 0
        """The bytes that were decoded."""
        self._window: int | None = None
        """The bytes that the decoder decodes at once, 0 if they are few; None: not known yet."""
        self._filled = 0
        """The size up to which they are decoded already."""

    def feed(self, data: bytes) -> None:
        """Take in more, once all that came before was decoded."""
        if self._window is None:
            self._window = 0 if _jumps() else heavy_window(self._coding, data)
        self._pieces = self._decoder.feed(data)

    async def next(self) -> bytes | None:
        """Decode the next piece; in a thread when the decoder fills its window. None: it needs more."""
        if not self._window or self._size < self._filled:
            piece = next(self._pieces, None)
        else:
            self._filled = self._size + self._window
            piece = await trio.to_thread.run_sync(next, self._pieces, None, limiter=_limiter())
        if piece is not None:
            self._size += len(piece)
        return piece

    def end(self) -> None:
        """Check that what came is whole."""
        self._decoder.end()


def _limiter() -> trio.CapacityLimiter:
    """Return what heavy decoding waits for, in all of a run."""
    try:
        return _HEAVY.get()
    except LookupError:
        limiter = trio.CapacityLimiter(_AT_ONCE)
        _HEAVY.set(limiter)
        return limiter


def _jumps() -> bool:
    """Say whether the clock is a simulated one that goes on when all wait: it does not wait for threads."""
    return getattr(trio.lowlevel.current_clock(), "autojump_threshold", math.inf) < math.inf
