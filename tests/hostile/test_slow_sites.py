"""Sites that take their time: one deadline for the whole attempt, whatever comes meanwhile."""

import socket

import pytest
import trio

import scrapeengine as se
from support.runs import AT_ONCE, get, on
from support.wire import OK

SHORT = se.Timeout(attempt=0.3)
HEAD = b"HTTP/1.1 200 OK\r\n"


def dripping(before, drop):
    """Make a site that says something, and then drips without end."""

    async def serve(talk):
        await talk.request()
        await talk.send(before)
        while True:
            await talk.drip(drop)

    return serve


async def silent(talk):
    """Take a request, and say nothing."""
    await talk.request()
    await talk.client_gone()


async def deaf(talk):
    """Take nothing at all."""
    del talk
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("serve", "phase"),
    [
        (silent, "head"),
        (dripping(b"", b"HTTP/1.1 200 Oooooooooooooooooo"), "head"),
        (dripping(HEAD, b"X-A: 1\r\n"), "head"),
        (dripping(HEAD + b"X-A: ", b"a"), "head"),
        (dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), "head"),
        (dripping(b"", b"HTTP/1.1 100 Continue\r\nX-A: 1\r\n\r\n"), "head"),
        (dripping(b"", b"\r\n"), "head"),
        (dripping(HEAD + b"Content-Length: 1000\r\n\r\n", b"a"), "body"),
        (dripping(HEAD + b"\r\n", b"a"), "body"),
        (dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"), "body"),
        (dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a=b;"), "body"),
        (dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: 1\r\n"), "body"),
        (dripping(HEAD + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x10\0\0\0\0\0\3", b"comment"), "body"),
    ],
)
async def test_what_drips_is_given_up(serve, phase):
    """Headers, interim answers, bodies and trailers: each byte is in time, and the whole is not."""
    seen = await on(serve, timeout=SHORT)
    assert type(seen.error) is se.AttemptTimeout
    assert seen.error.phase == phase
    assert 0.29 < seen.error.seconds < 0.8
    assert seen.took < 1.0


async def test_a_site_that_reads_nothing_is_given_up():
    """A request that is larger than what the kernels hold is never sent: the deadline ends that too."""

    async def scrape(task):
        await task.http.post("/a", content=b"x" * 32_000_000)

    seen = await on(deaf, scrape, timeout=SHORT)
    assert type(seen.error) is se.AttemptTimeout
    assert seen.error.phase == "send"


def test_a_site_that_does_not_accept_is_given_up():
    """Where connections are not even made, it says so."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(4):  # the kernel takes one or two, and drops what else knocks
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        platform = se.Platform("A", get, base_url=url, timeout=SHORT, retry=se.Retry(attempts=1))
        [outcome] = se.collect([platform], [se.Event("e")])
        for each in waiting:
            each.close()
    assert type(outcome.error) is se.AttemptTimeout
    assert outcome.error.phase == "connect"
    assert 0.29 < outcome.error.seconds < 0.8


async def test_each_attempt_has_its_deadline_and_a_connection_of_its_own():
    """What timed out is tried again, on another connection; the late half of an answer meets no one."""

    async def serve(talk):
        await talk.request()
        await (talk.send(OK) if talk.number == 2 else talk.drip(OK, gap=0.05))

    seen = await on(serve, timeout=SHORT, retry=AT_ONCE)
    assert seen.value == b"ok"
    assert (seen.server.connections, len(seen.server.requests)) == (3, 3)


async def test_the_deadline_of_an_earlier_request_does_not_end_a_later_one():
    """On a connection that is kept, each request has its own."""

    async def scrape(task):
        for _ in range(4):
            assert (await task.http.get("/a")).content == b"ok"
        return "all"

    async def serve(talk):
        while await talk.request():
            await trio.sleep(0.2)
            await talk.send(OK)

    seen = await on(serve, scrape, timeout=SHORT)
    assert seen.value == "all"
    assert seen.server.connections == 1


async def test_each_part_of_a_stream_may_take_its_time_and_no_longer():
    """A body that is streamed may last; a part of it that does not come ends it."""

    async def scrape(task):
        parts = []
        try:
            async with task.http.stream("GET", "/a") as answer:
                async for part in answer:
                    parts.append(part)
        except se.AttemptTimeout as error:
            return b"".join(parts), error.phase
        return None

    async def serve(talk):
        await talk.request()
        await talk.send(HEAD + b"\r\n")
        await talk.drip(b"12345678", gap=0.1)
        await talk.client_gone()

    seen = await on(serve, scrape, timeout=SHORT)
    assert seen.value == (b"12345678", "body")
    assert seen.took > 0.9


async def test_a_task_has_its_deadline_too():
    """A stream that drips without end is ended with its task."""

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            async for _ in answer:
                pass

    seen = await on(dripping(HEAD + b"\r\n", b"a"), scrape, timeout=se.Timeout(attempt=0.3, task=0.5))
    assert type(seen.error) is se.TaskTimeout
    assert seen.took < 1.2
