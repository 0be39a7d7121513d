"""Bodies in chunks (RFC 9112, section 7.1), in the pieces in which they come.

    chunk line ──> chunk ──> its line break ──> chunk line … ──> trailers ──> done

Read although it is badly written: LF for CRLF, blanks behind the size of a chunk, and any extension.
"""

from __future__ import annotations

import re

from scrapeengine.http.transport.answer import AnswerSoFar
from scrapeengine.http.transport.failures import BodyOverCap, HeadTooLarge, NotHttp
from scrapeengine.http.transport.heads import (
    BLANK_LINE,
    MOST_BYTES,
    MOST_HEADERS,
    TOO_MANY_BYTES,
    TOO_MANY_HEADERS,
    read_fields,
)

__all__ = ["ChunkReader"]

_LINE_BREAK = re.compile(rb"\r?\n")
_LINE_OF_CHUNK = re.compile(rb"(0*[0-9a-fA-F]{1,15})[ \t]*+(?:;[^\0\r\n]*+)?\r?\n")
_PLAIN_LINE = re.compile(rb"\r\n([1-9a-fA-F][0-9a-fA-F]{0,14})\r\n")
"""The end of a chunk, and the line of one that is not the last."""
_PLAIN_END = b"\r\n0\r\n\r\n"
_PART_OF_LINE = re.compile(rb"(0?)0*([0-9a-fA-F]{0,15})([ \t]?)[ \t]*+(?:(;)[^\0\r\n]*+)?(\r?)")
"""Bytes that may become one when more has come, and what of them counts."""

# What comes next. Plain numbers: they are looked at for each chunk.
_CHUNK_LINE = 0
_CHUNK = 1
"""The rest of a chunk."""
_CHUNK_END = 2
"""The line break behind it."""
_TRAILERS = 3


class ChunkReader:
    """Reads the body of one answer out of its chunks."""

    __slots__ = ("_answer", "_at", "_count", "_held", "_left", "_most", "_taken")

    def __init__(self, answer: AnswerSoFar, most: float, count: int) -> None:
        """Make it.

        Args:
            answer: is given the parts of the body, and is done behind the trailers.
            most: the bytes that the body may have on the wire, its framing included.
            count: the headers that have come already; trailers count among them.
        """
        self._answer = answer
        self._most = most
        self._count = count
        self._at = _CHUNK_LINE
        self._left = 0
        """The bytes that are still to come of the chunk."""
        self._held = b""
        """The beginning of a chunk line or of the trailers, while it is not whole."""
        self._taken = 0

    def feed(self, data: bytes) -> int:
        """Take in what came; return how many bytes came behind the end.

        Raises:
            NotHttp: it is no body in chunks that we accept.
        """
        surplus = self._read(data)
        self._taken += len(data) - surplus
        if self._taken > self._most:
            raise BodyOverCap(f"the body has more than {self._most:.0f} bytes on the wire")
        return surplus

    def _read(self, data: bytes) -> int:
        seen = len(self._held)
        data, self._held = self._held + data, b""
        place = 0
        while place < len(data):
            if self._at == _CHUNK:
                place = self._read_chunks(data, place)
            elif self._at == _CHUNK_END:
                line = _LINE_BREAK.match(data, place)
                if line is None:
                    self._hold(data, place, fits=data[place:] == b"\r")
                    break
                place, self._at = line.end(), _CHUNK_LINE
            elif self._at == _CHUNK_LINE:
                line = _LINE_OF_CHUNK.match(data, place)
                if line is None:
                    part = _PART_OF_LINE.fullmatch(data, place)
                    # Of an extension only that there is one is held: read again with each byte that comes, one of
                    # 64 KiB would take seconds.
                    held = b"" if part is None else b"".join(part.groups(b""))
                    self._hold(held, 0, fits=part is not None)
                    break
                self._left = int(line[1], 16)
                place, self._at = line.end(), _CHUNK if self._left else _TRAILERS
            else:
                stop = self._read_trailers(data, place, seen)
                if stop is None:
                    self._hold(data, place, fits=True)
                    break
                self._answer.done = True
                return len(data) - stop
        return 0

    def _read_chunks(self, data: bytes, place: int) -> int:
        """Read the rest of a chunk, and all that follow it whole with nothing special about them; return where it is.

        Chunks may be tiny, so that this is the loop that counts.
        """
        answer = self._answer
        parts, match, left = answer.parts, _PLAIN_LINE.match, self._left
        while True:
            part = data[place : place + left]
            parts.append(part)
            size = len(part)
            answer.size += size
            place += size
            line = match(data, place) if size == left else None
            if line is None:
                break
            left, place = int(line[1], 16), line.end()
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
            raise HeadTooLarge(TOO_MANY_BYTES)
        self._count += len(read_fields(data, start, stop))
        if self._count > MOST_HEADERS:
            raise HeadTooLarge(TOO_MANY_HEADERS)
        return stop

    def _hold(self, data: bytes, start: int, *, fits: bool) -> None:
        """Keep what is not whole yet, if it may become what comes next."""
        if not fits:
            raise NotHttp("the body of the answer is not in chunks, as its head says")
        self._held = data[start:]
