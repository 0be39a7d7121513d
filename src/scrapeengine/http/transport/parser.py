"""What the bytes of a connection mean: the answers of HTTP/1.1, one after the other, by httptools (llhttp).

Invariants, whatever the bytes are:

- An answer is *done* once. What comes after that belongs to no request of ours: the connection is not kept.
- Between two parts of a body, and before the first, at most 64 KiB are taken in: heads, interim answers (1xx), chunk
  extensions and trailers together. A site that sends these without end is refused, however slowly it does it.
- A body that has a length and ends before it, or a chunked one without its last chunk, is cut short.

httptools ignores what `on_headers_complete` returns, so it takes what follows the answer to a HEAD for its body: a new
parser comes after each of these. It never completes a body that ends with the connection: `end` does. What
`should_keep_alive` says is true only inside `on_headers_complete`.
"""

from __future__ import annotations

import math

import httptools
import httpx

from scrapeengine.http.failures import BodyTooLarge, CutShort, HeadTooLarge

__all__ = ["MOST_BYTES", "MOST_HEADERS", "Parser"]

MOST_BYTES = 64 * 1024
"""The bytes that a head may have, or the trailers; and any stretch of framing without content."""
MOST_HEADERS = 256
"""The headers that an answer may have, trailers and those of interim answers included."""

_UNREAD = frozenset({204, 301, 302, 303, 304, 307, 308})
"""Answers that have no body, or one that who follows a redirect leaves unread, however long it is."""
_VERSIONS = frozenset({"1.0", "1.1"})


