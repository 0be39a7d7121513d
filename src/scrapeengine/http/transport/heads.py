"""The head of an answer: its status, its headers, and how long its body is (RFC 9112). Pure.

Two readers must not take one head for two things, or an answer could be smuggled to whoever asks next. So what has more
than one reading is refused: a NUL, a CR without its LF, a length beside chunks, two lengths that differ, a line with no
name, a status line of another protocol (`RTSP/1.1`, `ICY`).

What has one reading is read, however badly it is written, as every other client reads it: lines that end with LF alone
(section 2.2), folded lines (section 5.2: a fold becomes a space), control characters in values, a length that is said
twice, `Transfer-Encoding: identity`.

Rejected: llhttp's own leniencies, by httptools. There is one switch for each, and none for some of these; in others NUL
passes, or the framing of chunks is handed out as the body.
"""

from __future__ import annotations

import re

from scrapeengine.http.transport.answer import AnswerSoFar, Fields
from scrapeengine.http.transport.failures import HeadTooLarge, NotHttp

__all__ = [
    "BLANK_LINE",
    "MOST_BYTES",
    "MOST_HEADERS",
    "NO_BODY",
    "TOO_MANY_BYTES",
    "TOO_MANY_HEADERS",
    "Head",
    "HeadReader",
    "read_fields",
    "read_framing",
    "read_head",
]

MOST_BYTES = 64 * 1024
"""The bytes that a head may have, or the trailers; and any stretch of framing without content."""
MOST_HEADERS = 256
"""The headers that an answer may have, trailers and those of interim answers included."""
TOO_MANY_BYTES = f"more than {MOST_BYTES} bytes of headers"
TOO_MANY_HEADERS = f"more than {MOST_HEADERS} headers"

BLANK_LINE = re.compile(rb"\n\r?\n")
"""The end of a head."""

_STATUS_LINE = re.compile(rb"HTTP/1\.([01])[ \t]+([1-9][0-9]{2})(?:[ \t]+([^\0\r\n]*))?\r?\n")
_BEGINNING = b"HTTP/1."
_NAME = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_FIELD = re.compile(rb"^(" + _NAME + rb"):[ \t]*+([^\0\r\n]*+)(?<![ \t])\r?\n", re.MULTILINE)
"""A line with a name and a value, and no blanks behind it. Each match is one whole line."""
_LINES = re.compile(rb"(?:(?:" + _NAME + rb":|[ \t])[^\0\r\n]*+\r?\n)*+")
"""Lines that are headers, or continue some."""
_FOLD = re.compile(rb"[ \t]*\r?\n[ \t]+")
_BARE_CR = re.compile(rb"\r(?!\n)")
_BLANKS_BEHIND = re.compile(rb"[ \t]+(?=\r?\n)")
_MEMBERS = re.compile(rb"[ \t]*,[ \t]*")
_LINE_BREAKS = (b"\r", b"\n")
_EMPTY_LINES = re.compile(rb"(?:\r?\n)*")
_LENGTH = re.compile(rb"[0-9]{1,19}\Z")
"""More digits are the length of nothing, and Python refuses to read thousands of them."""
NO_BODY = frozenset({204, 304})
"""The statuses of answers that have no body, whatever their heads say of one (RFC 9112, section 6.3)."""


Framing = tuple[int | None, bool, bool, bytes | None]
"""The framing that an answer's headers tell; a plain tuple, for it is made for each answer:

- the `Content-Length`, None if there is none; whether the body comes in chunks;
- whether the connection may carry another request after this answer;
- the `Content-Encoding`, several joined in their order, None if there is none.
"""
Head = tuple[bool, int, bytes, Fields, int | None, bool, bool, bytes | None]
"""All that a head says: whether it is of HTTP/1.1; the status; the reason; the headers, folds undone; the framing."""


class HeadReader:
    """Reads the heads of one answer in the pieces in which they come: those of interim answers (1xx), then its own."""

    __slots__ = ("_answer", "_held", "_size", "count")

    def __init__(self, answer: AnswerSoFar) -> None:
        """Make it.

        Args:
            answer: is filled with what the heads say.
        """
        self._answer = answer
        self._held = b""
        """The beginning of a head that is not whole."""
        self._size = 0
        self.count = 0
        """The headers that have come, those of interim answers included."""

    def feed(self, data: bytes) -> tuple[int | None, bool, bool, bytes] | None:
        """Take in what came.

        Returns:
            The length of the body, whether it comes in chunks, whether the connection is kept, and what came behind
            the head; None as long as that is not whole.

        Raises:
            NotHttp: it is no head that we accept.
        """
        answer = self._answer
        start, seen = 0, len(self._held)
        data = self._held + data
        while True:
            if data[start : start + 1] in _LINE_BREAKS and (empty := _EMPTY_LINES.match(data, start)):
                start = empty.end()  # what some servers send behind a body (RFC 9112, section 2.2)
            # From where the last look ended: what comes byte by byte is not looked at again and again.
            blank = BLANK_LINE.search(data, seen - 2 if seen > start + 2 else start)
            if blank is None:
                self._held = data[start:]
                _check_beginning(self._held, max(0, seen - start))
                return None
            stop = blank.end()
            # Counted over all heads, and to the byte: it may not depend on the pieces whether they are too large.
            self._size += stop - start
            if self._size > MOST_BYTES:
                raise HeadTooLarge(TOO_MANY_BYTES)
            # The status is there before the headers are counted: a 429 with too many of them is a 429 all the same.
            newest, answer.status, reason, fields, length, chunked, keep, coding = read_head(data, start, stop)
            self.count += len(fields)
            if self.count > MOST_HEADERS:
                raise HeadTooLarge(TOO_MANY_HEADERS)
            if answer.status >= 200:
                answer.headers, answer.coding = fields, coding
                answer.extensions = {"http_version": b"HTTP/1.1" if newest else b"HTTP/1.0", "reason_phrase": reason}
                answer.ready = True
                return length, chunked, keep, data[stop:]
            if answer.status == 101:
                raise NotHttp("the server wants to change the protocol, which was not asked for")
            answer.continued = answer.continued or answer.status == 100
            start = stop


