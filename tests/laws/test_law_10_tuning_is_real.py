"""Law 10: every knob changes what happens in the middle of a run."""

import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.model.options import EngineKnobs, PlatformKnobs
from scrapeengine.testing import Answer, Site
from support.serving import Flaky
from support.world import World, outcomes_of

TESTED = {
    "event_limit": (None, {"event_limit": 4}, [0] * 2 + [1] * 2 + [4] * 2 + [5] * 2),
    "limit": ("A", {"limit": 4}, [0] * 2 + [1] * 2 + [4] * 2 + [5] * 2),
    "rate": ("A", {"rate": se.Rate.every(10)}, [0, 0, 4, 14, 24, 34, 44, 54]),
}
"""Tasks of 4 s, eight of them, two at once; the knob is turned at 1 s: when the tasks start."""


@pytest.mark.parametrize("knob", TESTED)
async def test_what_starts_when(autojump_clock, knob):
    """Limits and rates decide from then on when tasks start."""
    platform, changes, expected = TESTED[knob]
    world = World(default=[("sleep", 4)])
    limit, event_limit = (8, 2) if knob == "event_limit" else (2, 8)
    engine = world.engine([world.platform("A", limit=limit)], event_limit=event_limit)

    begun = trio.current_time()
    async with engine.stream(map(se.Event, range(8))) as run, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _():
            await trio.sleep(1)
            engine.tune(platform, **changes)

        async for _ in run:
            pass
    assert sorted(time - begun for time in world.ledger.starts.values()) == expected


async def tuned_at(engine, when, platform, changes, events):
    """Run events, turn a knob at some time, and return outcomes and run."""
    outcomes = []
    async with engine.stream(events) as run, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _():
            await trio.sleep(when)
            engine.tune(platform, **changes)

        async for outcome in run:
            outcomes.append(outcome)
    return outcomes


async def test_timeout(autojump_clock):
    """Tasks that start later have the new deadline."""
    world = World(default=[("sleep", 5)])
    engine = world.engine([world.platform("A", limit=1)])
    changes = {"timeout": se.Timeout(task=2)}
    outcomes = await tuned_at(engine, 1, "A", changes, [se.Event(1), se.Event(2)])
    assert [type(outcome) for outcome in outcomes] == [se.Success, se.Failure]


async def test_retry(autojump_clock):
    """From then on the number of attempts is the new one."""
    world = World(default=[("request", 1, 500)])
    engine = world.engine([world.platform("A", limit=1, retry=se.Retry(attempts=1))])
    await tuned_at(engine, 0.5, "A", {"retry": se.Retry(attempts=4)}, [se.Event(1)])
    assert len(world.ledger.requests["A"]) == 4


async def test_headers(autojump_clock):
    """Requests that are made later carry the new headers."""
    seen = []

    async def scrape(task):
        await trio.sleep(1)
        request = (await task.http.get("/", params={"latency": 0, "status": 200, "hops": 0})).request
        seen.append(request.headers.get("x-key"))

    world = World()
    platform = se.Platform("A", scrape, limit=1, base_url="http://a.test", headers={"x-key": "old"})
    engine = world.engine([platform])
    await tuned_at(engine, 1.5, "A", {"headers": {"x-key": "new"}}, [se.Event(1), se.Event(2)])
    assert seen == ["old", "new"]


async def test_lookahead(autojump_clock):
    """A larger lookahead reads the source further at once."""
    world = World(default=[("sleep", 100)])
    engine = world.engine([world.platform("A", limit=1)], lookahead=2)
    read = []

    async with engine.stream(read.append(n) or se.Event(n) for n in range(50)):
        await trio.sleep(1)
        before = len(read)
        engine.tune(lookahead=20)
        await trio.sleep(1)
        found = before, len(read)
    assert found == (3, 21)


async def test_buffer(autojump_clock):
    """A larger buffer lets tasks start that had no room for their outcomes."""
    world = World(default=[])
    engine = world.engine([world.platform("A", limit=1)], buffer=2)

    async with engine.stream(map(se.Event, range(50))):
        await trio.sleep(1)
        before = len(world.ledger.ends)
        engine.tune(buffer=7)
        await trio.sleep(1)
        found = before, len(world.ledger.ends)
    assert found == (2, 7)


