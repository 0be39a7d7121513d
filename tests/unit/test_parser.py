"""What the bytes of a connection mean: facts of HTTP/1.1, and laws for any bytes in any pieces."""

from __future__ import annotations

import math
from itertools import pairwise

import attrs
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.http.transport.failures import BodyOverCap, CutShort, HeadTooLarge, NotHttp
from scrapeengine.http.transport.heads import MOST_BYTES, MOST_HEADERS
from scrapeengine.http.transport.parser import Parser

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@attrs.frozen
class Heard:
    """What a parser has made of an answer."""

    status: int
    reason: bytes
    version: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    done: bool
    keep: bool


def hear(
    *parts: bytes, method: str = "GET", most: float = math.inf, end: bool = False, on: Parser | None = None
) -> Heard:
    """Have a parser, a new one or one that was used before, hear the answer to a request in these parts."""
    parser = Parser() if on is None else on
    parser.begin(method, most)
    body = b""
    for part in parts:
        parser.feed(part)
        body += b"".join(parser.answer.take())
    if end:
        parser.end()
    assert parser.answer.parts == []
    answer = parser.answer
    version, reason = answer.extensions.get("http_version", b""), answer.extensions.get("reason_phrase", b"")
    return Heard(answer.status, reason, version, answer.headers, body, answer.done, parser.keep)


def whole(*parts: bytes, method: str = "GET", end: bool = False, on: Parser | None = None) -> tuple[int, bytes, bool]:
    """Hear an answer that is whole; return its status, its body, and whether the connection is kept."""
    heard = hear(*parts, method=method, end=end, on=on)
    assert heard.done
    return heard.status, heard.body, heard.keep


# -- framing


def test_a_body_of_a_known_length() -> None:
    """`Content-Length` bytes are the body; the head is there in full."""
    heard = hear(b"HTTP/1.1 201 Made it\r\nContent-Length: 3\r\nX-A: 1\r\nx-a:  2 \t\r\n\r\nabc")
    headers = [(b"Content-Length", b"3"), (b"X-A", b"1"), (b"x-a", b"2")]
    assert heard == Heard(201, b"Made it", b"HTTP/1.1", headers, b"abc", done=True, keep=True)


def test_a_body_that_is_not_whole_yet() -> None:
    """Until the last byte has come the answer is ready, and not done."""
    parser = Parser()
    parser.begin("GET", math.inf)
    assert (parser.answer.ready, parser.answer.done, parser.answer.untouched) == (False, False, True)
    parser.feed(OK)
    assert (parser.answer.ready, parser.answer.done, parser.answer.untouched) == (False, False, False)
    parser.feed(b"Content-Length: 3\r\n\r\nab")
    assert (parser.answer.ready, parser.answer.done, parser.answer.take()) == (True, False, [b"ab"])
    parser.feed(b"c")
    assert (parser.answer.done, parser.answer.take(), parser.answer.take()) == (True, [b"c"], [])


@pytest.mark.parametrize(
    "rest",
    [
        b"3\r\nabc\r\n0\r\n\r\n",
        b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        b"3;name=value;other\r\nabc\r\n0\r\n\r\n",
        b'003;name="quo;ted"\r\nabc\r\n000\r\n\r\n',
        b"3\r\nabc\r\n0\r\nX-Trailer: 1\r\nX-Other: 2\r\n\r\n",
    ],
)
def test_a_chunked_body(rest: bytes) -> None:
    """Chunks are put together; extensions and trailers go by, and are no headers."""
    assert whole(CHUNKED + rest) == (200, b"abc", True)
    assert hear(CHUNKED + rest).headers == [(b"Transfer-Encoding", b"chunked")]


def test_a_body_until_the_end() -> None:
    """Without a length the body ends with the connection, which is not kept."""
    assert not hear(OK + b"\r\nabc", b"def").done
    assert whole(OK + b"\r\nabc", b"def", end=True) == (200, b"abcdef", False)
    assert whole(OK + b"\r\n", end=True) == (200, b"", False)