def _check_beginning(data: bytes, seen: int) -> None:
    """Refuse what cannot become a head when more has come: what is none need not be waited for.

    Args:
        data: what has come of it.
        seen: how much of that has been checked before.

    Raises:
        NotHttp: it cannot.
    """
    if len(data) < len(_BEGINNING):
        fits = _BEGINNING.startswith(data) or data == b"\r"
    else:
        fits = data.startswith(_BEGINNING)
        stop = data.rfind(b"\n", seen) + 1
        if stop:
            line = _STATUS_LINE.match(data)
            start = max(0 if line is None else line.end(), data.rfind(b"\n", 0, seen) + 1)
            fits = line is not None and _LINES.fullmatch(data, start, stop) is not None
    if not fits:
        raise NotHttp("the answer is not HTTP: it does not begin like it")


def read_head(data: bytes, start: int, stop: int) -> Head:
    """Read a head, its blank line included.

    Args:
        data: what has come.
        start: where the head begins in it.
        stop: where it ends.

    Raises:
        NotHttp: it is none, or could be taken for two things.
    """
    line = _STATUS_LINE.match(data, start, stop)
    if line is None:
        raise NotHttp("the answer is not HTTP: its first line is no status line of HTTP/1")
    newest, status = line[1] == b"1", int(line[2])
    fields = read_fields(data, line.end(), stop)
    return newest, status, line[3] or b"", fields, *read_framing(fields, status, newest=newest)


def read_framing(fields: Fields, status: int, *, newest: bool) -> Framing:
    """Read how long a body is, and whether the connection is kept.

    Args:
        fields: the headers.
        status: the answer's.
        newest: whether it is of HTTP/1.1, and not of 1.0.

    Raises:
        NotHttp: two readers could take it for two lengths.
    """
    length: int | None = None
    chunked = close = False
    alive = newest
    coding = None
    # By their sizes, which costs less than to fold the case of all names.
    for name, value in fields:
        size = len(name)
        if size == 14 and name.lower() == b"content-length":
            length = int(value) if length is None and _LENGTH.match(value) else _agreed(length, value)
        elif size == 17 and name.lower() == b"transfer-encoding":
            chunked = _is_chunked(value, already=chunked)
        elif size == 16 and name.lower() == b"content-encoding":
            coding = value if coding is None else b"%b, %b" % (coding, value)
        elif size == 10 and not (newest and value == b"keep-alive") and name.lower() == b"connection":
            options = _MEMBERS.split(value.lower())
            close = close or b"close" in options
            alive = alive or b"keep-alive" in options
    if chunked:
        if length is not None:
            raise NotHttp("the answer has a Content-Length beside its chunks")
        alive = newest and alive  # HTTP/1.0 knows no chunks: to be closed after them (section 6.1)
    elif length is None and status >= 200 and status not in NO_BODY:
        alive = False  # such a body ends with its connection (section 6.3)
    return length, chunked, alive and not close, coding


def read_fields(data: bytes, start: int, stop: int) -> Fields:
    """Read the lines of a head, or of trailers; the last one is blank.

    Raises:
        NotHttp: one of them is no header.
    """
    fields: Fields = _FIELD.findall(data, start, stop)
    # Each match is a whole line, and the blank one is none.
    if len(fields) != data.count(b"\n", start, stop) - 1:
        block = data[start:stop]
        if block[:1] in {b" ", b"\t"}:
            raise NotHttp("the answer is not HTTP: its first header continues none")
        if _BARE_CR.search(block):  # to be seen before the blanks go that keep it from its LF
            raise NotHttp("the answer is not HTTP: its head has a CR without its LF")
        block = _BLANKS_BEHIND.sub(b"", _FOLD.sub(b" ", block))
        fields = _FIELD.findall(block)
        if len(fields) != block.count(b"\n") - 1:
            raise NotHttp("the answer is not HTTP: a line of its head is no header")
    return fields


def _agreed(length: int | None, value: bytes) -> int:
    """Return the length that all `Content-Length`s say (section 6.3): it may be given twice, or as a list."""
    for each in _MEMBERS.split(value):
        if not _LENGTH.match(each):
            raise NotHttp("the answer has a Content-Length that is no number")
        if length is not None and length != int(each):
            raise NotHttp("the answer has two Content-Lengths that differ")
        length = int(each)
    assert length is not None
    return length


def _is_chunked(value: bytes, *, already: bool) -> bool:
    """Say whether a body is chunked, by one more `Transfer-Encoding`; `identity` is as good as none (RFC 2616)."""
    for each in _MEMBERS.split(value.lower()):
        if each == b"identity" or (not each and value):  # a list may have empty members (RFC 9110, section 5.6.1)
            continue
        if already or each != b"chunked":
            raise NotHttp("the answer has a transfer coding that was not asked for")
        already = True
    return already
