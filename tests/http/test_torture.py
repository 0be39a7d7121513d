"""Torture: each scenario is cancelled at its first step, then at its second, until it gets to its end.

A step is what a task does between two checkpoints. It is cancelled either while it runs, so that the next checkpoint
raises, or while it waits at that checkpoint. Afterwards nothing may be left of it: no file that is open, no task, no
connection in use; and the next request on the same transport must succeed.
"""

import contextlib
import gzip
import itertools
import os
import ssl

import httpx
import pytest
import trio
import trustme

import scrapeengine as se
from scrapeengine.http.transport.transport import Transport
from support.cancelling import cancelled_at, uncollected
from support.clients import parts_of
from support.wire import serving


@pytest.fixture(autouse=True)
def _without_the_collector():
    with uncollected():
        yield


LARGE = 5_000_000
"""What no kernel takes at once."""
ZIPPED = gzip.compress(os.urandom(200_000))


async def answer(talk, stale):
    """Answer one request by its path; whether another may follow. `stale` are connections that end at the next one."""
    head, stream = await talk.head(), talk.stream
    if not head.endswith(b"\r\n\r\n"):
        return False
    body, talk.ahead = talk.ahead, b""
    path = head.split()[1].decode()
    if talk.number in stale:
        return False
    if b"100-continue" in head:
        await stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
    while b"ncoding: chunked" in head and not body.endswith(b"0\r\n\r\n"):
        body = body[-5:] + (await stream.receive_some(65536) or b"0\r\n\r\n")
    left = LARGE - len(body) if path == "/large" else 0
    while left > 0:
        left -= len(await stream.receive_some(65536)) or left
    parts, keep = {
        "/chunked": (
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 4, b"0\r\n\r\n"],
            True,
        ),
        "/end": ([b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 4], False),
        "/drip": (
            [b"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200", b" OK\r\nContent-", b"Length: 4\r\n\r\n", b"xx", b"xx"],
            True,
        ),
        "/moved": ([b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 4\r\n\r\n", b"xxxx"], True),
        "/busy": ([b"HTTP/1.1 500 Busy\r\nContent-Length: 4\r\n\r\n", b"xxxx"], True),
        "/gzip": (
            [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ZIPPED)]
            + [ZIPPED[at : at + 50_000] for at in range(0, len(ZIPPED), 50_000)],
            True,
        ),
        "/last": ([b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nxxxx"], False),
        "/stale": ([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nxxxx"], True),
    }.get(path, ([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nxxxx"], True))
    for part in parts:
        await stream.send_all(part)
        for _ in range(3):
            await trio.lowlevel.checkpoint()
    if path == "/stale":
        stale.add(talk.number)
    return keep


def answers():
    """Make a function that answers by the path."""
    stale = set()

    async def serve(talk):
        while await answer(talk, stale):
            pass

    return serve


async def tortured(scenario, while_it, left):
    """Cancel a scenario at its k-th step for all k; return how many there were, about.

    From the 30th on it is each tenth: these are of large bodies, which go on as they begin.

    Args:
        scenario: an async function.
        while_it: whether it is cancelled while it `runs` or while it `waits`.
        left: an async function that makes one more request, and returns what is left of all of them.
    """
    before = await left()
    for at in itertools.chain(range(1, 30), itertools.count(30, 10)):
        with cancelled_at(at, while_it=while_it) as cancelling:
            await scenario()
        assert await left() == before, f"cancelled at step {at}"
        if not cancelling.struck:
            return cancelling.steps
    raise AssertionError


async def remains(server, counters):
    """Wait until the server has seen the last connection end; say what is left then."""
    while server.open:
        await trio.lowlevel.checkpoint()
    await trio.testing.wait_all_tasks_blocked()  # its tasks have gone too
    return counters(), len(os.listdir("/proc/self/fd")), trio.lowlevel.current_statistics().tasks_living


# -- the transport


async def connects(client):
    """Connect, and ask for something small."""
    assert (await client.get("/")).content == b"xxxx"


async def reads_a_head_that_drips(client):
    """Ask for what comes in small parts, after an interim answer."""
    assert (await client.get("/drip")).content == b"xxxx"


async def reads_chunks(client):
    """Read a chunked body."""
    assert (await client.get("/chunked")).content == b"xxxx"


async def reads_to_the_end(client):
    """Read a body that ends with the connection."""
    assert (await client.get("/end")).content == b"xxxx"


async def sends_a_large_body(client):
    """Send a large body that is at hand."""
    assert (await client.post("/large", content=b"x" * LARGE)).content == b"xxxx"


async def sends_parts(client):
    """Send a chunked body."""
    assert (await client.post("/", content=parts_of(*[b"x" * (LARGE // 4)] * 4))).content == b"xxxx"


async def expects_100(client):
    """Wait for the word to send a body."""
    response = await client.post("/", content=parts_of(b"x"), headers={"Expect": "100-continue"})
    assert response.content == b"xxxx"


async def uses_a_kept_connection(client):
    """Make three requests, two of them on the connection of the first."""
    for path in ("/", "/chunked", "/"):
        assert (await client.get(path)).content == b"xxxx"


async def meets_a_stale_connection(client):
    """Use a connection that is closed just then, and a new one."""
    for path in ("/stale", "/"):
        assert (await client.get(path)).content == b"xxxx"


async def follows_a_redirect(client):
    """Have httpx follow it."""
    assert (await client.get("/moved", follow_redirects=True)).content == b"xxxx"


async def looks_up_a_name(client):
    """Go to a host by its name, which may have an address at which nobody listens."""
    client._transport._connections._dialer._names._forget()
    url = client.base_url.copy_with(host="localhost", path="/last")
    assert (await client.get(url)).content == b"xxxx"


async def transported(scenario, while_it, *, server_context=None, client_context=None):
    """Torture a scenario on a transport."""
    with trio.fail_after(30):
        host = "localhost" if server_context else "127.0.0.1"
        serves = serving(answers(), tls=server_context, host=host)
        async with serves as server, Transport(verify=client_context) as transport:
            async with httpx.AsyncClient(transport=transport, base_url=server.url, timeout=None) as client:

                async def left():
                    names = transport._connections._dialer._names
                    while names._searches:  # whose threads cannot be cancelled
                        await trio.sleep(0.001)
                    for _ in range(2):  # the first may take a connection that rests
                        assert (await client.get("/last")).content == b"xxxx"
                    return await remains(server, lambda: repr(transport))

                before = await left()
                assert before[0] == "<Transport <Connections 0 in use, 0 at rest>>"
                return await tortured(lambda: scenario(client), while_it, left)


SCENARIOS = {
    connects: 2,
    reads_a_head_that_drips: 4,
    reads_chunks: 4,
    reads_to_the_end: 4,
    sends_a_large_body: 4,
    sends_parts: 6,
    expects_100: 3,
    uses_a_kept_connection: 5,
    meets_a_stale_connection: 4,
    follows_a_redirect: 3,
}
"""Each with the fewest steps that it can have."""


@pytest.mark.parametrize("while_it", ["runs", "waits"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_a_request_cancelled_anywhere(scenario, while_it):
    """It leaves the transport as if it had not been."""
    assert await transported(scenario, while_it) >= SCENARIOS[scenario]


@pytest.mark.parametrize("while_it", ["runs", "waits"])
async def test_a_lookup_and_a_race_cancelled_anywhere(while_it):
    """So does what goes by a name: a thread for the lookup, and several addresses."""
    assert await transported(looks_up_a_name, while_it) >= 3


@pytest.fixture(scope="module")
def contexts():
    """Return the contexts of a server and of a client that trusts it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


@pytest.mark.parametrize("while_it", ["runs", "waits"])
@pytest.mark.parametrize(
    "scenario",
    [connects, reads_chunks, sends_a_large_body, uses_a_kept_connection],
    ids=lambda scenario: scenario.__name__,
)
async def test_tls_cancelled_anywhere(scenario, while_it, contexts):
    """So does TLS, its handshake included."""
    server, client = contexts
    steps = await transported(scenario, while_it, server_context=server, client_context=client)
    assert steps >= SCENARIOS[scenario] + 2


# -- the client of a task


async def gets(http):
    """Ask for something small."""
    assert (await http.get("/")).content == b"xxxx"


async def gets_what_moved(http):
    """Follow a redirect."""
    assert (await http.get("/moved")).content == b"xxxx"


async def tries_again(http):
    """Retry what fails."""
    with contextlib.suppress(se.StatusError):
        await http.get("/busy")


async def decodes(http):
    """Decode a body of several parts."""
    assert len((await http.get("/gzip")).content) == 200_000


async def streams(http):
    """Read a body as it comes."""
    async with http.stream("GET", "/gzip") as response:
        assert sum([len(part) async for part in response]) == 200_000


async def posts(http):
    """Send something."""
    assert (await http.post("/large", content=b"x" * LARGE)).content == b"xxxx"


async def gets_from_a_stale_connection(http):
    """Use a connection that is closed just then."""
    for path in ("/stale", "/"):
        assert (await http.get(path)).content == b"xxxx"


TASKS = {
    gets: 2,
    gets_what_moved: 3,
    tries_again: 5,
    decodes: 5,
    streams: 5,
    posts: 3,
    gets_from_a_stale_connection: 4,
}
"""Each with the fewest steps that it can have."""


@pytest.mark.parametrize("while_it", ["runs", "waits"])
@pytest.mark.parametrize("scenario", TASKS, ids=lambda scenario: scenario.__name__)
async def test_a_request_of_a_task_cancelled_anywhere(scenario, while_it):
    """A scraper that gives up on a request, in a scope of its own, leaves its run as if it had not asked."""
    runs = []

    async def scrape(task):
        async def left():
            for _ in range(2):
                assert (await task.http.get("/last")).content == b"xxxx"
            return await remains(server, lambda: repr(runs[0]._session.parts.clients._connector._connections))

        return await tortured(lambda: scenario(task.http), while_it, left), await left()

    with trio.fail_after(30):
        async with serving(answers()) as server:
            retry = se.Retry(attempts=3, initial_wait=0.001, max_wait=0.002)
            engine = se.Engine([se.Platform("A", scrape, base_url=server.url, limit=1, retry=retry)])
            async with engine.stream([se.Event("e")]) as running:
                runs.append(running)
                [outcome] = [outcome async for outcome in running]
    assert isinstance(outcome, se.Success), outcome.error
    steps, (counters, *_) = outcome.value
    assert steps >= TASKS[scenario]
    assert counters == "<Connections 0 in use, 0 at rest>"