@pytest.mark.parametrize("headers", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b""])
@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_statuses_without_a_body(status: bytes, headers: bytes) -> None:
    """A 204 or 304 ends with its head, whatever that says, and the next answer follows it."""
    parser = Parser()
    assert whole(b"HTTP/1.1 " + status + b"\r\n" + headers + b"\r\n", on=parser)[1:] == (b"", True)
    assert whole(EMPTY, on=parser) == (200, b"", True)


@pytest.mark.parametrize("headers", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_head_and_then_get(headers: bytes) -> None:
    """The answer to HEAD has no body, whatever its head says: what comes next is the next answer."""
    parser = Parser()
    for _ in range(3):
        assert whole(OK + headers + b"\r\n", method="HEAD", on=parser) == (200, b"", True)
        assert whole(OK + b"Content-Length: 3\r\n\r\nabc", on=parser) == (200, b"abc", True)


def test_head_with_a_body() -> None:
    """A server that sends one with the answer to HEAD is not asked on this connection again."""
    answer = OK + b"Content-Length: 3\r\n\r\n"
    assert whole(answer + b"abc", method="HEAD") == (200, b"", False)
    assert whole(answer, b"abc", method="HEAD") == (200, b"", False)
    assert whole(CHUNKED + b"no chunk", method="HEAD") == (200, b"", False)


# -- interim answers


@pytest.mark.parametrize(
    ("interim", "continued"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", True),
        (b"HTTP/1.1 102 Processing\r\n\r\n", False),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2, False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n", True),
        (b"HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n", False),
    ],
)
def test_interim_answers_go_by(interim: bytes, *, continued: bool) -> None:
    """A 1xx is no answer and leaves nothing of itself; that a 100 came is noted."""
    parser = Parser()
    parser.begin("GET", math.inf)
    parser.feed(interim)
    assert (parser.answer.ready, parser.answer.done, parser.answer.continued) == (False, False, continued)
    parser.feed(EMPTY)
    answer = parser.answer
    assert (answer.status, answer.headers) == (200, [(b"Content-Length", b"0")])
    assert answer.extensions == {"http_version": b"HTTP/1.1", "reason_phrase": b"OK"}
    assert (parser.answer.done, parser.keep) == (True, True)
    assert whole(interim + EMPTY, on=parser) == (200, b"", True)


def test_a_100_is_forgotten_by_the_next_request() -> None:
    """Each request waits for its own."""
    parser = Parser()
    hear(b"HTTP/1.1 100 Continue\r\n\r\n" + EMPTY, on=parser)
    parser.begin("POST", math.inf)
    assert not parser.answer.continued


@pytest.mark.parametrize("size", [1, 1000, 65536])
def test_interim_answers_without_end(size: int) -> None:
    """At 64 KiB of them it is enough, in whatever pieces they come."""
    endless = b"HTTP/1.1 100 Continue\r\n\r\n" * 6000
    parser = Parser()
    parser.begin("GET", math.inf)
    fed = 0
    with pytest.raises(HeadTooLarge):
        for start in range(0, len(endless), size):
            fed = start + size
            parser.feed(endless[start : start + size])
    assert MOST_BYTES < fed <= MOST_BYTES + size


@pytest.mark.parametrize("status", [b"101 Switching Protocols", b"101"])
@pytest.mark.parametrize("headers", [b"Upgrade: websocket\r\nConnection: upgrade\r\n", b""])
def test_another_protocol(status: bytes, headers: bytes) -> None:
    """A 101 was not asked for, and is refused."""
    with pytest.raises(httpx.RemoteProtocolError):
        hear(b"HTTP/1.1 " + status + b"\r\n" + headers + b"\r\n", EMPTY)


def test_another_protocol_may_be_offered() -> None:
    """`Upgrade` in a 200 tells of what else the server can, and nothing more."""
    answer = OK + b"Upgrade: h2,h2c\r\nConnection: Upgrade, Keep-Alive\r\nContent-Length: 3\r\n\r\nabc"
    assert whole(answer) == (200, b"abc", True)


# -- keeping


@pytest.mark.parametrize(
    ("head", "keep"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nCONNECTION: x, Close \r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_which_connections_are_kept(head: bytes, method: str, *, keep: bool) -> None:
    """HTTP/1.1 keeps them unless it says no, HTTP/1.0 only if it says so."""
    body = b"abc" if method == "GET" else b""
    assert whole(head + b"Content-Length: 3\r\n\r\n" + body, method=method) == (200, body, keep)


def test_chunks_in_http_1_0() -> None:
    """HTTP/1.0 knows none: they are read, and the connection is not trusted with another request."""
    head = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert whole(head + b"3\r\nabc\r\n0\r\n\r\n") == (200, b"abc", False)


@pytest.mark.parametrize(
    "surplus",
    [
        b"x",
        b"\0",
        EMPTY,
        OK + b"X: 1\r\n" * 300,
        OK,
        b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"\r\nx",
    ],
)
@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 3\r\n\r\nabc",
        OK + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc",
        CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
    ],
)
def test_what_comes_after_the_answer(answer: bytes, surplus: bytes) -> None:
    """The answer is good, and the connection is not kept, also if what follows is an answer or no HTTP at all."""
    assert whole(answer + surplus) == (200, b"abc", False)
    assert whole(answer, surplus) == (200, b"abc", False)


# -- what is refused


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>an answer of HTTP/0.9</html>",
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        OK + b"Content-Length: +3\r\n\r\nabc",
        OK + b"Content-Length: -3\r\n\r\nabc",
        OK + b"Content-Length: 0x3\r\n\r\nabc",
        OK + b"Content-Length: 1_0\r\n\r\nabc",
        OK + b"Content-Length: \xb2\r\n\r\nabc",
        OK + b"Content-Length:\r\n\r\nabc",
        OK + b"Content-Length: 99999999999999999999\r\n\r\nabc",
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nabc",
        OK + b"Content-Length : 3\r\n\r\nabc",
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\nabc",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked, gzip\r\n\r\nabc",
        OK + b"Transfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"g\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"2\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        OK + b"X: a\0b\r\n\r\n",
        OK + b"X: a\rb\r\n\r\n",
        OK + b"X : a\r\n\r\n",
        OK + b": a\r\n\r\n",
        OK + b"no colon\r\n\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 10**6])
def test_what_is_no_answer(answer: bytes, size: int) -> None:
    """Bytes that are no HTTP/1.x, or that two readers could take for two things, are refused and nothing is kept."""
    parser = Parser()
    parser.begin("GET", math.inf)
    with pytest.raises(httpx.RemoteProtocolError) as caught:
        for start in range(0, len(answer), size):
            parser.feed(answer[start : start + size])
    assert type(caught.value) is NotHttp
    assert caught.value.__cause__ is None
    assert not parser.keep


def test_what_is_said_of_it_quotes_nothing() -> None:
    """What the site sent may be a secret: it is in no text."""
    for answer in (
        b"s3cret",
        OK + b"s3cret s3cret\r\n",
        OK + b"Transfer-Encoding: s3cret\r\n\r\n",
        CHUNKED + b"s3cret",
    ):
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            hear(answer)
        assert "3cret" not in str(caught.value)


def test_the_end_before_the_answer() -> None:
    """A connection that ends without a head, or in the midst of it, is a read error and no answer."""
    for parts in ([], [OK], [b"HTTP/1.1 100 Continue\r\n\r\n"]):
        with pytest.raises(httpx.ReadError):
            hear(*parts, end=True)


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 3\r\n\r\n",
        OK + b"Content-Length: 3\r\n\r\nab",
        CHUNKED,
        CHUNKED + b"3\r\nab",
        CHUNKED + b"3\r\nabc\r\n",
        CHUNKED + b"3\r\nabc\r\n0\r\n",
        CHUNKED + b"3\r\nabc\r\n0\r\nX: 1\r\n",
    ],
)
def test_the_end_before_that_of_the_body(answer: bytes) -> None:
    """A body that has an end of its own and did not come to it is cut short."""
    with pytest.raises(CutShort):
        hear(answer, end=True)


