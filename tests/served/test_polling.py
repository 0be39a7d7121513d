"""What recurs: rounds, cadence, hints, and what survives of them."""

from itertools import pairwise

import httpx
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from support.serving import serve_all

STEADY = se.Cadence(min_interval=180, max_interval=180, jitter=0)


class Feeds:
    """Feeds that change when they are told to; it takes note of who asked when."""

    def __init__(self):
        self.version = {}
        self.asked = []
        self.seconds = 1.0
        self.headers = {}
        self.status = 200

    async def answer(self, request):
        """Answer a request, conditional or not."""
        name = request.url.path.strip("/")
        self.asked.append((name, trio.current_time(), request.headers.get("if-none-match")))
        await trio.sleep(self.seconds)
        etag = f'"{self.version.get(name, 0)}"'
        headers = {"etag": etag} | self.headers
        if request.headers.get("if-none-match") == etag:
            return httpx.Response(304, headers=headers)
        return httpx.Response(self.status, headers=headers, json={"version": self.version.get(name, 0)})

    async def scrape(self, task):
        """Get a feed if it has changed."""
        response = await task.http.get(f"/{task.event.id}", conditional=True)
        task.skip_unchanged(response)
        return response.json()

    def engine(self, **policy):
        """Make an engine for them."""
        policy = {"retry": se.Retry(attempts=1)} | policy
        platform = se.Platform(
            "F", self.scrape, base_url="http://f.test", transport=httpx.MockTransport(self.answer), **policy
        )
        return se.Engine([platform])

    def times(self, name):
        """List when a feed was asked for, from the first time on."""
        times = [time for asked, time, _ in self.asked if asked == name]
        return [time - times[0] for time in times]


class Steps(trio.abc.Instrument):
    """Takes note of the steps of trio's tasks, by the tasks' names."""

    def __init__(self):
        self.seen = []

    def before_task_step(self, task):
        """Take note of one."""
        self.seen.append(task.name)


async def test_no_lease_wakes_anybody_while_nothing_is_in_hand(autojump_clock):
    """Of a feed that comes every three minutes nothing is renewed or watched in between."""
    feeds, steps = Feeds(), Steps()
    feeds.seconds = 0.01
    engine = feeds.engine()
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, [se.Event("a")], cadence=STEADY)
        async with engine.serve(store, lease=1.5) as run, trio.open_nursery() as nursery:
            nursery.start_soon(run.wait)
            await trio.sleep(0.3)  # after the reader was seen not to be there, and before a third of the lease
            trio.lowlevel.add_instrument(steps)
            await trio.sleep(60)
            trio.lowlevel.remove_instrument(steps)
            await run.stop(0)
    assert len(feeds.asked) == 1
    assert [name for name in steps.seen if "Leases" in name or "Deliveries" in name] == []


async def test_rounds(autojump_clock, store):
    """What is due, all of it, and some by name."""
    feeds = Feeds()

    engine = feeds.engine()
    await engine.enqueue(store, [se.Event(name) for name in "abc"], cadence=STEADY)
    await engine.enqueue(store, [se.Event("once")])
    reports = [await engine.poll(store), await engine.poll(store)]
    reports.append(await engine.poll(store, due_only=False))
    reports.append(await engine.poll(store, ids=["b"]))
    await trio.sleep(100)
    reports.append(await engine.poll(store))
    await trio.sleep(80)
    reports.append(await engine.poll(store))
    assert [report.outcomes.total for report in reports] == [4, 0, 3, 1, 0, 3]
    assert len(feeds.times("once")) == 1


async def test_a_round_by_name_leaves_what_is_ready_alone(autojump_clock, store):
    """Only the ids that were asked for."""
    feeds = Feeds()

    engine = feeds.engine()
    await engine.enqueue(store, [se.Event(name) for name in "abc"], cadence=STEADY)
    report = await engine.poll(store, ids=["b", "unknown"])
    assert (report.outcomes.total, (await store.stats())["F"].ready) == (1, 2)


async def test_a_round_ends_though_its_events_come_due_again_in_it(autojump_clock, store):
    """A feed that takes longer than its interval is asked for once in a round."""
    feeds = Feeds()
    feeds.seconds = 8.0

    engine = feeds.engine(limit=1)
    quick = se.Cadence(min_interval=1, max_interval=1, jitter=0)
    await engine.enqueue(store, [se.Event(name) for name in "abc"], cadence=quick)
    assert (await engine.poll(store)).outcomes.total == 3


