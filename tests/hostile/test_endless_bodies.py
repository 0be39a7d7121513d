"""Bodies without end, bodies that are too large, and bodies that end too soon."""

import gzip
import zlib

import brotli
import pytest
from backports import zstd

import scrapeengine as se
from support.runs import AT_ONCE, on
from support.wire import OK, answering, flooding

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
KERNELS = 8_000_000
"""What the buffers of two sockets may hold beyond what the client has read, in bytes; loopback takes 4 MB and more."""
SMALL = se.Caps(wire=200_000, body=200_000)
PLAIN = b"a plain text, not of one letter only; " * 500


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (HEAD + b"\r\n", b"x"),
        (HEAD + b"Connection: close\r\n\r\n", b"x"),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"x"),
        (CHUNKED, b"400\r\n%b\r\n" % (b"x" * 1024)),
        (CHUNKED, b"1\r\nx\r\n"),
        (CHUNKED + b"7fffffff\r\n", b"x"),
    ],
)
@pytest.mark.parametrize("way", ["get", "stream"])
async def test_an_infinite_body_is_left_at_the_cap(head, piece, way):
    """By the bytes on the wire; little more is ever sent. It is not tried again: it would be no smaller."""

    async def scrape(task):
        if way == "get":
            await task.http.get("/a")
        async with task.http.stream("GET", "/a") as answer:
            async for _ in answer:
                pass

    seen = await on(flooding(head, piece), scrape, caps=SMALL, retry=AT_ONCE, timeout=se.Timeout(attempt=5))
    assert type(seen.error) is se.BodyTooLarge
    assert (seen.error.phase, seen.error.attempt) == ("body", 1)
    assert seen.server.connections == 1
    assert seen.server.sent < 200_000 + KERNELS


async def test_the_wire_has_a_cap_of_its_own():
    """What is sent in small chunks is counted with its framing, though its content is below the cap for bodies."""
    caps = se.Caps(wire=200_000, body=10_000_000)
    seen = await on(flooding(CHUNKED, b"1\r\nx\r\n"), caps=caps, timeout=se.Timeout(attempt=5))
    assert type(seen.error) is se.BodyTooLarge


@pytest.mark.parametrize("length", [b"10737418240", b"9223372036854775807", b"33554433"])
async def test_a_body_that_says_that_it_is_too_large_is_refused_at_its_head(length):
    """With the usual caps: nothing of it is waited for."""
    head = HEAD + b"Content-Length: " + length + b"\r\n\r\n"
    seen = await on(answering(head, then="wait"), timeout=se.Timeout(attempt=5))
    assert type(seen.error) is se.BodyTooLarge
    assert seen.took < 1


async def test_a_cap_for_one_stream():
    """`cap` stands in the place of both caps, above and below them."""

    async def scrape(task):
        sizes = []
        for cap in (300_000, 50_000):
            size = 0
            try:
                async with task.http.stream("GET", "/a", cap=cap) as answer:
                    async for part in answer:
                        size += len(part)
            except se.BodyTooLarge:
                size = -1
            sizes.append(size)
        return sizes

    body = b"x" * 250_000
    answer = HEAD + b"Content-Length: 250000\r\n\r\n" + body
    assert (await on(answering(answer), scrape, caps=SMALL)).value == [250_000, -1]


@pytest.mark.parametrize(
    "short",
    [
        HEAD + b"Content-Length: 100\r\n\r\n",
        HEAD + b"Content-Length: 100\r\n\r\na part",
        CHUNKED + b"5\r\nab",
        CHUNKED + b"2\r\nab\r\n",
        CHUNKED + b"2\r\nab\r\n0\r\nX-A: 1\r\n",
        CHUNKED,
    ],
)
async def test_a_short_body_is_never_taken_for_a_whole_one(short):
    """It is `TruncatedBody`, and tried again."""

    async def serve(talk):
        await talk.request()
        await talk.send(OK if talk.number == 1 else short)

    assert type((await on(answering(short))).error) is se.TruncatedBody
    seen = await on(serve, retry=AT_ONCE)
    assert (seen.value, seen.server.connections) == (b"ok", 2)


@pytest.mark.parametrize(
    "before", [b"", HEAD, HEAD + b"Content-Length: 100\r\n\r\na part", CHUNKED + b"5\r\nab", HEAD + b"\r\nab"]
)
async def test_a_reset_is_a_broken_connection(before):
    """In the head and in the body, of whatever kind that is; and it is tried again."""

    async def serve(talk):
        await talk.request()
        if talk.number == 2:
            await talk.send(OK)
            return
        if before:
            await talk.send(before)
        talk.reset()

    error = (await on(serve)).error
    assert type(error) is se.ConnectionBroken
    seen = await on(serve, retry=AT_ONCE)
    assert (seen.value, seen.server.connections) == (b"ok", 3)


CODED = {
    "gzip": gzip.compress(PLAIN),
    "deflate": zlib.compress(PLAIN),
    "br": brotli.compress(PLAIN),
    "zstd": zstd.compress(PLAIN),
}


@pytest.mark.parametrize("coding", CODED)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("framing", ["length", "end", "chunks"])
async def test_a_coded_body_that_is_cut_short_is_no_answer(coding, part, framing):
    """The framing says that it is whole; its coding knows better."""
    cut = CODED[coding][: max(3, int(len(CODED[coding]) * part))]
    head = HEAD + b"Content-Encoding: " + coding.encode() + b"\r\n"
    answer = {
        "length": head + b"Content-Length: %d\r\n\r\n" % len(cut) + cut,
        "end": head + b"\r\n" + cut,
        "chunks": head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(cut), cut),
    }[framing]
    seen = await on(answering(answer), retry=AT_ONCE)
    assert type(seen.error) is se.TruncatedBody
    assert (seen.error.attempt, seen.server.connections) == (3, 3)


@pytest.mark.parametrize("coding", CODED)
async def test_a_coded_body_that_is_whole_is_one(coding):
    """The same, uncut, in two parts."""
    whole = CODED[coding]
    head = HEAD + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding.encode(), len(whole))
    assert (await on(answering(head, whole[:20], whole[20:]))).value == PLAIN


async def test_a_failed_stream_saves_nothing(tmp_path):
    """A body that breaks off while it is saved leaves neither a file nor a part of one, and an old file as it was."""
    target = tmp_path / "page"
    target.write_bytes(b"old")

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            await answer.save(target)

    assert type((await on(answering(HEAD + b"Content-Length: 100\r\n\r\na part"), scrape)).error) is se.TruncatedBody
    assert [each.name for each in tmp_path.iterdir()] == ["page"]
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("way", ["left", "raised"])
async def test_a_stream_that_is_left_is_closed(way):
    """What was not read is not read: the connection ends, whether the block is left well or by an exception."""

    async def scrape(task):
        try:
            async with task.http.stream("GET", "/a") as answer:
                async for _ in answer:
                    if way == "raised":
                        raise LookupError
                    break
        except LookupError:
            pass
        return (await task.http.get("/b")).content

    async def serve(talk):
        if b" /b " in await talk.request():
            await talk.send(OK)
            return
        await talk.send(HEAD + b"Content-Length: 30000000\r\n\r\n")
        await talk.flood(b"x", pieces=400)

    seen = await on(serve, scrape)
    assert (seen.value, seen.server.connections) == (b"ok", 2)
    assert seen.server.sent < KERNELS


async def test_a_body_as_large_as_the_cap_is_whole():
    """The cap is what a body may have."""
    answer = HEAD + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000
    assert len((await on(answering(answer), caps=SMALL)).value) == 200_000