class Parser:
    """The answers on one connection. `begin` before each request, `feed` what comes, and `end` when no more comes."""

    __slots__ = (
        "_bare",
        "_count",
        "_dry",
        "_failure",
        "_fresh",
        "_length",
        "_llhttp",
        "_most",
        "_size",
        "_to_the_end",
        "_wet",
        "coding",
        "continued",
        "done",
        "headers",
        "keep",
        "parts",
        "ready",
        "reason",
        "size",
        "status",
        "taken",
        "untouched",
        "version",
    )

    def __init__(self) -> None:
        self._llhttp = httptools.HttpResponseParser(self)
        self._fresh = True
        self.parts: list[bytes] = []
        """What has come of the body and was not taken yet."""
        self.done = True
        """Whether the answer is whole."""
        self.keep = True
        """Whether the connection can carry another request once the answer is done."""
        self.begin("GET", math.inf)

    def begin(self, method: str, most: float) -> None:
        """Expect the answer to a request.

        Args:
            method: the request's.
            most: the bytes that the body may have on the wire.
        """
        if not self._fresh:
            self._llhttp = httptools.HttpResponseParser(self)
            self._fresh = True
        self._bare = method == "HEAD"
        self._most = most
        self._failure: httpx.RemoteProtocolError | None = None
        self._count = self._size = self._dry = 0
        self._wet = False
        self._length: int | None = None
        self.coding: bytes | None = None
        """The `Content-Encoding`."""
        self._to_the_end = False
        self.status = 0
        self.reason = b""
        self.version = ""
        self.headers: list[tuple[bytes, bytes]] = []
        self.parts = []
        self.taken = self.size = 0
        self.ready = self.done = self.continued = False
        self.untouched = True

    @property
    def measured(self) -> bool:
        """Whether what comes next is what is left of a body that has the length that its head says."""
        return self.ready and self._length is not None and not self.done

    def feed(self, data: bytes | memoryview) -> None:
        """Take in what came. Look at `ready`, `parts` and `done` after it.

        Raises:
            httpx.RemoteProtocolError: it is no answer that we accept. The connection must be closed.
        """
        in_body = self.ready
        self._wet = False
        self.untouched = False
        try:
            self._llhttp.feed_data(data)
        except httptools.HttpParserUpgrade:
            if not self.done:
                what = "the server wants to change the protocol, which was not asked for"
                self._fail(httpx.RemoteProtocolError(what))
        except httptools.HttpParserError as error:
            self.keep = False
            if not self.done and self._failure is None:
                self._fail(httpx.RemoteProtocolError(f"the answer is not HTTP: {error}"))
        self.taken += len(data) if in_body else sum(map(len, self.parts))
        if self.taken > self._most:
            self._fail(BodyTooLarge(f"the body has more than {self._most:.0f} bytes on the wire"))
        self._dry = 0 if self._wet or self.done else self._dry + len(data)
        if self._dry > MOST_BYTES:
            self._fail(HeadTooLarge(f"more than {MOST_BYTES} bytes of headers and framing"))
        if self._failure is not None:
            raise self._failure

    def end(self) -> None:
        """Take note that the connection has ended.

        Raises:
            CutShort: the body is not whole.
            httpx.ReadError: not even the head is.
        """
        self.keep = False
        if self.done:
            return
        if not self.ready:
            raise httpx.ReadError("the server closed the connection before the answer")
        if not self._to_the_end:
            raise CutShort("the connection ended before the body did")
        self.done = True

    def take(self) -> list[bytes]:
        """Return what has come of the body since the last call."""
        parts, self.parts = self.parts, []
        return parts

    def _fail(self, error: httpx.RemoteProtocolError) -> None:
        self.keep = False
        if self._failure is None:
            self._failure = error

    # -- what httptools calls

    def on_message_begin(self) -> None:
        """Begin an answer: the one that is expected, or one that nobody asked for."""
        if self.done:
            self.keep = False

    def on_status(self, reason: bytes) -> None:
        """Take the reason phrase; it may come in parts."""
        if not self.done:
            self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        if self.done or self._failure is not None:
            return
        self._count += 1
        self._size += len(name) + len(value)
        if self._count > MOST_HEADERS or self._size > MOST_BYTES:
            self._fail(HeadTooLarge(f"more than {MOST_HEADERS} headers, or than {MOST_BYTES} bytes of them"))
        elif not self.ready:
            self.headers.append((name, value.rstrip(b" \t")))  # llhttp leaves what stands behind a value

    def on_headers_complete(self) -> None:
        """Decide what the head says of the body."""
        if self.done:
            return
        llhttp = self._llhttp
        self.status = llhttp.get_status_code()
        if self.status < 100:
            self._fail(httpx.RemoteProtocolError("the answer has a status that is none"))
        if self.status < 200:
            self.continued = self.continued or self.status == 100
            self.reason = b""
            self.headers = []
            return
        self.version = llhttp.get_http_version()
        self.keep = self.keep and llhttp.should_keep_alive()
        self.ready = True
        self._wet = True
        if self.version not in _VERSIONS:
            self._fail(httpx.RemoteProtocolError("the answer is of a version of HTTP that is none"))
        chunked = self._framing()
        if self._bare:
            self._fresh = False
            self.done = True
        elif self._length is not None and self._length > self._most and self.status not in _UNREAD:
            self._fail(BodyTooLarge(f"the body has more than {self._most:.0f} bytes, by its Content-Length"))
        else:
            self._to_the_end = not chunked and self._length is None

    def _framing(self) -> bool:
        """Read how long the body is; whether it is chunked. llhttp has refused lengths that contradict each other."""
        chunked = False
        for name, value in self.headers:
            size = len(name)
            if size == 14 and name.lower() == b"content-length":
                self._length = int(value)
            elif size == 17 and name.lower() == b"transfer-encoding":
                if chunked or value.lower() != b"chunked":
                    self._fail(httpx.RemoteProtocolError("the answer has a transfer coding that was not asked for"))
                chunked = True
                if self.version == "1.0":  # which knows no chunks: to be closed after it (RFC 9112, section 6.1)
                    self.keep = False
            elif size == 16 and name.lower() == b"content-encoding":
                self.coding = value if self.coding is None else b"%b, %b" % (self.coding, value)
        return chunked

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        if self.done:
            self.keep = False
            return
        if self._failure is not None:
            return
        self._wet = True
        self.size += len(part)
        self.parts.append(part)

    def on_message_complete(self) -> None:
        """Take note that the answer is whole, if it was no interim one."""
        if self.ready:
            self.done = True