def test_the_end_after_that_of_the_answer() -> None:
    """It changes nothing of the answer; the connection is not kept."""
    assert whole(EMPTY, end=True) == (200, b"", False)


# -- what is too large


def fails_after(parts: list[bytes], error: type[Exception], *, most: float = math.inf) -> int:
    """Feed parts until they are refused; return how many bytes went in."""
    parser = Parser()
    parser.begin("GET", most)
    fed = 0
    for part in parts:
        fed += len(part)
        try:
            parser.feed(part)
        except error:
            assert not parser.keep
            return fed
        parser.answer.take()
    raise AssertionError(f"{fed} bytes went in, and the parser is content")


def test_headers_have_a_number() -> None:
    """256 are taken, one more is not; those of interim answers count."""
    assert len(hear(OK + b"X: 1\r\n" * MOST_HEADERS + b"\r\n").headers) == MOST_HEADERS
    with pytest.raises(HeadTooLarge):
        hear(OK + b"X: 1\r\n" * (MOST_HEADERS + 1) + b"\r\n")
    interim = b"HTTP/1.1 103 Hints\r\n" + b"X: 1\r\n" * 200 + b"\r\n"
    with pytest.raises(HeadTooLarge):
        hear(interim + OK + b"X: 1\r\n" * 57 + b"\r\n")


