"""The straight way of an answer: most are written well, have a length, and come in one piece.

llhttp (httptools) is strict, and finds their headers in half the time that we take. What it does not like is read from
its beginning by `heads`, so that llhttp decides nothing: what an answer means is said in one place.
"""

from __future__ import annotations

import re

import httptools

from scrapeengine.http.transport.answer import AnswerSoFar, Fields
from scrapeengine.http.transport.heads import MOST_BYTES, MOST_HEADERS, NO_BODY, read_framing

__all__ = ["StraightReader"]

_REASON = re.compile(rb"(?:[ \t]+([^\0\r\n]*))?\r\n")


class StraightReader:
    """Reads the beginnings of answers, one after the other."""

    __slots__ = ("_found", "_llhttp")

    def __init__(self) -> None:
        self._llhttp = httptools.HttpResponseParser(self)
        """The parser that expects the beginning of an answer."""
        self._found: Fields = []
        """The headers that it has found."""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; httptools calls it."""
        self._found.append((name, value.rstrip(b" \t")))  # llhttp leaves what stands behind a value

    def read(self, data: bytes, answer: AnswerSoFar) -> tuple[int, bool] | None:
        """Read an answer whose head is there, and is written well.

        Interim answers, bodies without a length, and what has more behind it than it says go the other way. An answer
        to HEAD must not come here.

        Args:
            data: what has come of it, from its beginning.
            answer: is filled.

        Returns:
            The length of the body, and whether the connection is kept. None if it is to be read the other way: then
            the answer is as it was.
        """
        stop = data.find(b"\r\n\r\n") + 4
        size = len(data)
        if stop < 4 or data[:9] != b"HTTP/1.1 " or size > MOST_BYTES:
            return None
        fields: Fields = []
        self._found = fields
        whole = False
        try:
            self._llhttp.feed_data(data)
            count = len(fields)
            # What it has found behind the head is too much.
            if count > MOST_HEADERS or count != data.count(b"\n", 0, stop) - 2:
                return None
            reason = b"OK"
            if data[12:17] != b" OK\r\n":
                line = _REASON.match(data, 12)
                if line is None:
                    return None
                reason = line[1] or b""
            status = int(data[9:12])
            length, chunked, keep, coding = read_framing(fields, status, newest=True)
            size -= stop
            if status in NO_BODY:
                length = 0
            if status < 200 or length is None or chunked or size > length:
                return None
            whole = size == length
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return None
        finally:
            if not whole:  # it expects something else than the beginning of an answer
                self._llhttp = httptools.HttpResponseParser(self)
        answer.status, answer.headers, answer.coding = status, fields, coding
        answer.extensions = {"http_version": b"HTTP/1.1", "reason_phrase": reason}
        if size:
            answer.parts = [data[stop:]]
            answer.size = size
        answer.ready = True
        answer.done = whole
        return length, keep
