"""What a recording counts: all that the site has seen, by platform, in memory that does not grow."""

import gc
import gzip
import types

import httpx
import pytest
import trio
from hypothesis import given

import scrapeengine as se
from scrapeengine.testing import Answer, Site
from support.strategies import cases, requests, scripts, sleeps, troubles
from support.world import World, outcomes_of, virtually

PAGE = b"<html>" * 1000


async def test_a_real_site_has_sent_what_was_counted():
    """Requests, statuses, bytes on the wire and decoded, and connections; what was cut off is apart."""
    sent, coded = [], gzip.compress(PAGE)

    async def answer(request):
        sent.append(request.path)
        match request.path:
            case "/gzip":
                return Answer(body=coded, headers={"content-encoding": "gzip"})
            case "/gone":
                return Answer(status=404, body=b"gone")
            case "/moved":
                return Answer(status=302, headers={"location": "/plain"})
            case "/hangs":
                await trio.sleep_forever()
        return Answer(body=PAGE)

    async def scrape(task):
        await task.http.get("/gzip")
        await task.http.get("/gone", check=False)
        await task.http.get("/moved")
        async with task.http.stream("GET", "/gzip") as stream:
            async for _ in stream:
                pass
        with trio.move_on_after(0.05):
            await task.http.get("/hangs")

    async with Site.open(answer) as site:
        platform = se.Platform("A", scrape, base_url=site.url, limit=1)
        report = await se.Engine([platform]).run(map(se.Event, range(3)), instruments=[se.observe.Recording()])
    found = report.figures.platforms["A"]
    assert found.requests == len(sent) == 18
    assert (found.answered, found.failed, found.cut_off, found.retries) == (15, 0, 3, 0)
    assert found.statuses == {200: 9, 302: 3, 404: 3}
    assert found.received == 3 * (2 * len(coded) + 4 + len(PAGE))
    assert found.decoded == 3 * (3 * len(PAGE) + 4)
    assert found.left == 0
    assert (found.opened, found.reused) == (3, 15)  # what was cut off is closed
    assert [each.count for each in (found.connect, found.head, found.whole, found.queued)] == [3, 15, 15, 3]
    assert 0 < found.connect.p50 <= found.connect.p90 <= found.connect.p99 <= found.connect.most
    assert 0 < found.head.mean <= found.whole.mean


async def test_bodies_that_break_off_or_are_left_are_counted_apart(autojump_clock):
    """And what fails. A transport of the program's own says nothing of connections."""

    class Body(httpx.AsyncByteStream):
        def __init__(self, *, breaks):
            self.breaks = breaks

        async def __aiter__(self):
            yield b"x" * 100
            if self.breaks:
                raise httpx.ReadError("it breaks off")
            yield b"y" * 100

    async def answer(request):
        return httpx.Response(200, stream=Body(breaks=request.url.path == "/breaks"))

    async def scrape(task):
        async with task.http.stream("GET", "/left") as stream:
            await anext(stream)
        await task.http.get("/whole")
        await task.http.get("/breaks")

    retry = se.Retry(attempts=2, initial_wait=1, max_wait=1, budget=10)
    platform = se.Platform("A", scrape, base_url="http://a.test", transport=httpx.MockTransport(answer), retry=retry)
    report = await se.Engine([platform]).run([se.Event(1)], instruments=[se.observe.Recording()])
    found = report.figures.platforms["A"]
    assert (found.requests, found.answered, found.failed, found.retries) == (4, 2, 2, 1)
    assert (found.received, found.decoded, found.left) == (200, 200, 300)
    assert (found.opened, found.reused) == (0, 0)
    assert (found.whole.count, found.parked.count) == (1, 1)
    assert found.parked.p50 == pytest.approx(found.parked.most, rel=0.01)


@given(cases(steps=scripts(sleeps, requests, troubles)))
def test_counts_are_those_of_the_world(case):
    """Requests by the platform that they went to; queued and parked time as the outcomes have it."""
    world, engine = case.build(random=lambda: 0.5)
    outcomes, report = virtually(outcomes_of, engine, case.events, instruments=[se.observe.Recording()])
    assert report.figures.platforms.keys() == case.limits.keys()
    for name, found in report.figures.platforms.items():
        assert found.requests == len(world.ledger.requests.get(name, ()))
        assert found.requests == found.answered + found.failed + found.cut_off
        assert sum(found.statuses.values()) == found.answered
        own = [outcome for outcome in outcomes if outcome.platform == name]
        assert found.reruns == sum(max(0, outcome.attempts - 1) for outcome in own)
        assert found.queued.count == sum(outcome.attempts > 0 for outcome in own)
        for each, times in ((found.queued, "queued"), (found.parked, "parked")):
            exact = sum(getattr(outcome, times) for outcome in own)
            assert each.mean * each.count == pytest.approx(exact, abs=1e-3)