@pytest.mark.parametrize("size", [100, 65536, 10**6])
@pytest.mark.parametrize("names", [1, 200])
def test_headers_have_a_size(names: int, size: int) -> None:
    """Some 64 KiB are refused, in one header or in many; a bit less is taken."""
    for total, fits in ((MOST_BYTES - 2048, True), (MOST_BYTES + 2048, False)):
        head = OK + (b"X: " + b"v" * (total // names) + b"\r\n") * names + b"\r\n"
        parts = [head[start : start + size] for start in range(0, len(head), size)]
        if fits:
            assert len(hear(*parts).headers) == names
        else:
            fails_after(parts, HeadTooLarge)


@pytest.mark.parametrize("size", [1, 1000, 65536])
@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"HTTP/1.1 200 ", b"reason "),
        (OK, b"X"),
        (OK + b"X: ", b"v"),
        (OK, b"X: 1\r\n"),
        (CHUNKED + b"3;", b"extension"),
        (CHUNKED, b"0"),
        (CHUNKED + b"3", b" \t"),
        (CHUNKED + b"0\r\n", b"Trailer: 1\r\n"),
        (CHUNKED + b"0\r\nTrailer: ", b"v"),
        (b"", b"\r\n"),
    ],
)
def test_framing_without_end(start: bytes, more: bytes, size: int) -> None:
    """Whatever goes on for ever and brings no content ends at 64 KiB, however slowly it comes."""
    endless = more * (2 * MOST_BYTES // len(more) + 1)
    parts = [endless[at : at + size] for at in range(0, len(endless), size)]
    assert fails_after([start, *parts], HeadTooLarge) <= MOST_BYTES + size + len(start)


def test_content_makes_room_for_framing() -> None:
    """What is bounded is the framing between two parts of the body, not its sum."""
    chunk = b"1;" + b"e" * 30000 + b"\r\nx\r\n"
    assert whole(CHUNKED, *[chunk] * 10, b"0\r\n\r\n") == (200, b"x" * 10, True)


def test_a_length_that_is_too_large_is_refused_at_the_head() -> None:
    """A `Content-Length` above the cap needs no body to be refused; at the cap it is taken. HEAD and 304 have none."""
    large = OK + b"Content-Length: 11\r\n\r\n"
    with pytest.raises(BodyOverCap):
        hear(large, most=10)
    assert hear(large, method="HEAD", most=10).done
    assert hear(large.replace(b"200 OK", b"304 NM"), most=10).done
    assert hear(OK + b"Content-Length: 10\r\n\r\n", b"0123456789", most=10).done


@pytest.mark.parametrize("start", [OK + b"\r\n", CHUNKED])
def test_a_body_without_end(start: bytes) -> None:
    """What has no length ends at the cap, by the bytes on the wire."""
    part = b"1\r\nx\r\n" if start == CHUNKED else b"x"
    assert len(start) + 1000 < fails_after([start, *[part] * 2000], BodyOverCap, most=1000) <= len(start) + 1006


# -- laws

TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz"
names = st.lists(st.sampled_from(TOKEN), min_size=1, max_size=8).map(lambda name: b"x-" + bytes(name))
visible = st.sampled_from([*range(0x21, 0x7F), *range(0x80, 0x100)])
values = st.lists(visible | st.sampled_from(b" \t"), max_size=12).map(lambda value: bytes(value).strip(b" \t"))
header_lists = st.lists(st.tuples(names, values), max_size=6)
reasons = st.lists(st.sampled_from(b"abc XYZ-!\t\xe4"), max_size=10).map(bytes)
pieces = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


@attrs.frozen
class Spoken:
    """An answer as a server could send it, and what it means."""

    method: str
    data: bytes
    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    until_the_end: bool
    """Whether the body is; that of a HEAD's answer is not."""
    keep: bool


def lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Write headers."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)


@st.composite
def chunkings(draw: st.DrawFn, parts: list[bytes]) -> bytes:
    """Write a body in chunks, with extensions and trailers."""
    extension = draw(st.sampled_from([b"", b";a", b";a=b;c"]))
    size = draw(st.sampled_from([b"%x", b"%X", b"0%x"]))
    chunks = b"".join(size % len(part) + extension + b"\r\n" + part + b"\r\n" for part in parts)
    return chunks + b"0\r\n" + lines(draw(header_lists)) + b"\r\n"


@st.composite
def spoken(draw: st.DrawFn) -> Spoken:
    """Make an answer that a server could send."""
    method = draw(st.sampled_from(["GET", "GET", "POST", "HEAD"]))
    status = draw(st.sampled_from([200, 204, 304, 404, 999]) | st.integers(200, 999))
    reason, headers, parts = draw(reasons), draw(header_lists), draw(pieces)
    framing = draw(st.sampled_from(["length", "chunked", "end"]))
    empty = method == "HEAD" or status in {204, 304}
    body = b"".join(parts)
    match framing:
        case "length":
            at = draw(st.integers(0, len(headers)))
            headers = [*headers[:at], (b"Content-Length", b"%d" % len(body)), *headers[at:]]
            sent = body
        case "chunked":
            headers = [*headers, (b"Transfer-Encoding", b"chunked")]
            sent = draw(chunkings(parts))
        case _:
            sent = body
    interim = b"".join(
        b"HTTP/1.1 %d \r\n%b\r\n" % (number, lines(more))
        for number, more in draw(st.lists(st.tuples(st.sampled_from([100, 102, 103, 199]), header_lists), max_size=2))
    )
    data = interim + b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, lines(headers)) + (b"" if empty else sent)
    until_the_end = framing == "end" and not empty
    keep = framing != "end" or status in {204, 304}  # that of a HEAD without a length could be kept, and is not
    return Spoken(method, data, status, reason, headers, b"" if empty else body, until_the_end, keep)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut bytes into pieces."""
    places = sorted({place % (len(data) + 1) for place in cuts} | {0, len(data)})
    return [data[start:stop] for start, stop in pairwise(places)]


cut_places = st.lists(st.integers(0, 10**6), max_size=30)


@given(st.lists(st.tuples(spoken(), cut_places), min_size=1, max_size=5))
def test_what_is_said_is_heard(said: list[tuple[Spoken, list[int]]]) -> None:
    """Answers that follow one another on one connection are heard as they were said, in whatever pieces they come."""
    parser = Parser()
    for answer, cuts in said:
        heard = hear(*cut(answer.data, cuts), method=answer.method, end=answer.until_the_end, on=parser)
        expected = Heard(
            answer.status, heard.reason, b"HTTP/1.1", answer.headers, answer.body, done=True, keep=answer.keep
        )
        assert heard == expected
        assert heard.reason.strip(b" \t") == answer.reason.strip(b" \t")
        if not heard.keep:
            parser = Parser()


def outcome(parts: list[bytes], method: str) -> Heard | type[Exception]:
    """Say what a parser makes of bytes, and then the end: an answer, or an error that it may raise."""
    parser = Parser()
    try:
        heard = hear(*parts, method=method, on=parser)
        return attrs.evolve(heard, keep=heard.keep and parser.keep) if heard.done else hear_end(parser, heard)
    except (httpx.RemoteProtocolError, httpx.ReadError) as error:
        assert not parser.keep
        return type(error)


def hear_end(parser: Parser, heard: Heard) -> Heard:
    """Let the connection end."""
    parser.end()
    return attrs.evolve(heard, done=parser.answer.done, keep=parser.keep)


@st.composite
def broken(draw: st.DrawFn) -> tuple[str, bytes]:
    """Make bytes that were an answer once: something was taken out, or put in, or both; some more follow."""
    answer = draw(spoken())
    data = answer.data
    for _ in range(draw(st.integers(0, 3))):
        at, size = draw(st.integers(0, len(data))), draw(st.integers(0, 4))
        put_in = draw(
            st.sampled_from([b"\r\n", b"\r", b"\n", b" ", b":", b"0", b"f", b"\0", b"\xff"]) | st.binary(max_size=4)
        )
        data = data[:at] + put_in + data[at + size :]
    return answer.method, data + draw(st.sampled_from([b"", b"x", b"\r\n", EMPTY, OK]))


@given(broken(), cut_places)
def test_pieces_do_not_matter(made: tuple[str, bytes], cuts: list[int]) -> None:
    """Good or bad, bytes mean the same in whatever pieces they come."""
    method, data = made
    at_once = outcome([data], method)
    assert outcome(cut(data, cuts), method) == at_once
    assert outcome([data[at : at + 1] for at in range(len(data))], method) == at_once


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda data: OK + data), cut_places)
def test_any_bytes_are_an_answer_or_refused(data: bytes, cuts: list[int]) -> None:
    """Nothing that comes raises anything but the errors that say so."""
    found = outcome(cut(data, cuts), "GET")
    allowed = (httpx.RemoteProtocolError, httpx.ReadError)
    assert (isinstance(found, Heard) and found.done) or (isinstance(found, type) and issubclass(found, allowed))


@given(
    st.lists(st.binary(min_size=1, max_size=60), max_size=8), st.integers(0, 300), cut_places, st.sampled_from("lce")
)
def test_the_cap_holds_in_any_pieces(parts: list[bytes], most: int, cuts: list[int], framing: str) -> None:
    """A body larger than the cap is always refused; one that fits with its framing never is."""
    body = b"".join(parts)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    head, rest = {
        "l": (OK + b"Content-Length: %d\r\n\r\n" % len(body), body),
        "c": (CHUNKED, chunks),
        "e": (OK + b"\r\n", body),
    }[framing]
    try:
        heard = hear(*cut(head + rest, cuts), most=most, end=framing == "e")
    except BodyOverCap:
        assert len(rest) > most
    else:
        assert heard.body == body
        assert len(body) <= most
