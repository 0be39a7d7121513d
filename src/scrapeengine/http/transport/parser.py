"""What the bytes of a connection mean: the answers of HTTP/1.1, one after the other.

    head ──> an interim one (1xx): the next head
      ├────> no body: done
      ├────> a length ──> done
      ├────> chunk line ──> chunk ──> its line break ──> chunk line … ──> trailers ──> done
      └────> all that comes ──> the connection ends: done

Invariants, whatever the bytes are:

- An answer is *done* once. What comes after that belongs to no request of ours: the connection is not kept.
- Between two parts of a body, and before the first, at most 64 KiB are taken in: heads, interim answers (1xx), chunk
  extensions and trailers together. A site that sends these without end is refused, however slowly it does it.
- A body that has a length and ends before it, or a chunked one without its last chunk, is cut short.
- What bytes mean does not depend on the pieces in which they come.

What is read although it is badly written says `heads`; in chunk lines it is LF for CRLF, blanks behind the size, and
any extension.

Most answers are written well, have a length, and come in one piece. Those go the straight way: llhttp (httptools) is
strict, and finds their headers in half the time that we take. What it does not like we read from its beginning, so that
it decides nothing: what an answer means is said in one place.
"""

from __future__ import annotations

import math
import re

import httptools
import httpx

from scrapeengine.http.transport.failures import BodyOverCap, CutShort, HeadTooLarge
from scrapeengine.http.transport.heads import BLANK_LINE, NO_BODY, check_beginning, read_fields, read_framing, read_head

__all__ = ["MOST_BYTES", "MOST_HEADERS", "Parser"]

MOST_BYTES = 64 * 1024
"""The bytes that a head may have, or the trailers; and any stretch of framing without content."""
MOST_HEADERS = 256
"""The headers that an answer may have, trailers and those of interim answers included."""

