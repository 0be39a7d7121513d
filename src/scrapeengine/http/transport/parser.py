"""The meaning of a connection's bytes: the answers of HTTP/1.1, one after the other.

    head ──> an interim one (1xx): the next head
      ├────> no body: done
      ├────> a length ──> done
      ├────> chunks, trailers ──> done
      └────> all that comes ──> the connection ends: done

Invariants, whatever the bytes are:

- An answer is *done* once. What comes after that belongs to no request of ours: the connection is not kept.
- Between two parts of a body, and before the first, at most 64 KiB are taken in: heads, interim answers (1xx), chunk
  extensions and trailers together. A site that sends these without end is refused, however slowly it does it.
- A body that has a length and ends before it, or a chunked one without its last chunk, is cut short.
- What bytes mean does not depend on the pieces in which they come.

What is read although it is badly written say `heads` and `chunks`.
"""

from __future__ import annotations

import math

import httpx

from scrapeengine.http.transport.answer import AnswerSoFar
from scrapeengine.http.transport.chunks import ChunkReader
from scrapeengine.http.transport.failures import BodyOverCap, CutShort, HeadTooLarge
from scrapeengine.http.transport.heads import MOST_BYTES, NO_BODY, HeadReader
from scrapeengine.http.transport.straight import StraightReader
from scrapeengine.model.standards import REDIRECTS

__all__ = ["Parser"]


class Parser:
    """The answers on one connection. `begin` before each request, `feed` what comes, and `end` when no more comes."""

    __slots__ = ("_bare", "_chunks", "_dry", "_heads", "_left", "_most", "_straight", "answer", "keep")

    def __init__(self) -> None:
        self._straight = StraightReader()
        self.keep = True
        """Whether the connection can carry another request once the answer is done."""
        self.begin("GET", math.inf)
        self.answer.done = True

    def begin(self, method: str, most: float) -> None:
        """Expect the answer to a request.

        Args:
            method: the request's.
            most: the bytes that the body may have on the wire.
        """
        self.answer = AnswerSoFar()
        """The answer to the last request, as far as it has come."""
        self._bare = method == "HEAD"
        self._most = most
        self._dry = 0
        """The bytes that have come since the last part of a body."""
        self._heads: HeadReader | None = None
        """Reads the head, if it does not go the straight way."""
        self._left: int | None = 0
        """The bytes that are still to come of a body with a length; None: all until the connection ends."""
        self._chunks: ChunkReader | None = None
        """Reads the body, if it comes in chunks."""

    @property
    def measured(self) -> bool:
        """Whether the rest of a body comes next whose length its head has said."""
        return bool(self._left)

    def feed(self, data: bytes | memoryview) -> None:
        """Take in what came. Look at the `answer` after it.

        Raises:
            httpx.RemoteProtocolError: it is no answer that we accept. The connection must be closed.
        """
        answer = self.answer
        answer.untouched = False
        if answer.done:
            self.keep = False
            return
        self._dry += len(data)
        try:
            if not answer.ready:
                if self._read_straight(data):
                    return
                data = self._read_head(bytes(data))
            if data:
                self._read_body(data)
            if self._dry > MOST_BYTES and not answer.done:
                raise HeadTooLarge(f"more than {MOST_BYTES} bytes of headers and framing")
        except httpx.RemoteProtocolError:
            self.keep = False
            raise

    def end(self) -> None:
        """Say that the connection has ended.

        Raises:
            CutShort: the body is not whole.
            httpx.ReadError: not even the head is.
        """
        answer = self.answer
        self.keep = False
        if answer.done:
            return
        if not answer.ready:
            raise httpx.ReadError("the server closed the connection before the answer")
        if self._left is not None:
            raise CutShort("the connection ended before the body did")
        answer.done = True

    def _read_straight(self, data: bytes | memoryview) -> bool:
        """Read an answer by its straight way; false if that is not open to it, and then nothing has changed."""
        if self._heads is not None or self._bare or type(data) is not bytes:
            return False
        answer = self.answer
        read = self._straight.read(data, answer)
        if read is None:
            return False
        length, keep = read
        self.keep = self.keep and keep
        self._dry = 0
        self._left = length - answer.size
        if length > self._most and answer.status not in REDIRECTS:
            raise _too_long(self._most)
        return True

    def _read_head(self, data: bytes) -> bytes:
        """Read more of the head; return what came behind it, and prepare for that."""
        answer = self.answer
        if self._heads is None:
            self._heads = HeadReader(answer)
        read = self._heads.feed(data)
        if read is None:
            return b""
        length, chunked, keep, rest = read
        self.keep = self.keep and keep
        self._dry = 0
        if self._bare or answer.status in NO_BODY:
            answer.done = True
        elif chunked:
            self._chunks = ChunkReader(answer, self._most, self._heads.count)
        else:
            self._left = length
            answer.done = length == 0
            # Who follows a redirect leaves its body unread, however long it is.
            if length is not None and length > self._most and answer.status not in REDIRECTS:
                raise _too_long(self._most)
        return rest

    def _read_body(self, data: bytes | memoryview) -> None:
        answer = self.answer
        if answer.done:
            self.keep = False
            return
        size = len(data)
        if self._chunks is not None:
            before = answer.size
            if self._chunks.feed(bytes(data)):
                self.keep = False
            if answer.size > before:  # of framing alone there may be no end
                self._dry = 0
            return
        if self._left is not None:
            if size > self._left:
                data, size = data[: self._left], self._left
                self.keep = False
            self._left -= size
            answer.done = not self._left
        self._dry = 0
        answer.size += size
        answer.parts.append(bytes(data))
        if answer.size > self._most:
            raise BodyOverCap(f"the body has more than {self._most:.0f} bytes on the wire")


def _too_long(most: float) -> BodyOverCap:
    return BodyOverCap(f"the body has more than {most:.0f} bytes, by its Content-Length")