async def test_a_round_does_not_wait_for_a_platform_that_is_closed(autojump_clock, store):
    """What waits for it stays in the store."""
    feeds = Feeds()
    feeds.status, feeds.headers = 429, {"retry-after": "3600"}

    engine = feeds.engine(limit=1)
    await engine.enqueue(store, [se.Event(name) for name in "abc"], cadence=STEADY)
    begun = trio.current_time()
    report = await engine.poll(store)
    took = trio.current_time() - begun
    failed = report.outcomes.failed
    stats = (await store.stats())["F"]
    assert took < 10
    assert failed == 1
    assert stats.ready + stats.delayed == 3
    assert len(feeds.asked) == 1


async def test_rounds_never_overlap(autojump_clock, store):
    """A second one is refused, by whatever engine; when the first has ended there may be another."""
    feeds = Feeds()

    engine, other = feeds.engine(), feeds.engine()
    await engine.enqueue(store, [se.Event("a")], cadence=STEADY)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.poll, store)
        await trio.sleep(0.5)
        with pytest.raises(se.EngineBusy, match="rounds never overlap"):
            await other.poll(store)
    assert (await other.poll(store, due_only=False)).outcomes.total == 1


async def test_a_round_that_takes_too_long_says_so(autojump_clock, store, caplog):
    """The rounds that it has missed are not made; the next one is made when it would have been due anyway."""
    feeds = Feeds()
    feeds.seconds = 130.0
    begins, overran = [], []

    engine = feeds.engine(timeout=se.Timeout(attempt=1000, task=1000))
    await engine.enqueue(store, [se.Event("a")], cadence=se.Cadence(min_interval=1, max_interval=1, jitter=0))
    begun = trio.current_time()
    async for report in engine.rounds(store, every=60):
        begins.append(trio.current_time() - begun - report.elapsed)
        overran.append(report.overran)
        if len(begins) == 2:
            feeds.seconds = 1.0
        if len(begins) == 4:
            break
    assert begins == [0, 180, 360, 420]
    assert overran == [70, 70, 0, 0]
    assert sum("still running when the next was due" in record.getMessage() for record in caplog.records) == 2


@pytest.mark.parametrize("jitter", [0, 0.1])
async def test_with_a_minimum_of_their_period_events_are_in_each_round(autojump_clock, store, jitter):
    """Though they are due a little after the round in which they were asked for."""
    feeds = Feeds()
    totals = []

    engine = feeds.engine(limit=2)
    cadence = se.Cadence(min_interval=180, max_interval=180, jitter=jitter)
    await engine.enqueue(store, [se.Event(name) for name in "abcdefgh"], cadence=cadence)
    async for report in engine.rounds(store, every=180):
        totals.append(report.outcomes.total)
        if len(totals) == 10:
            break
    assert totals == 10 * [8]


async def test_rounds_make_nothing_due_before_it_was_asked_for(autojump_clock, store):
    """What is fresh for 250 s is left alone by the round at 180 s."""
    feeds = Feeds()
    feeds.headers = {"cache-control": "max-age=250"}

    totals = []
    engine = feeds.engine()
    cadence = se.Cadence(min_interval=180, max_interval=1800, jitter=0)
    await engine.enqueue(store, [se.Event("a")], cadence=cadence)
    async for report in engine.rounds(store, every=180):
        totals.append(report.outcomes.total)
        if len(totals) == 4:
            break
    assert totals == [1, 0, 1, 0]


async def test_an_error_leaves_a_round_as_it_is(autojump_clock, store):
    """In no group; and the next round may begin at once."""
    feeds = Feeds()

    async def broken(batch):
        raise OSError("the database is down")

    engine = feeds.engine()
    await engine.enqueue(store, [se.Event("a")], cadence=STEADY)
    with pytest.raises(OSError, match="the database is down"):
        await engine.poll(store, sinks=[broken])
    assert (await engine.poll(store, due_only=False)).outcomes.total == 1


async def test_sooner_after_a_change_and_later_after_none(autojump_clock, store):
    """A feed that stands still is asked for ever more seldom, up to the maximum; one change, and it is asked sooner."""
    feeds = Feeds()

    engine = feeds.engine()
    cadence = se.Cadence(min_interval=100, max_interval=1600, growth=2, shrink=0.25, jitter=0)
    await engine.enqueue(store, [se.Event("a")], cadence=cadence)
    await serve_all(engine, store, count=8)
    feeds.version["a"] = 1
    await serve_all(engine, store, count=2)
    times = feeds.times("a")
    gaps = [round(later - before - 1) for before, later in pairwise(times)]
    assert gaps == [100, 200, 400, 800, 1600, 1600, 1600, 1600, 400]
    assert [etag for _, _, etag in feeds.asked][:2] == [None, '"0"']