_TOO_MANY_BYTES = f"more than {MOST_BYTES} bytes of headers"
_TOO_MANY_HEADERS = f"more than {MOST_HEADERS} headers"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""Answers whose body who follows the redirect leaves unread, however long it is."""
_REASON = re.compile(rb"(?:[ \t]+([^\0\r\n]*))?\r\n")
_LINE_BREAKS = (b"\r", b"\n")
_EMPTY_LINES = re.compile(rb"(?:\r?\n)*")
_LINE_BREAK = re.compile(rb"\r?\n")
_LINE_OF_CHUNK = re.compile(rb"(0*[0-9a-fA-F]{1,15})[ \t]*+(?:;[^\0\r\n]*+)?\r?\n")
_PLAIN_LINE = re.compile(rb"\r\n([1-9a-fA-F][0-9a-fA-F]{0,14})\r\n")
"""The end of a chunk, and the line of one that is not the last."""
_PLAIN_END = b"\r\n0\r\n\r\n"
_PART_OF_LINE = re.compile(rb"(?:0*[0-9a-fA-F]{0,15}[ \t]*+(?:;[^\0\r\n]*+)?\r?)?")
"""What may become one when more has come."""


# What comes next. Plain numbers: on the way of each answer they are looked at several times.
_HEAD = 0
_LENGTH = 1
"""The rest of a body that has a length."""
_CHUNK_LINE = 2
_CHUNK = 3
"""The rest of a chunk."""
_CHUNK_END = 4
"""The line break behind it."""
_TRAILERS = 5
_ALL = 6
"""A body that ends with the connection."""
_PLAIN_BODIES = frozenset({_LENGTH, _ALL})


class Parser:
    """The answers on one connection. `begin` before each request, `feed` what comes, and `end` when no more comes."""

    __slots__ = (
        "_at",
        "_bare",
        "_count",
        "_dry",
        "_found",
        "_held",
        "_left",
        "_llhttp",
        "_most",
        "_size_of_heads",
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
        """What expects the beginning of an answer."""
        self._found: list[tuple[bytes, bytes]] = []
        """The headers that it has found."""
        self.keep = True
        """Whether the connection can carry another request once the answer is done."""
        self.begin("GET", math.inf)
        self.done = True
        """Whether the answer is whole."""

    def begin(self, method: str, most: float) -> None:
        """Expect the answer to a request.

        Args:
            method: the request's.
            most: the bytes that the body may have on the wire.
        """
        self._at = _HEAD
        self._bare = method == "HEAD"
        self._most = most
        self._held = b""
        """What has come of a head, a chunk line or the trailers, while it is not whole."""
        self._left = 0
        """The bytes that are still to come of the body, or of the chunk."""
        self._count = self._size_of_heads = self._dry = 0
        self.coding: bytes | None = None
        """The `Content-Encoding`."""
        self.status = 0
        self.reason = b""
        self.version = ""
        self.headers: list[tuple[bytes, bytes]] = []
        self.parts: list[bytes] = []
        """What has come of the body and was not taken yet."""
        self.taken = self.size = 0
        self.ready = self.done = self.continued = False
        self.untouched = True

    @property
    def measured(self) -> bool:
        """Whether what comes next is what is left of a body that has the length that its head says."""
        return self._at == _LENGTH and not self.done

    def feed(self, data: bytes | memoryview) -> None:
        """Take in what came. Look at `ready`, `parts` and `done` after it.

        Raises:
            httpx.RemoteProtocolError: it is no answer that we accept. The connection must be closed.
        """
        self.untouched = False
        if self.done:
            self.keep = False
            return
        self._dry += len(data)
        try:
            if not self.ready:
                if not self._held and type(data) is bytes and self._read_straight(data):
                    return
                data = self._read_heads(self._held + data)
            if data:
                self._read_body(data)
            if self._dry > MOST_BYTES and not self.done:
                raise HeadTooLarge(f"more than {MOST_BYTES} bytes of headers and framing")
        except httpx.RemoteProtocolError:
            self.keep = False
            raise

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
        if self._at is not _ALL:
            raise CutShort("the connection ended before the body did")
        self.done = True

    def take(self) -> list[bytes]:
        """Return what has come of the body since the last call."""
        parts, self.parts = self.parts, []
        return parts

    # -- the straight way

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; httptools calls it."""
        self._found.append((name, value.rstrip(b" \t")))  # llhttp leaves what stands behind a value

    def _read_straight(self, data: bytes) -> bool:  # noqa: C901 - calls would cost what the way saves
        """Read an answer whose head is there, and is written well; false if it is not, and then nothing has changed.

        Interim answers, those to HEAD, bodies without a length, and what has more behind it than it says go the other
        way too.
        """
        stop = data.find(b"\r\n\r\n") + 4
        size = len(data)
        if stop < 4 or data[:9] != b"HTTP/1.1 " or self._bare or size > MOST_BYTES:
            return False
        fields: list[tuple[bytes, bytes]] = []
        self._found = fields
        whole = False
        try:
            self._llhttp.feed_data(data)
            count = len(fields)
            # What it has found behind the head is too much.
            if count > MOST_HEADERS or count != data.count(b"\n", 0, stop) - 2:
                return False
            reason = b"OK"
            if data[12:17] != b" OK\r\n":
                line = _REASON.match(data, 12)
                if line is None:
                    return False
                reason = line[1] or b""
            status = int(data[9:12])
            length, chunked, keep, coding = read_framing(fields, status, newest=True)
            size -= stop
            if status in NO_BODY:
                length = 0
            if status < 200 or length is None or chunked or size > length:
                return False
            whole = size == length
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return False
        finally:
            if not whole:  # it expects something else than the beginning of an answer
                self._llhttp = httptools.HttpResponseParser(self)
        self.version, self.status, self.reason, self.headers, self.coding = "1.1", status, reason, fields, coding
        self.keep = self.keep and keep
        self._count += count
        self._dry = 0
        self.ready = True
        self.done = whole
        self._at = _LENGTH
        self._left = length - size
        if length > self._most and status not in _REDIRECTS:
            raise BodyOverCap(f"the body has more than {self._most:.0f} bytes, by its Content-Length")
        if size:
            self.parts = [data[stop:]]
            self.size = self.taken = size
        return True

    # -- heads

    def _read_heads(self, data: bytes) -> bytes:
        """Read interim answers, and then the head of the answer; return what came behind it."""
        start = seen = 0
        if self._held:
            seen = len(self._held)
        while True:
            if data[start : start + 1] in _LINE_BREAKS and (empty := _EMPTY_LINES.match(data, start)):
                start = empty.end()  # what some servers send behind a body (RFC 9112, section 2.2)
            # From where the last look ended: what comes byte by byte is not looked at again and again.
            blank = BLANK_LINE.search(data, seen - 2 if seen > start + 2 else start)
            if blank is None:
                self._held = data[start:]
                check_beginning(self._held, max(0, seen - start))
                return b""
            stop = blank.end()
            self._size_of_heads += stop - start
            if self._size_of_heads > MOST_BYTES:
                raise HeadTooLarge(_TOO_MANY_BYTES)
            head = read_head(data, start, stop)
            newest, self.status, self.reason, fields, length, chunked, keep, self.coding = head
            self.version = "1.1" if newest else "1.0"
            self._count += len(fields)
            if self._count > MOST_HEADERS:
                raise HeadTooLarge(_TOO_MANY_HEADERS)
            if self.status >= 200:
                self.headers = fields
                self.keep = self.keep and keep
                self._take_head(length, chunked=chunked)
                return data[stop:]
            if self.status == 101:
                raise httpx.RemoteProtocolError("the server wants to change the protocol, which was not asked for")
            self.continued = self.continued or self.status == 100
            start = stop

    def _take_head(self, length: int | None, *, chunked: bool) -> None:
        """Decide what the head says of the body."""
        self.ready = True
        self._held = b""
        self._dry = 0
        if self._bare or self.status in NO_BODY:
            self.done = True
        elif chunked:
            self._at = _CHUNK_LINE
        elif length is None:
            self._at = _ALL
        else:
            self._at = _LENGTH
            self._left = length
            self.done = length == 0
            if length > self._most and self.status not in _REDIRECTS:
                raise BodyOverCap(f"the body has more than {self._most:.0f} bytes, by its Content-Length")

    # -- bodies

    def _read_body(self, data: bytes | memoryview) -> None:
        if self.done:
            self.keep = False
            return
        size = len(data)
        if self._at in _PLAIN_BODIES:
            if self._at == _LENGTH:
                if size > self._left:
                    data, size = data[: self._left], self._left
                    self.keep = False
                self._left -= size
                self.done = not self._left
            self._dry = 0
            self.size += size
            self.parts.append(bytes(data))
        else:
            surplus = self._read_chunks(bytes(data))
            if surplus:
                self.keep = False
            size -= surplus
        self.taken += size
        if self.taken > self._most:
            raise BodyOverCap(f"the body has more than {self._most:.0f} bytes on the wire")

    def _read_chunks(self, data: bytes) -> int:
        """Read chunks, and then the trailers; return how many bytes came behind the end."""
        seen = len(self._held)
        data, self._held = self._held + data, b""
        place = 0
        while place < len(data):
            if self._at == _CHUNK:
                place = self._read_chunk(data, place)
            elif self._at == _CHUNK_END:
                line = _LINE_BREAK.match(data, place)
                if line is None:
                    self._hold(data, place, fits=data[place:] == b"\r")
                    break
                place, self._at = line.end(), _CHUNK_LINE
            elif self._at == _CHUNK_LINE:
                line = _LINE_OF_CHUNK.match(data, place)
                if line is None:
                    self._hold(data, place, fits=_PART_OF_LINE.fullmatch(data, place) is not None)
                    break
                self._left = int(line[1], 16)
                place, self._at = line.end(), _CHUNK if self._left else _TRAILERS
            else:
                stop = self._read_trailers(data, place, seen)
                if stop is None:
                    self._hold(data, place, fits=True)
                    break
                self.done = True
                return len(data) - stop
        return 0

    def _read_chunk(self, data: bytes, place: int) -> int:
        """Read the rest of a chunk, and all that follow it whole with nothing special about them; return where it is.

        Chunks may be tiny, so that this is the loop that counts.
        """
        parts, match, left = self.parts, _PLAIN_LINE.match, self._left
        while True:
            part = data[place : place + left]
            parts.append(part)
            size = len(part)
            self.size += size
            place += size
            line = match(data, place) if size == left else None
            if line is None:
                break
            left, place = int(line[1], 16), line.end()
        self._dry = 0
        self._left = left - size
        if self._left:
            return place
        if data.startswith(_PLAIN_END, place):
            self._at = _TRAILERS
            return place + len(_PLAIN_END) - len(b"\r\n")
        self._at = _CHUNK_END
        return place

    def _read_trailers(self, data: bytes, start: int, seen: int) -> int | None:
        """Return where the trailers end; None if they do not yet."""
        if empty := _LINE_BREAK.match(data, start):
            return empty.end()
        blank = BLANK_LINE.search(data, max(start, seen - 2))
        if blank is None:
            return None
        stop = blank.end()
        if stop - start > MOST_BYTES:
            raise HeadTooLarge(_TOO_MANY_BYTES)
        self._count += len(read_fields(data, start, stop))
        if self._count > MOST_HEADERS:
            raise HeadTooLarge(_TOO_MANY_HEADERS)
        return stop

    def _hold(self, data: bytes, start: int, *, fits: bool) -> None:
        """Keep what is not whole yet, if it may become what comes next."""
        if not fits:
            raise httpx.RemoteProtocolError("the body of the answer is not in chunks, as its head says")
        self._held = data[start:]