async def test_max_pending(autojump_clock):
    """With a smaller one, `follow` refuses sooner."""
    results = []

    async def scrape(task):
        if task.event.id != "seed":
            return
        for number in range(4):
            if number == 2:
                engine.tune(max_pending=2)
            try:
                results.append(task.follow(se.Event(f"child {number}")))
            except se.AgendaFull:
                results.append("full")

    engine = se.Engine([se.Platform("A", scrape, limit=1)])
    await tuned_at(engine, 1, None, {}, [se.Event("seed")])
    assert results == [True, True, "full", "full"]


async def test_hosts_are_tuned_by_the_defaults_name_or_one_by_one(autojump_clock):
    """The default's name tunes all hosts but those that were tuned by themselves."""
    world = World(default=[("sleep", 4)])
    engine = world.engine([], default=se.Platform("*", world.scrape, limit=1), event_limit=50)
    events = [se.Event(f"{host}{n}", url=f"http://{host}.test/{n}") for n in range(4) for host in "ab"]

    begun = trio.current_time()
    async with engine.stream(events) as run, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _():
            await trio.sleep(1)
            engine.tune("a.test", limit=3)
            engine.tune("*", limit=2)

        async for _ in run:
            pass
    starts = {"a": [], "b": []}
    for (event, _), time in world.ledger.starts.items():
        starts[event[0]].append(time - begun)
    assert starts == {"a": [0, 1, 1, 4], "b": [0, 1, 4, 5]}


async def asked_around(**changes):
    """Make two requests, with a knob turned in between, against a site that sets a cookie and disallows all."""

    def answer(request):
        if request.url.path == "/robots.txt":
            return httpx.Response(200, text="User-agent: *\nDisallow: /")
        asked.append(request.headers.get("cookie"))
        return httpx.Response(200, headers={"Set-Cookie": "a=1"}, text="x" * 100)

    async def scrape(task):
        await task.http.get("/1")
        await task.http.get("/2")
        engine.tune("A", **changes)
        await task.http.get("/3")
        await task.http.get("/4")

    asked = []
    transport = httpx.MockTransport(answer)
    engine = se.Engine([se.Platform("A", scrape, base_url="http://a.test", transport=transport)])
    [outcome], _ = await outcomes_of(engine, [se.Event("e")])
    return outcome, asked


async def test_cookies(autojump_clock):
    """They are kept, and sent back, from then on."""
    _, asked = await asked_around(cookies=True)
    assert asked == [None, None, None, "a=1"]


async def test_robots(autojump_clock):
    """It is asked, and obeyed, from then on."""
    outcome, asked = await asked_around(robots=True)
    assert outcome.reason == "robots.txt forbids it"
    assert len(asked) == 2


async def test_caps(autojump_clock):
    """The next answer has to keep to them."""
    outcome, asked = await asked_around(caps=se.Caps(body=99))
    assert isinstance(outcome.error, se.BodyTooLarge)
    assert len(asked) == 3


async def test_heed(autojump_clock):
    """From then on what the platform states is not heeded, and what it has stated is forgotten."""
    begun, asked = trio.current_time(), []

    async def answer(_):
        asked.append(trio.current_time() - begun)
        await trio.sleep(0.1)
        return httpx.Response(200, headers={"X-RateLimit-Remaining": "9", "X-RateLimit-Reset": "10.0"})

    async def scrape(task):
        await task.http.get("/")

    platform = se.Platform("A", scrape, base_url="http://a.test", transport=httpx.MockTransport(answer), limit=5)
    engine = se.Engine([platform])
    async with engine.stream(map(se.Event, range(30))) as run:
        async for _ in run:
            if len(asked) == 10:
                engine.tune("A", heed=False)
    assert asked[9] == pytest.approx(5.1, abs=0.3)  # five at once, and then one a second
    assert asked[29] - asked[9] <= 1
    assert not engine.settings().platforms["A"].heed


class Sites:
    """Sites behind one transport, which count who was asked for what."""

    def __init__(self):
        self.asked = []
        self.status = 200

    def answer(self, request):
        """Answer a request."""
        self.asked.append(f"{request.url.host}{request.url.path}")
        return httpx.Response(self.status)

    def transport(self):
        """Make a transport that leads to them."""
        return httpx.MockTransport(self.answer)