async def test_the_same_value_is_no_change(autojump_clock, store):
    """Where a platform knows no 304: what the scraper returns is compared with what it has returned before."""
    values = [1, 1, 2, 2, 2]
    times = []

    async def scrape(task):
        times.append(trio.current_time())
        return values[len(times) - 1]

    engine = se.Engine([se.Platform("A", scrape)])
    cadence = se.Cadence(min_interval=100, max_interval=10_000, growth=2, shrink=0.5, jitter=0)
    await engine.enqueue(store, [se.Event("a")], cadence=cadence)
    await serve_all(engine, store, count=5)
    gaps = [round(later - before) for before, later in pairwise(times)]
    assert gaps == [100, 200, 100, 200]


async def test_failures_widen_it(autojump_clock, store):
    """Twice as long after each in a row; a success brings it back."""
    feeds = Feeds()
    feeds.status = 500

    engine = feeds.engine()
    await engine.enqueue(store, [se.Event("a")], cadence=se.Cadence(min_interval=100, max_interval=100_000, jitter=0))
    await serve_all(engine, store, count=4)
    feeds.status = 200
    await serve_all(engine, store, count=2)
    times = feeds.times("a")
    gaps = [round(later - before - 1) for before, later in pairwise(times)]
    assert gaps == [200, 400, 800, 1600, 100]


@pytest.mark.parametrize(
    ("status", "headers", "gap"),
    [
        (200, {"cache-control": "public, max-age=600"}, 600),
        (200, {"cache-control": "max-age=600", "age": "200"}, 400),
        (200, {"cache-control": "max-age=50"}, 180),
        (200, {"cache-control": "no-cache, max-age=600"}, 180),
        (200, {"cache-control": "max-age=99999999"}, 3600),
        (429, {"retry-after": "900"}, 900),
        (429, {"retry-after": "7200"}, 7200),
        (503, {"retry-after": "30"}, 360),
    ],
)
async def test_hints_only_postpone(autojump_clock, store, status, headers, gap):
    """`max-age` up to the maximum, `Retry-After` however long it is."""
    feeds = Feeds()
    feeds.status, feeds.headers = status, headers

    engine = feeds.engine()
    cadence = se.Cadence(min_interval=180, max_interval=3600, jitter=0)
    await engine.enqueue(store, [se.Event("a")], cadence=cadence)
    await serve_all(engine, store, count=2)
    assert feeds.times("a")[1] - 1 == pytest.approx(gap, abs=0.01)


async def test_a_feed_s_own_word_postpones_too(autojump_clock, store):
    """An RSS `ttl`, by `task.fresh_for`; and `again_after`, beyond the maximum."""
    times = []

    async def scrape(task):
        times.append(trio.current_time())
        task.fresh_for(1000 if len(times) == 1 else 0)
        if len(times) == 2:
            task.skip("closed for the winter", again_after=10_000)

    engine = se.Engine([se.Platform("A", scrape)])
    await engine.enqueue(store, [se.Event("a")], cadence=se.Cadence(min_interval=100, max_interval=2000, jitter=0))
    await serve_all(engine, store, count=3)
    assert times[1] - times[0] == pytest.approx(1000, abs=0.01)
    assert times[2] - times[1] == pytest.approx(10_000, abs=0.01)


async def test_validators_are_stored_with_the_outcome(autojump_clock, store):
    """What was fetched and not processed is fetched whole again; what was, another engine asks for by its ETag."""
    feeds = Feeds()
    failing = [True]

    async def scrape(task):
        response = await task.http.get("/a", conditional=True)
        task.skip_unchanged(response)
        if failing.pop() if failing else False:
            raise ValueError("not parsed")
        return response.json()

    feeds.scrape = scrape

    await feeds.engine().enqueue(store, [se.Event("a")], cadence=STEADY)
    for _ in range(4):
        await feeds.engine().poll(store, due_only=False)
    assert [etag for _, _, etag in feeds.asked] == [None, None, '"0"', '"0"']


async def test_events_of_one_host_are_never_put_at_one_instant(autojump_clock, store):
    """A hundred feeds that were asked for together come due one after the other."""
    feeds = Feeds()

    engine = feeds.engine(limit=100)
    engine.tune(event_limit=100)
    await engine.enqueue(store, [se.Event(n) for n in range(100)], cadence=STEADY)
    await engine.poll(store)
    due = [(await store.get("F", str(n))).due for n in range(100)]
    assert len(set(due)) == 100


