"""Heads without end, heads that are none, and answers that nobody asked for."""

import pytest
import trio
import trio.testing

import scrapeengine as se
from support.runs import AT_ONCE, on
from support.wire import OK, answering, flooding

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
KERNELS = 8_000_000
LONG = {"timeout": se.Timeout(attempt=5), "retry": se.Retry(attempts=3, max_wait=0)}


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (HEAD, b"X-A: 1\r\n"),
        (HEAD, b"Set-Cookie: a=b\r\n"),
        (HEAD + b"X-A: ", b"a"),
        (HEAD, b"a"),
        (HEAD + b"X-A: ", b" "),
        (b"", b"\r\n"),
        (b"HTTP/1.1 200 ", b"K"),
        (CHUNKED + b"1;", b"a=b;"),
        (CHUNKED + b"1\r\na\r\n0\r\n", b"X-A: 1\r\n"),
        (CHUNKED + b"0\r\nX-A: ", b"a"),
    ],
)
async def test_a_head_without_end_is_left(head, piece):
    """Headers, one header, trailers, extensions of chunks: what is framing and no content has a bound of 64 KiB.

    It is not tried again: it would have no end again.
    """
    seen = await on(flooding(head, piece), **LONG)
    assert type(seen.error) is se.HeadersTooLarge
    assert (seen.error.attempt, seen.server.connections) == (1, 1)
    assert seen.took < 1
    assert seen.server.sent < KERNELS


@pytest.mark.parametrize("status", [b"100 Continue", b"103 Early Hints", b"102 Processing", b"199 What"])
async def test_interim_answers_without_end_are_left(status):
    """With headers or without: quickly, and long before the deadline."""
    for headers in (b"", b"Link: </a>\r\n"):
        seen = await on(flooding(b"", b"HTTP/1.1 " + status + b"\r\n" + headers + b"\r\n"), **LONG)
        assert type(seen.error) is se.HeadersTooLarge
        assert seen.took < 1
        assert seen.server.sent < KERNELS