async def test_base_url(autojump_clock):
    """The next request of a task that runs goes to the new one, and so do events with its URLs."""

    async def scrape(task):
        ran.append(task.event.id)
        await task.http.get(task.event.url or "/1")
        if task.event.id == "first":
            engine.tune("A", base_url="http://b.test/v2")
            await task.http.get("/2")
            task.follow(se.Event("second", url="http://b.test/3"))

    sites, ran = Sites(), []
    engine = se.Engine([se.Platform("A", scrape, base_url="http://a.test", transport=sites.transport())])
    await outcomes_of(engine, [se.Event("first")])
    assert sites.asked == ["a.test/1", "b.test/v2/2", "b.test/3"]
    assert ran == ["first", "second"]
    with pytest.raises(ValueError, match="must be an http or https URL"):
        engine.tune("A", base_url="b.test")
    assert engine.settings().platforms["A"].base_url == "http://b.test/v2"


async def test_transport(autojump_clock):
    """The next attempt goes by it, of a request that is being retried too; one that waits already has its own."""

    async def scrape(task):
        await task.http.get("/")

    old, new = Sites(), Sites()
    old.status = 500
    retry = se.Retry(attempts=9, initial_wait=2.0)
    platform = se.Platform("A", scrape, base_url="http://a.test", transport=old.transport(), retry=retry)
    engine = se.Engine([platform], random=lambda: 1.0)
    [outcome] = await tuned_at(engine, 1, "A", {"transport": new.transport()}, [se.Event("e")])
    assert isinstance(outcome, se.Success)
    assert (len(old.asked), len(new.asked)) == (2, 1)  # at 0 and 2, and at 6


async def test_block_private():
    """The next request connects to public addresses only; with a transport that cannot be, and all stays as it was."""

    async def answer(_):
        asked.append(1)
        return Answer(body=b"ok")

    async def scrape(task):
        await task.http.get("/1")
        engine.tune("A", block_private=True)
        await task.http.get("/2")

    asked = []
    async with Site.open(answer) as site:
        engine = se.Engine([se.Platform("A", scrape, base_url=site.url)])
        [outcome], _ = await outcomes_of(engine, [se.Event("e")])
    assert isinstance(outcome.error, se.AddressBlocked)
    assert len(asked) == 1
    with pytest.raises(ValueError, match="leave one of the two out"):
        engine.tune("A", transport=Sites().transport(), limit=3)
    assert engine.settings().platforms["A"].limit == 8


async def test_cadence(autojump_clock):
    """What recurs goes by it once it was looked at the next time, and by its own again when it is taken back."""

    async def scrape(task):
        asked.append(trio.current_time() - begun)
        if len(asked) == 3:
            engine.tune("A", cadence=hourly)
        if len(asked) == 5:
            engine.tune("A", cadence=None)
        return len(asked)

    asked, begun = [], trio.current_time()
    hourly = se.Cadence(min_interval=3600, max_interval=3600, jitter=0)
    engine = se.Engine([se.Platform("A", scrape)])
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, [se.Event("e")], cadence=se.Cadence(min_interval=60, max_interval=60, jitter=0))
        async with engine.serve(store) as run:
            async for _ in run:
                if len(asked) == 7:
                    run.stop_soon()
    assert asked == pytest.approx([0, 60, 120, 3720, 7320, 7380, 7440], abs=0.1)


@pytest.mark.parametrize(("before", "after", "over"), [(30, 3, 5), (3, 30, 31)])
async def test_lease(autojump_clock, before, after, over):
    """What is in hand is held by the new one at once: a run that is heard of no more loses its job after that."""

    async def scrape(task):
        starts.append(trio.current_time() - begun)
        await trio.sleep(100 if len(starts) == 1 else 0)

    starts, begun = [], trio.current_time()
    engine = se.Engine([se.Platform("A", scrape)])
    async with se.open_store("memory:") as memory:
        store = Flaky(memory)
        await engine.enqueue(store, [se.Event("e")])
        async with engine.serve(store, lease=before) as run, trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _():
                await trio.sleep(1)
                engine.tune(lease=after)
                assert engine.settings().lease == after
                await trio.sleep(1.5 if before > after else 0.5)  # the last renewal was at 2, or at 1
                store.down = {"renew"}

            async for _ in run:
                run.stop_soon()
    assert starts == pytest.approx([0, over], abs=0.5)


class SlowToClaim(Flaky):
    """A store whose answers to `claim` take two seconds on their way."""

    async def claim(self, *args, **options):
        """Claim jobs."""
        found = await self.store.claim(*args, **options)
        await trio.sleep(2)
        return found


