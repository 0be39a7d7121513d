"""Answers with faults of all kinds in them, beside h11: the same bodies wherever both read, and nothing of the next.

h11 is the judge of what a body is. It refuses LF in chunk lines and `Transfer-Encoding: identity`, which are read here:
what these bodies are is written down in `test_heads.py`.
"""

from __future__ import annotations

import math
import random
from collections import Counter

import attrs
import h11
import httpx
import pytest

from scrapeengine.http.transport.parser import Parser

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Server: x\r\nTransfer-Encoding: chunked\r\n\r\n"
SOUND = [
    OK + b"Content-Length: 5\r\n\r\nhello",
    OK + b"Content-Length: 0\r\n\r\n",
    OK + b"Server: nginx\r\nContent-Length: 12\r\nConnection: keep-alive\r\n\r\nhello, world",
    OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
    OK + b"X: a\r\n b\r\nContent-Length: 5\r\nY: \xe9\x01\r\n\r\nhello",
    OK + b"\r\nuntil the end",
    b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    + OK
    + b"Content-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n",
    b'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n',
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\nnone",
    CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n",
    CHUNKED + b"5;a=b;c\r\nhello\r\n1\r\n!\r\n000\r\n\r\n",
    CHUNKED + b"1\r\na\r\n2\r\nbc\r\n1\r\nd\r\n10\r\n0123456789abcdef\r\n0\r\nX-Trailer: 1\r\nY: 2\r\n\r\n",
    b"HTTP/1.1 500 Oops\nContent-Length: 5\n\nhello",
    OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
]
SPLICES = [
    *(b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b" ", b"\t", b"\r\n ", b"\0", b"\x01", b"\x7f", b"\xff", b":", b";"),
    *(b",", b"0", b"5", b"f", b"00", b"-1", b"+", b"0x", b"5\r\nhello\r\n", b"0\r\n\r\n", b"0\n\n", b"X: y\r\n"),
    *(b"Content-Length: 5\r\n", b"Content-Length: 6\r\n", b"Transfer-Encoding: chunked\r\n", b"chunked", b"identity"),
    *(b"Transfer-Encoding: identity\r\n", b"Connection: close\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 \r\n\r\n"),
]


def mutated(random: random.Random) -> bytes:
    """Take an answer, and put in, take out, or write twice a few bytes; or another line break for all."""
    data = random.choice(SOUND)
    for _ in range(random.choice((1, 1, 2, 3, 5))):
        at, size = random.randrange(len(data) + 1), random.choice((0, 1, 1, 2, 4, 9))
        match random.randrange(7):
            case 0 | 1:
                data = data[:at] + random.choice(SPLICES) + data[at:]
            case 2:
                data = data[:at] + random.choice(SPLICES) + data[at + size :]
            case 3:
                data = data[:at] + data[at + size :]
            case 4:
                data = data[: at + size] + data[at:]
            case 5:
                data = data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
            case _:
                data = data.replace(
                    b"\r\n", random.choice((b"\n", b"\n", b"\n", b"\r\n\t", b" \r\n", b"\r")), random.choice((1, 2, -1))
                )
    return data


@attrs.frozen
class Read:
    """An answer, as somebody has read it."""

    status: int
    body: bytes
    keep: bool
    """Whether another answer may follow on the connection."""


def read_here(data: bytes, size: int) -> Read | None:
    """Read an answer in pieces of a size, and then the end of the connection; None: it is refused."""
    parser = Parser()
    parser.begin("GET", math.inf)
    try:
        for start in range(0, len(data), size):
            parser.feed(data[start : start + size])
        keep = parser.answer.done and parser.keep
        parser.end()
    except (httpx.RemoteProtocolError, httpx.ReadError):
        return None
    return Read(parser.answer.status, b"".join(parser.answer.parts), keep)


def read_by_h11(data: bytes) -> Read | None:
    """The same by h11."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a.test")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    status, body = 0, b""
    try:
        while True:
            match connection.next_event():
                case h11.Response(status_code=status):
                    pass
                case h11.Data(data=part):
                    body += part
                case h11.EndOfMessage():
                    keep = connection.their_state is h11.DONE and not connection.trailing_data[0]
                    return Read(status, body, keep)
                case h11.ConnectionClosed() | h11.NEED_DATA | h11.PAUSED:
                    return None
    except h11.RemoteProtocolError:
        return None


def compare(seed: int, number: int) -> Counter[str]:
    """Read so many answers by both, and count what came of it. Nothing but our own errors may be raised."""
    generator = random.Random(seed)
    counts: Counter[str] = Counter()
    for _ in range(number):
        data = mutated(generator)
        ours, theirs = read_here(data, 10**6), read_by_h11(data)
        assert read_here(data, generator.choice((1, 2, 3, 7))) == ours, data
        if ours is not None and theirs is not None:
            assert (ours.status, ours.body) == (theirs.status, theirs.body), data
        if ours is not None and ours.keep:
            # Nothing is behind it: without its last byte it would not be whole.
            assert read_here(data[:-1], 10**6) != ours, data
        counts[f"{'read' if ours else 'refused'} here, {'read' if theirs else 'refused'} by h11"] += 1
    return counts


def test_bodies_are_what_h11_takes_for_them() -> None:
    """A few thousand answers with faults; each kind of agreement and of disagreement comes up."""
    counts = compare(1, 6_000)
    assert counts["read here, read by h11"] > 1_000
    assert counts["refused here, refused by h11"] > 1_000
    assert counts["read here, refused by h11"] > 50


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 16))
def test_bodies_are_what_h11_takes_for_them_in_140_000(seed: int) -> None:
    """The same, 14 times 10,000."""
    assert sum(compare(seed, 10_000).values()) == 10_000