async def test_cancelling_ends_a_recurrence(autojump_clock, store):
    """For good: it is never asked for again."""
    feeds = Feeds()

    engine = feeds.engine()
    await engine.enqueue(store, [se.Event("a")], cadence=STEADY)
    await engine.poll(store)
    assert await store.cancel("F", "a")
    async with engine.serve(store):
        await trio.sleep(10_000)
    assert (await store.get("F", "a")).status is se.JobStatus.CANCELLED
    assert len(feeds.asked) == 1


async def test_a_week_is_a_week(autojump_clock, store):
    """Served for ever, ten feeds at one in 180 s each make what that comes to in six hours, and no more."""
    feeds = Feeds()

    engine = feeds.engine()
    await engine.enqueue(store, [se.Event(n) for n in range(10)], cadence=STEADY)
    with trio.move_on_after(6 * 3600):
        async with engine.serve(store) as run:
            async for _ in run:
                pass
    assert 10 * 6 * 3600 // 181 <= len(feeds.asked) <= 10 * (6 * 3600 // 181 + 1)


@pytest.mark.parametrize("how", [{"ids": ["a"]}, {"due_only": False}])
@pytest.mark.parametrize("why", ["engine", "engine meanwhile", "round", "sinks", "instruments", "store"])
async def test_a_poll_that_is_refused_changes_nothing(autojump_clock, store, how, why):
    """What it was to run is as late as before, whatever it was refused for."""

    async def scrape(task):
        await trio.sleep(10)

    engine = se.Engine([se.Platform("A", scrape)])
    await engine.enqueue(store, [se.Event("a")], cadence=se.Cadence(min_interval=100), delay=1000)
    before = await store.get("A", "a")
    options, error = {}, se.EngineBusy
    async with trio.open_nursery() as nursery:
        if why == "engine":
            nursery.start_soon(engine.run, [se.Event("b")])
            await trio.sleep(1)
        elif why == "engine meanwhile":
            lock = store.store.lock

            async def slowly(*args):
                await trio.sleep(1)
                return await lock(*args)

            store.store.lock = slowly
            nursery.start_soon(engine.run, [se.Event("b")])
        elif why == "round":
            assert await store.lock("round", "another", 100)
        elif why == "store":
            store.down.add("hasten")
            error = se.StoreError
        else:
            options, error = {why: [3]}, TypeError
        with pytest.raises(error):
            await engine.poll(store, **how, **options)
        nursery.cancel_scope.cancel()
    assert await store.get("A", "a") == before


async def test_a_poll_that_was_refused_can_be_made_again(autojump_clock, store):
    """Neither the round's lock nor the engine stays taken."""
    ran = []

    async def scrape(task):
        ran.append(task.event.id)

    engine = se.Engine([se.Platform("A", scrape)])
    await engine.enqueue(store, [se.Event("a")], cadence=se.Cadence(min_interval=100), delay=1000)
    store.down.add("hasten")
    with pytest.raises(se.StoreError):
        await engine.poll(store, ids=["a"])
    store.down.clear()
    report = await engine.poll(store, ids=["a"])
    assert (ran, report.outcomes.succeeded) == (["a"], 1)


CADENCES = st.builds(
    lambda shortest, more, growth, jitter: se.Cadence(shortest, shortest + more, growth, 0.5, jitter),
    st.integers(1, 100),
    st.sampled_from([0, 0, 0.0005, 0.002, 10]),
    st.floats(1, 10),
    st.sampled_from([0, 0.1, 1]),
)


@given(CADENCES, st.lists(st.sampled_from(["new", "same", "ill", "none"]), min_size=1, max_size=6), st.integers(1, 6))
def test_no_interval_is_longer_than_its_cadence_has_it(cadence, looks, events):
    """Also where many events end at one instant, and there is no room behind for them all."""
    longest = []

    async def look(task):
        what = looks[int(task.event.id) % len(looks)]
        if what == "ill":
            raise ValueError
        if what == "none":
            task.skip("nothing there")
        return trio.current_time() if what == "new" else 1

    async def main():
        engine = se.Engine([se.Platform("A", look, limit=100)])
        async with se.open_store("memory:") as store:
            await engine.enqueue(store, map(se.Event, range(events)), cadence=cadence)
            for _ in range(4):
                await engine.poll(store, ids=range(events))
                for job in await store.jobs():
                    longest.append(job.due - job.finished)
                await trio.sleep(cadence.min_interval / 2)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert max(longest) <= cadence.max_interval + 1e-5  # which Unix time does not resolve
