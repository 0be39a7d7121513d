"""The loopback site: what it speaks, what its ledger says, and that nothing of it is left."""

import re
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio

from scrapeengine.testing import Answer, Site


async def echo(request):
    """Answer with what was asked, as text."""
    text = f"{request.method} {request.path} {sorted(request.query.items())} {request.body!r}"
    return Answer(body=text.encode(), headers={"X-Agent": request.headers.get("x-agent", "")})


@asynccontextmanager
async def connected(site):
    """Connect to a site by hand."""
    async with await trio.open_tcp_stream("127.0.0.1", int(site.url.rpartition(":")[2])) as stream:
        yield stream


async def exchange(stream, data):
    """Send bytes, and read one answer of which the body has its declared length."""
    await stream.send_all(data)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += await some(stream)
    head, _, body = answer.partition(b"\r\n\r\n")
    declared = re.search(rb"Content-Length: (\d+)", head)
    while declared and not data.startswith(b"HEAD") and len(body) < int(declared[1]):
        body += await some(stream)
    return head, body


async def some(stream):
    """Read on, and fail if nothing comes any more."""
    data = await stream.receive_some()
    assert data, "the site hung up"
    return data


async def until(condition):
    """Wait for something that no event tells, and fail if it takes too long."""
    with trio.fail_after(10):
        while not condition():
            await trio.sleep(0.01)


def sockets():
    """Count the sockets of this process."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            count += str(entry.readlink()).startswith("socket:")
        except FileNotFoundError:  # the listing's own
            continue
    return count


async def test_a_connection_is_kept_for_further_requests():
    """Requests follow one another on one connection, also when the second one is sent before the first is answered."""
    with trio.fail_after(20):
        async with Site.open(echo) as site, connected(site) as stream:
            assert (await exchange(stream, b"GET /a?x=1&y=%20 HTTP/1.1\r\n\r\n"))[
                1
            ] == b"GET /a [('x', '1'), ('y', ' ')] b''"
            await stream.send_all(b"GET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n")
            both = b""
            while both.count(b"b''") < 2:
                both += await some(stream)
            assert both.index(b"GET /b") < both.index(b"GET /c")
            assert (site.ledger.requests, site.ledger.connections) == (3, 1)


async def test_a_connection_ends_when_one_side_asks_for_that():
    """`Connection: close` of either side, HTTP/1.0, and a handler that returns None end the connection."""

    async def handler(request):
        if request.path == "/none":
            return None
        return Answer(headers={"Connection": "close"} if request.path == "/close" else {})

    with trio.fail_after(20):
        async with Site.open(handler) as site:
            for head in (b"GET / HTTP/1.1\r\nConnection: close", b"GET / HTTP/1.0", b"GET /close HTTP/1.1"):
                async with connected(site) as stream:
                    assert b"Connection: close" in (await exchange(stream, head + b"\r\n\r\n"))[0]
                    assert await stream.receive_some() == b""
            async with connected(site) as stream:
                await stream.send_all(b"GET /none HTTP/1.1\r\n\r\n")
                assert await stream.receive_some() == b""


async def test_head_is_answered_without_a_body():
    """The answer to HEAD has the length of the body and no body, and the next answer follows it at once."""
    with trio.fail_after(20):
        async with Site.open(echo) as site, connected(site) as stream:
            head, body = await exchange(stream, b"HEAD / HTTP/1.1\r\n\r\n")
            assert (b"Content-Length: 13" in head, body) == (True, b"")
            assert (await exchange(stream, b"GET / HTTP/1.1\r\n\r\n"))[1] == b"GET / [] b''"


async def test_bodies_and_headers_reach_the_handler():
    """A body with a Content-Length arrives whole, however it is cut up; header names are in lower case."""
    with trio.fail_after(20):
        async with Site.open(echo) as site, connected(site) as stream:
            for piece in (b"POST / HTTP/1.1\r\nX-AGENT: one\r\n", b"Content-Length: 6\r\n\r\nab", b"cd"):
                await stream.send_all(piece)
                await trio.sleep(0.02)
            head, body = await exchange(stream, b"ef")
            assert (b"X-Agent: one" in head, body) == (True, b"POST / [] b'abcdef'")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
        (b"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000, 431),
    ],
)
async def test_what_it_does_not_speak_is_refused(sent, status):
    """A request that cannot be read is answered with a status that says why, and never reaches the handler."""
    with trio.fail_after(20):
        async with Site.open(echo) as site, connected(site) as stream:
            head, _ = await exchange(stream, sent)
            assert head.startswith(f"HTTP/1.1 {status} ".encode())
            assert await stream.receive_some() == b""
            assert site.ledger.requests == 0


async def test_the_ledger_counts_what_is_in_flight():
    """Requests are counted as they arrive, and are in flight until just before their answer is sent."""
    go_on = trio.Event()

    async def handler(_):
        await go_on.wait()
        return Answer(status=204)

    with trio.fail_after(20):
        began = trio.current_time()
        async with (
            Site.open(handler) as site,
            httpx.AsyncClient(timeout=None) as client,
            trio.open_nursery() as nursery,
        ):
            for _ in range(5):
                nursery.start_soon(client.get, site.url)
            await until(lambda: site.ledger.requests == 5)
            assert (site.ledger.in_flight, site.ledger.most_in_flight) == (5, 5)
            go_on.set()
        assert (site.ledger.in_flight, site.ledger.most_in_flight, site.ledger.requests) == (0, 5, 5)
        assert site.ledger.arrivals == sorted(site.ledger.arrivals)
        assert began <= site.ledger.arrivals[0] <= trio.current_time()


async def test_a_client_that_hangs_up_is_in_flight_no_more():
    """The handler of a client that has gone is cancelled."""
    ended = trio.Event()

    async def handler(_):
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    with trio.fail_after(20):
        async with Site.open(handler) as site:
            async with connected(site) as stream:
                await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
                await until(lambda: site.ledger.in_flight == 1)
            with trio.fail_after(10):
                await ended.wait()
            await until(lambda: site.ledger.in_flight == 0)


async def test_cancellation_leaves_no_socket():
    """When the `async with` is cancelled amid requests, idle connections and half a request, no socket is left."""

    async def forever(_):
        await trio.sleep_forever()

    with trio.fail_after(20):
        before = sockets()
        with trio.CancelScope() as scope:
            async with (
                Site.open(forever) as site,
                connected(site) as asking,
                connected(site) as halfway,
                connected(site),
            ):
                await asking.send_all(b"GET / HTTP/1.1\r\n\r\n")
                await halfway.send_all(b"GET / HT")
                await until(lambda: site.ledger.in_flight == 1 and site.ledger.connections == 3)
                assert sockets() == before + 7
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert sockets() == before
        assert site.ledger.in_flight == 0
        with pytest.raises(OSError):
            await trio.open_tcp_stream("127.0.0.1", int(site.url.rpartition(":")[2]))


async def test_what_the_body_raises_leaves_as_it_is():
    """An error of the body is the same object outside, in no group."""
    error = KeyError("mine")

    with pytest.raises(KeyError) as caught:
        async with Site.open(echo):
            raise error
    assert caught.value is error


async def test_what_a_handler_raises_ends_the_test():
    """A handler that fails is not answered for: its error leaves the `async with`."""

    async def handler(_):
        raise ZeroDivisionError

    with trio.fail_after(20), pytest.raises(ExceptionGroup) as caught:
        async with Site.open(handler) as site, connected(site) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
            await trio.sleep_forever()
    assert caught.value.subgroup(ZeroDivisionError)
