"""Requests that are cancelled, wherever they are: nothing stays open, and no one else is harmed."""

import ssl

import pytest
import trio
import trustme

import scrapeengine as se
from hostile.bombs import answer, bombs
from scrapeengine.http.transport import connections
from support.cancelling import cancelled_at
from support.runs import ONCE, get, of_the_engine
from support.wire import OK, serving

AUTHORITY = trustme.CA()
TRUSTING = ssl.create_default_context()
AUTHORITY.configure_trust(TRUSTING)
SERVING = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
AUTHORITY.issue_cert("127.0.0.1", "there.test").configure_cert(SERVING)


async def silent(talk):
    """Take whatever comes, and say nothing."""
    await talk.client_gone()


async def deaf(talk):
    """Take nothing."""
    del talk
    await trio.sleep_forever()


async def headless(talk):
    """Begin a head."""
    await talk.request()
    await talk.send(b"HTTP/1.1 200 OK\r\nX-")
    await talk.client_gone()


async def bodiless(talk):
    """Begin a body."""
    await talk.request()
    await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    await talk.client_gone()


async def flooding(talk):
    """Send a body without end."""
    await talk.request()
    await talk.send(b"HTTP/1.1 200 OK\r\n\r\n")
    await talk.flood(b"x")


async def exploding(talk):
    """Send a bomb."""
    await talk.request()
    await talk.send(answer("zstd", bombs()["zstd"]))
    await talk.client_gone()


async def well(talk):
    """Answer."""
    while await talk.request():
        await talk.send(OK)


async def post(task):
    """Send much."""
    await task.http.post("/a", content=b"x" * 32_000_000)


async def stream(task):
    """Read a stream to its end."""
    async with task.http.stream("GET", "/a", cap=float("inf")) as body:
        async for _ in body:
            pass


PLACES = {
    "TLS": (silent, get, "https"),
    "sending": (deaf, post, "http"),
    "waiting for the head": (silent, get, "http"),
    "the head": (headless, get, "http"),
    "the body": (bodiless, get, "http"),
    "a flood": (flooding, stream, "http"),
    "decoding": (exploding, stream, "http"),
    "a stream": (bodiless, stream, "http"),
}


async def healthy(task):
    """Make requests for as long as the others suffer."""
    for _ in range(10):
        assert (await task.http.get("/a")).content == b"ok"
        await trio.sleep(0.005)
    return "all"


async def hung_up(web, but=0):
    """Wait until the site sees no more connections than these; soon, while the run still goes on."""
    with trio.fail_after(1):
        while web.open > but:
            await trio.sleep(0.005)


@pytest.mark.parametrize("how", ["its deadline", "a stop", "its own scope", "the run's surroundings"])
@pytest.mark.parametrize("where", PLACES)
async def test_a_request_that_is_cancelled_leaves_nothing(where, how):
    """In the handshake, in the head, in the body: the site sees its client gone, and the others end well."""
    serve, scrape, scheme = PLACES[where]
    bombs()

    async def in_scope(task):
        with trio.move_on_after(0.15 if how == "its own scope" else 100):
            await scrape(task)
            raise AssertionError("it was not cancelled")

    with trio.fail_after(10):
        async with serving(serve) as web, serving(well) as good:
            url = web.url.replace("http:", f"{scheme}:")
            timeout = se.Timeout(attempt=30, task=0.15 if how == "its deadline" else 100)
            platforms = [
                se.Platform("bad", in_scope, base_url=url, limit=5, timeout=timeout, retry=ONCE),
                se.Platform("good", healthy, base_url=good.url),
            ]
            outcomes = []
            with trio.CancelScope() as around:
                async with se.Engine(platforms).stream([se.Event(str(at)) for at in range(5)]) as run:
                    if how == "a stop":
                        await trio.sleep(0.15)
                        await run.stop(0)
                    if how == "the run's surroundings":
                        around.deadline = trio.current_time() + 0.15
                    outcomes = [outcome async for outcome in run]
                    if serve is not deaf:
                        # A bomb that has come whole leaves its connection fit for another request.
                        await hung_up(web, but=5 if serve is exploding else 0)
            assert not of_the_engine()
            if serve is not deaf:
                await hung_up(web)
    assert web.connections == 5
    if how == "the run's surroundings":
        assert not [outcome for outcome in outcomes if outcome.platform == "bad"]
        return
    ended = {"its deadline": se.Failure, "a stop": se.Cancelled, "its own scope": se.Success}[how]
    assert [type(outcome) for outcome in outcomes if outcome.platform == "bad"] == [ended] * 5
    well_ended = {type(outcome) for outcome in outcomes if outcome.platform == "good"}
    assert well_ended <= ({se.Success, se.Cancelled} if how == "a stop" else {se.Success})
    assert well_ended