async def test_a_few_interim_answers_are_passed_over():
    """What comes after them is the answer."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert (await on(answering(hints, hints, b"HTTP/1.1 100 Continue\r\n\r\n" + OK))).value == b"ok"


@pytest.mark.parametrize("count", [257, 10_000, 100_000])
async def test_too_many_headers(count):
    """256 are enough for anyone; the head that has them is whole, and small as it may be, it is refused."""
    head = HEAD + b"a:\r\n" * count + b"Content-Length: 2\r\n\r\nok"
    assert type((await on(answering(head))).error) is se.HeadersTooLarge


async def test_as_many_headers_as_there_may_be():
    """255, and the length."""
    head = HEAD + b"a:\r\n" * 255 + b"Content-Length: 2\r\n\r\nok"
    assert (await on(answering(head))).value == b"ok"


BROKEN = {
    "a header that continues none": HEAD + b" X-A: a\r\nContent-Length: 2\r\n\r\nok",
    "no status line": b"Content-Type: text/html\r\n\r\n<html>",
    "HTTP/0.9": b"<html>hello</html>",
    "HTTP/0.9 in the status line": b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/2": b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.7": b"HTTP/3.7 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "another protocol": b"ICY 200 OK\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a negative status": b"HTTP/1.1 -200 OK\r\nContent-Length: 2\r\n\r\nok",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
    "status 0": b"HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok",
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a header without a colon": HEAD + b"what\r\n\r\n",
    "a header without a name": HEAD + b": what\r\nContent-Length: 2\r\n\r\nok",
    "a space before the colon": HEAD + b"Content-Length : 2\r\n\r\nok",
    "a NUL in a header": HEAD + b"X-A: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "a CR in a header": HEAD + b"X-A: a\rb\r\nContent-Length: 2\r\n\r\nok",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
    "two lengths in one": HEAD + b"Content-Length: 2, 3\r\n\r\nokk",
    "a length with a sign": HEAD + b"Content-Length: +2\r\n\r\nok",
    "a negative length": HEAD + b"Content-Length: -2\r\n\r\nok",
    "a length in hexadecimal": HEAD + b"Content-Length: 0x2\r\n\r\nok",
    "a length in words": HEAD + b"Content-Length: two\r\n\r\nok",
    "a length in wide digits": HEAD + "Content-Length: ２\r\n\r\nok".encode(),
    "a length beyond 64 bits": HEAD + b"Content-Length: 18446744073709551618\r\n\r\nok",
    "a length and chunks": HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunks and a length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunks twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunks in chunks": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "a transfer coding that was not asked for": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "a chunk size in words": CHUNKED + b"zz\r\nok\r\n0\r\n\r\n",
    "a chunk size with a sign": CHUNKED + b"+2\r\nok\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED + b"-2\r\nok\r\n0\r\n\r\n",
    "a chunk size with a prefix": CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": CHUNKED + b"10000000000000002\r\nok\r\n0\r\n\r\n",
    "an empty chunk size": CHUNKED + b"\r\nok\r\n0\r\n\r\n",
    "a chunk longer than it said": CHUNKED + b"1\r\nok\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_what_is_not_http_is_no_answer(kind):
    """It is `ProtocolError`, tried once more on a connection of its own, and says nothing of what came."""
    seen = await on(answering(BROKEN[kind], then="keep"), **LONG)
    assert type(seen.error) is se.ProtocolError
    assert (seen.error.attempt, seen.server.connections) == (2, 2)


@pytest.mark.parametrize("attempts", [1, 2, 3, 9])
@pytest.mark.parametrize("between", [b"", b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n"])
async def test_a_malformed_answer_is_asked_for_once_more(attempts, between):
    """What a site says wrongly it says again. Other failures between two of them have the attempts that they have."""
    retry = se.Retry(attempts=attempts, initial_wait=0, max_wait=0)

    async def serve(talk):
        while await talk.request():
            await talk.send(between if between and len(talk.server.requests) == 2 else b"no HTTP\r\n\r\n")

    seen = await on(serve, retry=retry)
    assert len(seen.server.requests) == min(attempts, 3 if between else 2)


@pytest.mark.parametrize("policy", [{}, {"rate": se.Rate(50, burst=2)}])
async def test_a_malformed_answer_is_asked_for_on_a_connection_of_its_own(policy):
    """One that rests is not trusted with it: it may be the connection that is at fault."""

    async def scrape(task):
        await task.http.get("/good")
        if task.event.id == "first":
            return (await task.http.get("/bad")).content
        return b"ok"

    async def serve(talk):
        while request := await talk.request():
            if b" /good " in request:
                good.append(talk.number)
                both.set() if len(good) == 2 else await both.wait()
                await talk.send(OK)
            else:
                bad.append(talk.number)
                await talk.send(OK if len(bad) > 1 else b"no HTTP\r\n\r\n")

    good, bad, both = [], [], trio.Event()
    seen = await on(serve, scrape, retry=AT_ONCE, events=("first", "second"), limit=2, **policy)
    assert [outcome.value for outcome in seen.outcomes] == [b"ok", b"ok"]
    assert sorted(good) == [0, 1]
    assert bad[0] in good
    assert bad[1:] == [2]


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_connection_on_which_http_was_broken_is_not_used_again(kind):
    """The request after it goes out on another one."""

    async def scrape(task):
        with pytest.raises(se.RequestError):
            await task.http.get("/a")
        return (await task.http.get("/b")).content

    async def serve(talk):
        while request := await talk.request():
            await talk.send(OK if b" /b " in request else BROKEN[kind])

    seen = await on(serve, scrape)
    assert (seen.value, seen.server.connections) == (b"ok", 2)


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"


@pytest.mark.parametrize("behind", [ANSWER, b"x", b"HTTP/1.1 100 Continue\r\n\r\n", b"\0" * 1000])
@pytest.mark.parametrize("when", ["with it", "after it"])
async def test_what_follows_an_answer_is_nobody_s(behind, when):
    """A site that says more than it was asked cannot answer the next request before it is made."""

    async def scrape(task):
        first = (await task.http.get("/a")).content
        await asked.wait()
        return first, (await task.http.get("/b")).content

    async def serve(talk):
        while await talk.request():
            if talk.number:
                await talk.send(OK)
            elif when == "with it":
                await talk.send(OK + behind)
                asked.set()
            else:
                await talk.send(OK)
                await trio.testing.wait_all_tasks_blocked(0.02)
                await talk.send(behind)
                asked.set()

    asked = trio.Event()
    seen = await on(serve, scrape)
    assert seen.value == (b"ok", b"ok")
    assert seen.server.connections == 2


async def test_an_empty_line_behind_an_answer_does_no_harm():
    """Some sites send one (RFC 9112, section 2.2); no answer is made of it."""

    async def scrape(task):
        return [(await task.http.get("/a")).content for _ in range(3)]

    assert (await on(answering(OK + b"\r\n", then="keep"), scrape)).value == [b"ok"] * 3


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nforged"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\nforged"),
    ],
)
async def test_a_body_where_none_may_be_is_not_the_next_answer(method, answer):
    """Answers that have no body end with their head, whatever they say; what follows is not trusted."""

    async def scrape(task):
        first = (await task.http.request(method, "/a")).content
        return first, (await task.http.get("/b")).content

    async def serve(talk):
        while request := await talk.request():
            await talk.send(OK if b" /b " in request else answer)

    seen = await on(serve, scrape)
    assert seen.value == (b"", b"ok")
    assert seen.server.connections == 2