async def test_a_request_counts_where_it_went(autojump_clock):
    """A redirect, or a URL, leads to another platform; the retry is the task's own."""

    async def answer(request):
        return httpx.Response(500 if request.url.host == "b.test" else 200)

    async def scrape(task):
        await task.http.get("/")
        await task.http.get("http://b.test/", check=False)

    retry = se.Retry(attempts=2, budget=10)
    platforms = [se.Platform(name, scrape, base_url=f"http://{name.lower()}.test", retry=retry) for name in "AB"]
    engine = se.Engine(platforms, connector=httpx.MockTransport(answer))
    report = await engine.run([se.Event(1, platforms=["A"])], instruments=[se.observe.Recording()])
    found = report.figures.platforms
    assert [(found[name].requests, found[name].retries, found[name].statuses) for name in "AB"] == [
        (1, 1, {200: 1}),
        (2, 0, {500: 2}),
    ]


def hosts(number):
    """List URLs of so many hosts."""
    return [se.Event(url=f"http://h{n}.test/") for n in range(number)]


async def visit(task):
    """Make one request."""
    await task.http.get(task.event.url)


@pytest.mark.parametrize("apart", [0, 3])
async def test_a_thousand_hosts_are_one_platform_unless_asked_for(apart, autojump_clock):
    """The first that come have names of their own, if so many are wanted."""
    engine = se.Engine(
        [se.Platform("A", visit)],
        default=se.Platform("*", visit),
        connector=httpx.MockTransport(lambda _: httpx.Response(200, content=b"x")),
    )
    report = await engine.run(hosts(1000), instruments=[se.observe.Recording(hosts=apart)])
    found = report.figures.platforms
    assert sorted(found) == sorted(["*", "A", *(f"h{n}.test" for n in range(apart))])
    assert found["*"].requests == 1000 - apart
    assert sum(each.received for each in found.values()) == 1000


def size_of(thing):
    """Count the objects that are kept by one, but for what programs are made of."""
    seen, todo = {}, [thing]
    while todo:
        each = todo.pop()
        if id(each) not in seen and not isinstance(each, type | types.FunctionType | types.ModuleType):
            seen[id(each)] = each
            todo += gc.get_referents(each)
    return len(seen)


async def test_memory_does_not_grow_with_the_run(autojump_clock):
    """Ten times the tasks and hosts, and about as many objects as before, in the report too."""
    counted = []
    for number in (500, 5_000):
        recording = se.observe.Recording(timeline=50)
        engine = se.Engine(
            [],
            default=se.Platform("*", visit, rate=se.Rate(0.5)),
            connector=httpx.MockTransport(lambda _: httpx.Response(200)),
        )
        twice = [*hosts(number // 2), *(se.Event(f"again {n}", url=f"http://h{n}.test/") for n in range(number // 2))]
        report = await engine.run(twice, instruments=[recording])
        assert report.figures.held["*"].shares["rate"] > 0.3
        counted.append((size_of(recording), size_of(report.figures)))
    assert all(later < first * 1.5 + 100 for first, later in zip(*counted, strict=True))
    assert counted[0][0] < 2000


async def test_a_run_over_a_store_is_recorded_too(autojump_clock):
    """Each round has figures of its own."""
    recording, world = se.observe.Recording(), World(default=[("request", 1, 200)])
    engine = world.engine([world.platform("A", limit=2)])
    async with se.open_store("memory:") as store:
        for number in (4, 2):
            await engine.enqueue(store, [se.Event(f"{number} {n}") for n in range(number)])
            report = await engine.poll(store, instruments=[recording])
            assert report.figures.platforms["A"].requests == report.outcomes.succeeded == number
            assert sum(report.figures.held["A"].shares.values()) == pytest.approx(1)


async def test_it_begins_anew_with_each_run_and_joins_one_that_goes_on(autojump_clock):
    """Without one there are no figures."""
    recording, world = se.observe.Recording(), World(default=[("request", 1, 200)])
    engine = world.engine([world.platform("A", limit=1)])
    assert (await engine.run([se.Event(1)])).figures is None
    for _ in range(2):
        report = await engine.run([se.Event(1), se.Event(2)], instruments=[recording])
        assert report.figures.platforms["A"].requests == 2
        assert str(report).endswith(
            "A: its limit of 1 held it back 50 % of the time; raising the event limit would not help"
        )
    async with engine.stream([se.Event(1)], instruments=[recording]) as before:
        await before.wait()
    async with engine.stream(map(se.Event, range(4))) as run:
        await trio.sleep(1.5)
        run.watch(recording)
        assert run.report.figures.platforms["A"].requests == 0
        async for _ in run:
            pass
    assert run.report.figures.platforms["A"].requests == 2  # of the one that was on its way nobody had asked to hear
    assert before.report.figures.platforms["A"].requests == 1  # for good
    assert repr(recording).startswith("<Recording of <Counting of 1 platforms>, <Holding, <Binding of 1 platforms>>, ")
    assert repr(recording).endswith(", <Timeline, <BarChoice of 3 tasks>>>")


@pytest.mark.parametrize(("hosts", "error"), [(-1, ValueError), (1.5, TypeError)])
def test_what_it_cannot_be_made_of_is_refused(hosts, error):
    """In words."""
    with pytest.raises(error, match=r"Recording\(hosts=…\) must be"):
        se.observe.Recording(hosts=hosts)


def test_nothing_else_is_there():
    """As of any module."""
    assert "Recording" in dir(se.observe)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = se.observe.Nonsense