async def test_lease_of_what_was_asked_for_before(autojump_clock):
    """A claim on its way as the lease is made longer has the shorter one, and is renewed in time: it is run once."""

    async def scrape(task):
        starts.append((task.event.id, round(trio.current_time() - begun)))
        await trio.sleep(20)

    starts, begun = [], trio.current_time()
    engine, other = (se.Engine([se.Platform("A", scrape)]) for _ in range(2))
    async with se.open_store("memory:") as memory:
        store = SlowToClaim(memory)
        await engine.enqueue(store, [se.Event("first")])
        async with engine.serve(store, lease=4) as run, trio.open_nursery() as nursery:
            nursery.start_soon(run.wait)
            await trio.sleep(2.2)
            await engine.enqueue(store, [se.Event("second")])
            await trio.sleep(1)  # it is claimed, until 6.2, and the answer comes at 4.2
            engine.tune(lease=60)
            await trio.sleep(2)
            async with other.serve(memory, lease=60):
                await trio.sleep(20)
            await run.stop(0)
    assert starts == [("first", 2), ("second", 4)]


async def test_lease_that_is_cut_short_is_so_though_nobody_answers(autojump_clock):
    """The store may have heard of it: the task ends by the shorter one, before the job may be another's."""

    async def scrape(task):
        try:
            await trio.sleep(100)
        finally:
            ends.append(trio.current_time() - begun)

    ends, begun = [], trio.current_time()
    engine = se.Engine([se.Platform("A", scrape)])
    async with se.open_store("memory:") as memory:
        store = Flaky(memory)
        await engine.enqueue(store, [se.Event("e")])
        async with engine.serve(store, lease=60) as run, trio.open_nursery() as nursery:
            nursery.start_soon(run.wait)
            await trio.sleep(1)
            store.down = {"renew"}
            engine.tune(lease=3)
            await trio.sleep(9)
            assert ends == [pytest.approx(4, abs=0.5)]
            await run.stop(0)


async def test_lease_of_outcomes_on_their_way(autojump_clock):
    """As it is made shorter, what a slow sink has in hand is renewed by it from then on, and written once."""

    def sink(seconds):
        async def keep(outcomes):
            await trio.sleep(seconds)
            written.extend(outcome.event.id for outcome in outcomes)

        return keep

    async def scrape(task):
        await trio.sleep(task.event.data)

    written = []
    engine, other = (se.Engine([se.Platform("A", scrape)]) for _ in range(2))
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, [se.Event("first", data=0), se.Event("second", data=2)])
        async with engine.serve(store, lease=60, sinks=[sink(20)]) as run:
            await trio.sleep(1)
            engine.tune(lease=3)
            await trio.sleep(7)  # the second one is kept from others since 2, which without a renewal ends at 5
            async with other.serve(store, lease=3, sinks=[sink(0)]):
                await trio.sleep(3)
            assert written == []
            await trio.sleep(40)
            await run.stop(0)
    assert written == ["first", "second"]


def test_every_knob_is_tested_here():
    """A knob that is added needs a test in this file."""
    assert {*EngineKnobs.__annotations__, *PlatformKnobs.__annotations__} == {
        *("event_limit", "lookahead", "buffer", "max_pending"),
        *("limit", "rate", "timeout", "retry", "headers", "caps", "robots", "cookies", "heed"),
        *("base_url", "transport", "block_private", "cadence", "lease"),
    }


def test_what_is_no_knob_is_refused():
    """A name that is no knob, a platform that is none, a wrong value: a clear error, and nothing has changed."""
    world = World()
    engine = world.engine([world.platform("A", limit=2)])
    with pytest.raises(TypeError, match="it takes event_limit"):
        engine.tune(limit=3)
    with pytest.raises(TypeError, match="it takes base_url, limit"):
        engine.tune("A", event_limit=3)
    with pytest.raises(se.UnknownPlatform, match="'A'"):
        engine.tune("B", limit=3)
    with pytest.raises(ValueError, match="at least 0"):
        engine.tune("A", limit=-1)
    assert engine._plan.platforms["A"].limit == 2


async def test_a_knob_may_be_turned_from_another_thread():
    """`tune` in a worker thread counts in the run, as it would in its own."""
    world = World(default=[("sleep", 0.01)])
    engine = world.engine([world.platform("A", limit=0)])

    with trio.fail_after(10):
        async with engine.stream([se.Event("e")]) as run:
            await trio.to_thread.run_sync(lambda: engine.tune("A", limit=1))
            found = [type(outcome) async for outcome in run]
    assert found == [se.Success]
