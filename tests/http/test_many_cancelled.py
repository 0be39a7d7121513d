"""Thousands of requests, each cancelled at a random moment, or not; and then as many as if nothing had been."""

import contextlib
import gc
import os
import random

import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.http.transport.transport import Transport
from scrapeengine.testing import Answer, Site

AT_ONCE = 50
BODY = os.urandom(150_000)


@pytest.fixture
def rng():
    """Return randomness whose seed is shown when the test fails."""
    seed = random.randrange(2**32)
    print(f"the seed is {seed}")
    return random.Random(seed)


@pytest.fixture(autouse=True)
def _without_the_collector():
    """Whatever is closed is closed by us, and not by chance."""
    gc.disable()
    yield
    gc.enable()


def site(rng, hung_up):
    """Open a site that takes a random time, and answers with a lot or a little, or hangs up and says so in a list."""

    async def handler(request):
        await trio.sleep(rng.expovariate(1 / 0.003))
        if rng.random() < 0.05:
            hung_up.append(request)
            return None
        return Answer(body=BODY if request.path == "/much" else b"little", headers={"X-Length": str(len(request.body))})

    return Site.open(handler)


async def settled(reached):
    """Wait until what the other end has to do is done."""
    with trio.fail_after(5):
        while not reached():
            await trio.sleep(0.001)


def open_files():
    """Count what this process has open."""
    return len(os.listdir("/proc/self/fd"))


def tasks():
    """Count the tasks of this run."""
    return trio.lowlevel.current_statistics().tasks_living


async def at_once(count, work):
    """Do something `count` times, fifty at a time."""
    left = iter(range(count))

    async def worker():
        for _ in left:
            await work()

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(worker)


class Patience:
    """How long a request is waited for: such that half of them are cancelled, however fast the machine is."""

    def __init__(self, rng):
        """Begin with 20 ms."""
        self.rng = rng
        self.most = 0.02
        self.answered = self.cancelled = 0

    @contextlib.contextmanager
    def of_one(self):
        """Cancel what is inside at a random moment."""
        with trio.move_on_after(self.rng.uniform(0, self.most)) as scope:
            yield
        if scope.cancelled_caught:
            self.cancelled += 1
            self.most *= 1.01
        else:
            self.answered += 1
            self.most /= 1.01


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_requests_cancelled_at_random(count, rng):
    """No file, no task, no connection is left of them, and the next thousand succeed."""
    patience, hung_up = Patience(rng), []

    async def one(client):
        upload = BODY if rng.random() < 0.1 else b""
        path = "/much" if rng.random() < 0.3 else "/little"
        with patience.of_one():
            try:
                response = await client.post(path, content=upload) if upload else await client.get(path)
            except httpx.ReadError:
                return  # it has hung up
            assert response.content == (BODY if path == "/much" else b"little")
            assert response.headers["x-length"] == str(len(upload))

    async with site(rng, hung_up) as there:
        await trio.testing.wait_all_tasks_blocked()
        files, running = open_files(), tasks()
        async with Transport() as transport:
            client = httpx.AsyncClient(transport=transport, base_url=there.url, timeout=None)
            await at_once(count, lambda: one(client))
            resting = len(transport._connections._pool)
            assert repr(transport) == f"<Transport <Connections 0 in use, {resting} at rest>>"
            assert resting <= AT_ONCE
            await settled(lambda: open_files() == files + 2 * resting)

            async def plain():
                response = await client.get("/much")
                assert response.content == BODY

            await at_once(1000, lambda: again(plain))
        await settled(lambda: (open_files(), tasks()) == (files, running))
    assert patience.answered + patience.cancelled == count
    assert min(patience.answered, patience.cancelled) > count / 5
    assert hung_up


async def again(request):
    """Make a request, once more for each time that the site hangs up."""
    for _ in range(20):
        try:
            return await request()
        except httpx.ReadError:
            continue
    raise AssertionError("the site hangs up each time, which it does once in twenty")


async def test_requests_of_tasks_cancelled_at_random(rng):
    """Nor is anything left of them in an engine: a thousand tasks give up on a request, and make another one."""
    hung_up, patience = [], Patience(rng)

    async def scrape(task):
        with patience.of_one():
            await task.http.get(rng.choice(["/much", "/little"]))
        return len((await task.http.get("/much")).content)

    async with site(rng, hung_up) as there:
        await trio.testing.wait_all_tasks_blocked()
        files, running = open_files(), tasks()
        retry = se.Retry(attempts=20, initial_wait=0.001, max_wait=0.001)
        platform = se.Platform("A", scrape, base_url=there.url, limit=AT_ONCE, retry=retry)
        engine = se.Engine([platform], event_limit=AT_ONCE)
        async with engine.stream([se.Event(str(number)) for number in range(1000)]) as run:
            outcomes = [outcome async for outcome in run]
            connections = run._session.parts.clients._connector._connections
            resting = len(connections._pool)
            assert repr(connections) == f"<Connections 0 in use, {resting} at rest>"
        await settled(lambda: (open_files(), tasks()) == (files, running))
    values = [outcome.value if isinstance(outcome, se.Success) else outcome.error for outcome in outcomes]
    assert values == [len(BODY)] * 1000
    assert min(patience.answered, patience.cancelled) > 200
    assert hung_up