async def test_cancelled_while_they_wait_for_their_turn():
    """Who waits in the rate or for a slot has sent nothing, and what it waited for goes to others."""

    async def impatient(task):
        with trio.move_on_after(0.1):
            await task.http.get("/impatient")
        return "left"

    with trio.fail_after(10):
        async with serving(well) as web:
            rate = se.Rate(20, burst=1)
            platform = se.Platform("A", impatient, base_url=web.url, rate=rate, limit=40)
            async with se.Engine([platform], event_limit=40).stream([se.Event(str(at)) for at in range(30)]) as run:
                outcomes = [outcome async for outcome in run]
    assert {type(outcome) for outcome in outcomes} == {se.Success}
    assert len(outcomes) == 30
    assert len(web.requests) <= 30


async def varied(talk):
    """Answer in each of the ways: at once, in parts, coded, chunked, elsewhere."""
    while request := await talk.request():
        target = request.split(b" ", 2)[1]
        if target == b"/robots.txt":
            await talk.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        elif target == b"/away":
            await talk.send(
                b"HTTP/1.1 302 Found\r\nSet-Cookie: a=b\r\nLocation: /parts\r\nContent-Length: 3\r\n\r\n", b"no!"
            )
        elif target == b"/parts":
            await talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nok\r\n")
            await trio.sleep(0.001)
            await talk.send(b"0\r\n\r\n")
        else:
            await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(target) + target)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_cancelled_at_each_checkpoint_nothing_is_lost(scheme, names, monkeypatch):
    """Whichever it is: the next requests of the task get their own answers, and none that was meant for another."""
    monkeypatch.setattr(connections, "default_context", lambda: TRUSTING)
    names["there.test"] = ["127.0.0.1", "127.0.0.1"]

    async def scrape(task):
        with cancelled_at(step, while_it="runs") as cancelling:
            assert (await task.http.get("/first")).content == b"/first"
            assert (await task.http.get("/away")).content == b"ok"
            async with task.http.stream("GET", "/streamed") as body:
                assert [part async for part in body] == [b"/streamed"]
        for path in ("/second", "/third"):
            assert (await task.http.get(path)).content == path.encode()
        return cancelling.scope.cancelled_caught

    async def main():
        async with serving(varied, tls=SERVING if scheme == "https" else None) as web:
            url = f"{scheme}://there.test:{web.port}"
            platform = se.Platform("A", scrape, base_url=url, retry=ONCE, robots=True, cookies=True)
            async with se.Engine([platform]).stream([se.Event("e")]) as run:
                [outcome] = [outcome async for outcome in run]
            assert not of_the_engine()
        return outcome

    for step in range(1, 200):
        with trio.fail_after(5):
            outcome = await main()
        assert isinstance(outcome, se.Success), (step, outcome.error)
        if not outcome.value:
            break
    assert 8 < step < 199


async def test_a_thousand_tasks_share_ten_connections():
    """All succeed: no one is told that there was no connection for it, and ten are all that the site ever sees."""
    busy, most = [0], [0]

    async def serve(talk):
        while await talk.request():
            busy[0] += 1
            most[0] = max(most[0], busy[0])
            await trio.sleep(0.002)
            busy[0] -= 1
            await talk.send(OK)

    with trio.fail_after(20):
        async with serving(serve) as web:
            platform = se.Platform("A", get, base_url=web.url, limit=10)
            async with se.Engine([platform], event_limit=1000).stream([se.Event(str(at)) for at in range(1000)]) as run:
                outcomes = [outcome async for outcome in run]
    assert [outcome.value for outcome in outcomes] == [b"ok"] * 1000
    assert len(web.requests) == 1000
    assert most[0] <= 10
    assert web.connections <= 10


async def test_cancellations_by_the_hundred_leak_nothing():
    """Tasks that give up at any time, over and over: the pool serves the last one as it did the first."""

    async def scrape(task):
        for at in range(20):
            with trio.move_on_after(at / 4000):
                await task.http.get("/a")
        return (await task.http.get("/b")).content

    async def serve(talk):
        while await talk.request():
            await trio.sleep(0.002)
            await talk.send(OK)

    with trio.fail_after(15):
        async with serving(serve) as web:
            platform = se.Platform("A", scrape, base_url=web.url, limit=4)
            async with se.Engine([platform]).stream([se.Event(str(at)) for at in range(20)]) as run:
                outcomes = [outcome async for outcome in run]
                await hung_up(web, but=4)
            await hung_up(web)
    assert [outcome.value for outcome in outcomes] == [b"ok"] * 20
