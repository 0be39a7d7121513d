"""One client for a run: what it keeps, what it forgets, how it ends; and one request at a time for a task."""

import gc
from pathlib import Path

import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.http.transport.connections import Connections
from scrapeengine.http.wire import connector
from scrapeengine.testing import Answer, Site

ONCE = se.Retry(attempts=1)


def open_files():
    """Count what this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def made(monkeypatch):
    """Return the list of all pools of connections that are made; a client of httpx, with its logs, cannot be."""
    pools = []

    class Counted(Connections):
        def __init__(self, *args, **options):
            pools.append(self)
            self.is_closed = False
            super().__init__(*args, **options)

        def close(self):
            super().close()
            self.is_closed = True

    def refuse(*_, **__):
        raise AssertionError("a client of httpx is made")

    monkeypatch.setattr(connector, "Connections", Counted)
    monkeypatch.setattr(httpx.AsyncClient, "__init__", refuse)
    return pools


async def test_cookies_are_never_sent_back(on_sites, made):
    """What a site sets is in its answer and nowhere else: not in the next request, nor in a redirect, nor a retry."""

    async def scrape(task):
        response = await task.http.get("/set")
        await task.http.get("/next")
        await task.http.get("/moved")
        await task.http.get("/bad", check=False)
        await task.http.get("/mine", headers={"Cookie": "mine=1"})
        return response.headers["set-cookie"]

    cookie = {"Set-Cookie": "id=s3ss10n; Path=/"}
    answers = {
        "/set": Answer(200, headers=cookie),
        "/moved": Answer(302, headers={"Location": "/landed"} | cookie),
        "/bad": Answer(503, headers=cookie),
    }
    seen = await on_sites(scrape, answers, retry=se.Retry(attempts=2, max_wait=0))
    assert seen.value == "id=s3ss10n; Path=/"
    paths = ["/set", "/next", "/moved", "/landed", "/bad", "/bad", "/mine"]
    assert [request.path for request in seen.asked] == paths
    assert [request.headers.get("cookie") for request in seen.asked] == [None] * 6 + ["mine=1"]
    assert len(made) == 1


async def test_one_pool_serves_a_run(on_sites, made):
    """Tasks and requests share it, and what is left of it is closed at the end."""

    async def scrape(task):
        for _ in range(3):
            await task.http.get("/")

    await on_sites(scrape)
    [pool] = made
    assert pool.is_closed


async def test_connections_are_kept_between_requests_and_tasks():
    """Ten tasks, one after the other, need one connection."""

    async def answer(_):
        return Answer()

    async def scrape(task):
        await task.http.get("/a")
        await task.http.get("/b")

    async with Site.open(answer) as site:
        await se.Engine([se.Platform("A", scrape, base_url=site.url, limit=1)]).run(map(se.Event, range(10)))
    assert (site.ledger.requests, site.ledger.connections) == (20, 1)


async def test_each_run_has_its_own_pool(made):
    """An engine that runs again makes another one: the first one is closed."""

    async def answer(_):
        return Answer()

    async def scrape(task):
        await task.http.get("/")

    async with Site.open(answer) as site:
        engine = se.Engine([se.Platform("A", scrape, base_url=site.url)])
        for _ in range(2):
            report = await engine.run([se.Event("e")])
            assert report.outcomes.succeeded == 1
    assert [pool.is_closed for pool in made] == [True, True]


async def test_no_connection_is_left_with_the_collector_off():
    """After answers, bad statuses, broken connections, timeouts and refusals of ours no file is open."""

    async def answer(request):
        match request.path:
            case "/404":
                return Answer(404, b"gone")
            case "/hang-up":
                return None
            case "/cut":
                return Answer(200, b"a part", {"Content-Length": "100", "Connection": "close"})
            case "/never":
                await trio.sleep_forever()
        return Answer(200, b"x" * 100_000)

    async def scrape(task):
        await task.http.get(f"/{task.event.id}", headers={"X-A": "a\n"} if task.event.id == "bad" else {})

    gc.collect()
    gc.disable()
    try:
        async with Site.open(answer) as site:
            files = open_files()
            timeout = se.Timeout(attempt=1)
            platform = se.Platform("A", scrape, base_url=site.url, retry=ONCE, timeout=timeout)
            events = [se.Event(each) for each in ("200", "404", "hang-up", "cut", "never", "bad")]
            async with se.Engine([platform]).stream(events) as run:
                ended = {outcome.event.id: type(getattr(outcome, "error", None)) async for outcome in run}
            with trio.fail_after(5):
                # The site's own ends close when it sees ours closed.
                while open_files() > files:
                    await trio.sleep(0.01)
    finally:
        gc.enable()
    assert ended == {
        "200": type(None),
        "404": se.StatusError,
        "hang-up": se.ConnectionBroken,
        "cut": se.TruncatedBody,
        "never": se.AttemptTimeout,
        "bad": se.InvalidRequest,
    }


async def test_a_task_makes_one_request_at_a_time():
    """Those that it asks for at once go one after the other; two tasks' go side by side."""
    order = []

    async def answer(request):
        order.append(request.path)
        await trio.sleep(0.01)
        return Answer()

    async def scrape(task):
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(task.http.get, f"/{number}")

    async def main(events):
        async with Site.open(answer) as site:
            report = await se.Engine([se.Platform("A", scrape, base_url=site.url)]).run(map(se.Event, range(events)))
        assert report.outcomes.succeeded == events
        return site.ledger.most_in_flight

    assert await main(1) == 1
    assert sorted(order) == ["/0", "/1", "/2", "/3", "/4"]
    assert await main(2) == 2


async def test_who_waits_for_the_request_before_may_give_up(autojump_clock, play):
    """A request that is cancelled before its turn is never sent, and the one after it is."""

    async def scrape(task):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task.http.get, "/first")
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(1):
                await task.http.get("/given-up")
            await task.http.get("/last")

    played = await play(scrape, 200, latency=5)
    assert [request.url.path for request in played.requests] == ["/first", "/last"]
    assert played.times == [0, 5]


async def test_a_request_that_fails_lets_the_next_one_go(autojump_clock, play):
    """The line of a task's requests moves on after an error, a timeout and a cancellation."""

    async def scrape(task):
        for _ in range(3):
            try:
                with trio.move_on_after(20):
                    await task.http.get("/")
            except se.RequestError as error:
                failed.append(type(error))
        return (await task.http.get("/")).status_code

    failed = []
    played = await play(scrape, httpx.ReadError("x"), "never", 404, 200, retry=ONCE, timeout=se.Timeout(attempt=30))
    assert (played.value, failed) == (200, [se.ConnectionBroken, se.StatusError])
    assert len(played.requests) == 4
