"""Answers that are badly written and have one reading are read; what has two is refused. Byte by byte as at once."""

from __future__ import annotations

import math

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.http.transport.heads import read_head
from scrapeengine.http.transport.parser import Parser

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def heard(data: bytes, size: int, *, end: bool = False) -> Parser:
    """Have a parser hear an answer in pieces of a size."""
    parser = Parser()
    parser.begin("GET", math.inf)
    for start in range(0, len(data), size):
        parser.feed(data[start : start + size])
    if end:
        parser.end()
    return parser


@pytest.mark.parametrize("size", [1, 2, 7, 10**6])
@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok", b"ok"),
        (b"\nHTTP/1.1 200\nContent-Length: 2\n\nok", b"ok"),
        (b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1\t200  OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 \x01\x7f\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 103 Early\nLink: </a>\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok"),
        (OK + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (OK + b"Content-Length:\r\n 2\r\n\r\nok", b"ok"),
        (OK + b"Content-Length:\n\t2\r\n \r\n\r\nok", b"ok"),
        (OK + b"Content-Length: 2\r\nX: a\n\t\tb\n\tc\n\nok", b"ok"),
        (OK + b"Transfer-Encoding:\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        (OK + b"X: a\x01b\x1f\x7f\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (OK + b"Set-Cookie: k=a\x01b\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (OK + b"Content-Length: 2, 2\r\n\r\nok", b"ok"),
        (OK + b"Content-Length: 2\t,2\r\ncontent-length: 02\r\n\r\nok", b"ok"),
        (OK + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (OK + b"Content-Length: 2\r\nTransfer-Encoding: Identity \r\n\r\nok", b"ok"),
        (OK + b"Transfer-Encoding: chunked\t\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        (OK + b"Transfer-Encoding: \tCHUNKED \r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        (OK + b"Transfer-Encoding: identity, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        (CHUNKED + b"2\nok\n0\n\n", b"ok"),
        (CHUNKED + b"1\r\no\r\n1\nk\r\n0\r\n\n", b"ok"),
        (CHUNKED + b"1\no\r\n1\r\nk\n0\r\n\r\n", b"ok"),
        (CHUNKED + b"5  \r\nhello\r\n0 \t\r\n\r\n", b"hello"),
        (CHUNKED + b"5\t\nhello\n0  \n\n", b"hello"),
        (CHUNKED + b'5 ;a=b\r\nhello\r\n0 ; x="y;z"\r\n\r\n', b"hello"),
        (CHUNKED + b"5; a=\x01\xff\r\nhello\r\n0;\r\n\r\n", b"hello"),
        (CHUNKED + b"00000000000000000000002\r\nok\r\n0000000000000000000000000\r\n\r\n", b"ok"),
        (CHUNKED + b"2\r\nok\r\n0\nX: a\n b\nY: c\n\n", b"ok"),
        (CHUNKED + b"2\r\nok\r\n0\r\nX: a\r\n\tb\r\n\n", b"ok"),
        (CHUNKED + b"2\n\n\n\n0\n\n", b"\n\n"),
    ],
)
def test_what_has_one_reading_is_read(answer: bytes, body: bytes, size: int) -> None:
    """Its body is what every other client reads, and the connection goes on to the next answer."""
    parser = heard(answer, size)
    assert (parser.answer.done, parser.keep, parser.answer.status, b"".join(parser.answer.take())) == (
        True,
        True,
        200,
        body,
    )
    parser.begin("GET", math.inf)
    parser.feed(b"HTTP/1.1 201 Next\r\nContent-Length: 1\r\n\r\n!")
    assert (parser.answer.done, parser.keep, parser.answer.status, parser.answer.take()) == (True, True, 201, [b"!"])


@pytest.mark.parametrize("size", [1, 10**6])
@pytest.mark.parametrize("coding", [b"identity", b"IDENTITY", b" identity\t", b"identity,", b"identity, identity"])
def test_no_transfer_coding_is_none(coding: bytes, size: int) -> None:
    """`identity` is as good as no header: the body ends with the connection."""
    answer = OK + b"Transfer-Encoding: " + coding + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    parser = heard(answer, size, end=True)
    assert (parser.answer.done, parser.keep, b"".join(parser.answer.take())) == (
        True,
        False,
        b"5\r\nhello\r\n0\r\n\r\n",
    )


@pytest.mark.parametrize("size", [1, 10**6])
@pytest.mark.parametrize(
    "answer",
    [
        b"RTSP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"ICE/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"ICY 200 OK\n\n",
        b"HTTP/1.1200 OK\r\n\r\n",
        b"HTTP/1.1 200OK\r\n\r\n",
        b"HTTP/1.10 200 OK\r\n\r\n",
        b"HTTP/1.1 2\xb2\xb3 OK\r\n\r\n",
        b"HTTP/1.1 200 O\0K\r\n\r\n",
        b"HTTP/1.1 200 O\rK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\r\n\r\n",
        b"HTTP/1.1\r\n 200 OK\r\n\r\n",
        b"\rHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: a\0\r\nContent-Length: 2\r\n\r\nok",
        OK + b"X: a\r b\r\nContent-Length: 2\r\n\r\nok",
        OK + b"X: a\r\r\nContent-Length: 2\r\n\r\nok",
        OK + b"Content-Length: 2\r\t\nX: a\r\n\r\nok",
        OK + b"Content-Length: 2\r \r\n\r\nok",
        OK + b"X: a\r\n b\rc\r\nContent-Length: 2\r\n\r\nok",
        OK + b" X: a\r\nContent-Length: 2\r\n\r\nok",
        OK + b"\tContent-Length: 2\r\n\r\nok",
        OK + b"Content-Length: 2\r\n 0\r\n\r\nok",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        OK + b"Content-Length: 2, 3\r\n\r\nok",
        OK + b"Content-Length: 2,\r\n\r\nok",
        OK + b"Content-Length: 2 2\r\n\r\nok",
        OK + b"Content-Length: 2\x01\r\n\r\nok",
        OK + b"Content-Length: 2;\r\n\r\nok",
        OK + b"Content-Length: \r\n 2\r\nContent-Length: 20\r\n\r\nok",
        OK + b"Content-Length: 2\r\nTransfer-Encoding:\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"Content-Length: 2\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n",
        OK
        + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked, identity, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\x0b\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked;q=1\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding:\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chun\r\n ked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"X y: a\r\n\r\n",
        OK + b"X\xe9: a\r\n\r\n",
        CHUNKED + b"2\rok\r0\r\r",
        CHUNKED + b"2\r\rok\r\n0\r\n\r\n",
        CHUNKED + b"2\r\nok\r0\r\n\r\n",
        CHUNKED + b"2;a\rb\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"2;\0\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"2 2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b" 2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"2h\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"+2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"2_0\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"2\r\nok0\r\n\r\n",
        CHUNKED + b"2\r\nok\r\n\r\n0\r\n\r\n",
        CHUNKED + b"2\r\nokk\r\n0\r\n\r\n",
        CHUNKED + b"8000000000000000\r\nok",
        CHUNKED + b"2\r\nok\r\n0\r\nX: \0\r\n\r\n",
        CHUNKED + b"2\r\nok\r\n0\r\nno trailer\r\n\r\n",
    ],
)
def test_what_has_two_readings_is_refused(answer: bytes, size: int) -> None:
    """Another reader of the same bytes would see another answer, or another end of it."""
    with pytest.raises(httpx.RemoteProtocolError):
        heard(answer, size)


BLANKS = st.text(" \t", max_size=2).map(str.encode)
WORDS = st.binary(min_size=1, max_size=5).map(lambda word: word.translate(None, b"\0\r\n\t ")).filter(bool)


@given(
    st.lists(
        st.tuples(st.sampled_from([b"X-A", b"ETag", b"Location"]), st.lists(WORDS, min_size=1, max_size=4)), max_size=5
    ),
    st.data(),
)
def test_a_fold_is_a_space(fields: list[tuple[bytes, list[bytes]]], data: st.DataObject) -> None:
    """However a value is folded over lines, and whatever ends them, it is its words with a space between them."""
    written = OK
    for name, words in fields:
        breaks = [
            data.draw(BLANKS) + data.draw(st.sampled_from([b"\r\n", b"\n"])) + b" " + data.draw(BLANKS) for _ in words
        ]
        folded = b"".join(word + fold for word, fold in zip(words, breaks, strict=True))
        written += name + b":" + data.draw(BLANKS) + folded + data.draw(st.sampled_from([b"\r\n", b"\n"]))
    written += b"\r\n"
    assert read_head(written, 0, len(written))[3] == [(name, b" ".join(words)) for name, words in fields]
