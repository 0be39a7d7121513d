"""Connections that are closed just as they are used again: one free retry, for what may be sent twice."""

import itertools

import pytest
import trio

import scrapeengine as se
from support.runs import AT_ONCE, on
from support.wire import OK


def closing(how, times=1):
    """Make a site whose connections answer once, and end when the second request has come; later ones are well."""

    async def serve(talk):
        while request := await talk.request():
            if b" /2 " in request and talk.number < times:
                if how == "reset":
                    talk.reset()
                return
            await talk.send(OK)

    return serve


def twice(method):
    """Make a scraper of two requests, which tells what became of the second."""

    async def scrape(task):
        await task.http.get("/1")
        try:
            return (await task.http.request(method, "/2")).content, None
        except se.RequestError as error:
            return None, error

    return scrape


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_what_may_be_sent_twice_is(how, method):
    """Once more on a fresh connection, though there is but one attempt."""
    seen = await on(closing(how), twice(method))
    assert seen.value[1] is None
    assert seen.server.targets == ["/1", "/2", "/2"]
    assert seen.server.connections == 2


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_may_have_been_done_is_not_done_again(how, method):
    """The site has seen it, and may have acted: it is sent once."""
    seen = await on(closing(how), twice(method))
    assert type(seen.value[1]) is se.ConnectionBroken
    assert seen.server.targets == ["/1", "/2"]


async def test_the_free_retry_is_no_attempt():
    """An error after it is the first attempt's still; and there is one free retry, not one for each connection."""
    seen = await on(closing("close", times=9), twice("GET"))
    body, error = seen.value
    assert (body, type(error), error.attempt) == (None, se.ConnectionBroken, 1)
    assert seen.server.targets == ["/1", "/2", "/2"]


async def test_the_free_retry_is_beside_the_others():
    """Three attempts are four requests at most, if the first one met a connection that was closed."""
    seen = await on(closing("close", times=9), twice("GET"), retry=AT_ONCE)
    assert seen.value[1].attempt == 3
    assert seen.server.targets == ["/1", "/2", "/2", "/2", "/2"]


async def test_the_free_retry_takes_its_turn_in_the_rate():
    """It is a request like any other."""
    times = []

    async def serve(talk):
        while request := await talk.request():
            times.append(trio.current_time())
            if b" /2 " in request and talk.number == 0:
                return
            await talk.send(OK)

    seen = await on(serve, twice("GET"), rate=se.Rate.every(0.15))
    assert seen.value == (b"ok", None)
    assert len(times) == 3
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) > 0.13


@pytest.mark.parametrize("part", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
async def test_an_answer_that_has_begun_is_not_asked_for_again(part):
    """A connection that ends in the midst of an answer was not closed while it was idle."""

    async def serve(talk):
        await talk.request()
        await talk.send(OK)
        await talk.request()
        await talk.send(part)

    seen = await on(serve, twice("GET"))
    assert isinstance(seen.value[1], se.ConnectionBroken | se.TruncatedBody)
    assert seen.server.targets == ["/1", "/2"]


async def test_a_connection_that_was_closed_before_is_not_used():
    """What is known to be closed costs nothing: a POST goes out on a fresh one."""

    async def scrape(task):
        await task.http.get("/1")
        await closed.wait()
        return (await task.http.post("/2")).content

    async def serve(talk):
        await talk.request()
        await talk.send(OK)
        if talk.number == 0:
            talk.socket.close()
            closed.set()

    closed = trio.Event()
    seen = await on(serve, scrape)
    assert (seen.value, seen.server.targets, seen.server.connections) == (b"ok", ["/1", "/2"], 2)


@pytest.mark.parametrize(
    "goodbye",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
)
async def test_a_site_that_says_goodbye_is_believed(goodbye):
    """It need not close for it: the next request has another connection."""

    async def serve(talk):
        while await talk.request():
            await talk.send(goodbye)

    seen = await on(serve, twice("POST"))
    assert seen.value == (b"ok", None)
    assert seen.server.connections == 2
