"""Serving a store: every job ends once, by the same laws as in any other run, whatever becomes of leases and disks."""

import pytest
import trio
from hypothesis import HealthCheck, given, settings

import scrapeengine as se
from support.serving import pending, serve_all
from support.strategies import cases, requests, scripts, sleeps, troubles
from support.world import virtually


def kinds(outcomes):
    """Say how each task ended."""
    return sorted((outcome.event.id, outcome.platform, type(outcome).__name__) for outcome in outcomes)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(cases(steps=scripts(sleeps, requests, troubles)))
def test_a_store_changes_no_law(case):
    """One outcome for each task, the same as without a store; no limit, rate or penalty is broken."""
    _, engine = case.build()
    plain = virtually(_stream_all, engine, case.events)
    world, engine = case.build()

    async def main():
        async with se.open_store("memory:") as store:
            if case.events:
                await engine.enqueue(store, case.events)
            return await serve_all(engine, store)

    outcomes, report = virtually(main)
    assert sorted(case.tasks()) == sorted((outcome.event.id, outcome.platform) for outcome in outcomes)
    assert kinds(outcomes) == kinds(plain)
    assert not world.ledger.broken
    assert report.tasks == report.outcomes.total + report.returned + report.lost


async def _stream_all(engine, events):
    async with engine.stream(events) as run:
        return [outcome async for outcome in run]


async def test_a_store_costs_no_time(autojump_clock, store):
    """Law 7's case, from a store: 200 events of 1 s, 80 % on A (limit 2), B (limit 8) is done at 5 s, and A at 80 s."""
    ended = {"A": [], "B": []}

    async def scrape(task):
        await trio.sleep(1)
        ended[task.platform].append(trio.current_time() - begun)

    begun = trio.current_time()
    engine = se.Engine([se.Platform("A", scrape, limit=2), se.Platform("B", scrape, limit=8)], event_limit=10)
    await engine.enqueue(store, [se.Event(n, platforms=("A" if n % 5 else "B",)) for n in range(200)])
    await serve_all(engine, store, count=200)
    assert (max(ended["B"]), max(ended["A"])) == (5, 80)


async def test_an_event_is_in_progress_once_whatever_it_runs_on(autojump_clock, store):
    """Its jobs come from two queues, and share one event slot."""
    at_once, most = set(), 0

    async def scrape(task):
        nonlocal most
        at_once.add((task.event.id, task.platform))
        most = max(most, len({id for id, _ in at_once}))
        both.append(len(at_once))
        await trio.sleep(1)
        at_once.discard((task.event.id, task.platform))

    both = []

    engine = se.Engine([se.Platform("A", scrape), se.Platform("B", scrape)], event_limit=1)
    await engine.enqueue(store, [se.Event(n) for n in range(5)])
    await serve_all(engine, store, count=10)
    assert (most, max(both)) == (1, 2)


async def test_what_is_stored_of_each_end(autojump_clock, store):
    """Results as JSON or bytes, errors and reasons as text."""

    async def scrape(task):
        match task.event.id:
            case "json":
                return {"data": task.event.data, "url": task.event.url}
            case "bytes":
                return b"\x00\xff"
            case "skip":
                task.skip("nothing there")
            case "bad":
                raise ValueError("no odds")
        raise AssertionError

    events = [se.Event("json", url="http://a.test/x", platforms=("A",), data=["é", 1.5, None])]
    events += [se.Event(id) for id in ("bytes", "skip", "bad")]

    engine = se.Engine([se.Platform("A", scrape)])
    await engine.enqueue(store, events)
    await serve_all(engine, store, count=4)
    jobs = [await store.get("A", event.id) for event in events]
    assert [job.status.value for job in jobs] == ["done", "done", "skipped", "failed"]
    assert jobs[0].result == '{"data":["\\u00e9",1.5,null],"url":"http://a.test/x"}'
    assert jobs[1].result == b"\x00\xff"
    assert jobs[2].error == "nothing there"
    assert jobs[3].error == "ValueError: no odds"


@pytest.mark.parametrize("data", [None, 1, "é", b"\x00\xff", [1, {"a": None}], True])
async def test_the_data_of_an_event_comes_back(autojump_clock, store, data):
    """What is JSON or bytes is for the scraper what it was for the program."""
    seen = []

    async def scrape(task):
        seen.append((task.event.data, task.event.priority, task.event.platforms))

    engine = se.Engine([se.Platform("A", scrape)])
    await engine.enqueue(store, [se.Event(1, platforms=("A",), data=data, priority=7)])
    await serve_all(engine, store, count=1)
    assert seen == [(data, 7, ("A",))]


@pytest.mark.parametrize(
    ("events", "error", "says"),
    [
        ([se.Event(1), se.Event(2, platforms=("X",))], se.UnknownPlatform, "'X'"),
        ([se.Event(1), se.Event(2, data={1, 2})], TypeError, "a store takes bytes, and what JSON has"),
        ([se.Event(1), "two"], TypeError, "write Event(id)"),
    ],
)
async def test_a_bad_batch_is_refused_whole(autojump_clock, store, events, error, says):
    """The error comes where the events are handed over, and says what to do."""

    async def scrape(task):
        pass

    engine = se.Engine([se.Platform("A", scrape)])
    with pytest.raises(error, match=says.replace("(", r"\(").replace(")", r"\)")):
        await engine.enqueue(store, events)
    assert (await store.stats()) == {}


def test_what_is_no_store_is_refused():
    """With a word on where to get one."""

    async def scrape(task):
        pass

    with pytest.raises(TypeError, match="open_store"):
        se.Engine([se.Platform("A", scrape)]).serve("sqlite:jobs.db")


async def test_a_long_task_keeps_its_lease(autojump_clock, store):
    """A task of ten leases is renewed all the time, and runs once."""
    runs = []

    async def scrape(task):
        runs.append(task.event.id)
        await trio.sleep(300)

    engine, other = (se.Engine([se.Platform("A", scrape)]) for _ in range(2))
    await engine.enqueue(store, [se.Event(1)])
    async with other.serve(store, lease=30):
        outcomes, _ = await serve_all(engine, store, lease=30)
    assert len(outcomes) + len(runs) in {1, 2}
    assert len(runs) == 1


async def test_a_lease_that_cannot_be_renewed_ends_the_task_in_time(autojump_clock, store):
    """The task is cancelled at the end of its lease, before another can have the job, and its result goes nowhere."""
    seen = []

    async def scrape(task):
        begun = trio.current_time()
        try:
            await trio.sleep(100)
        finally:
            seen.append((task.event.id, trio.current_time() - begun))

    engine = se.Engine([se.Platform("A", scrape, limit=1)])
    await engine.enqueue(store, [se.Event(1)])
    store.down.add("renew")
    async with engine.serve(store, lease=30) as run:
        await trio.sleep(29.9)
        assert not seen
        await trio.sleep(0.2)
        assert seen == [("1", 30)]
        store.down.clear()
        outcome = await anext(run)
        await run.stop(0)
    report = run.report
    assert isinstance(outcome, se.Success)
    assert seen == [("1", 30), ("1", 100)]
    assert (report.lost, report.outcomes.total, report.tasks) == (1, 1, 2)


async def test_a_result_that_comes_after_its_lease_is_refused(autojump_clock, store):
    """A scraper that shields itself ends late; somebody else has had the job by then."""
    runs = []

    async def scrape(task):
        runs.append(trio.current_time())
        if len(runs) == 1:
            with trio.CancelScope(shield=True):
                await trio.sleep(60)
            return "late"
        return "in time"

    engine, other = (se.Engine([se.Platform("A", scrape, limit=1)]) for _ in range(2))
    await engine.enqueue(store, [se.Event(1)])
    async with engine.serve(store, lease=10) as run:
        await trio.sleep(1)
        store.down.add("renew")
        await trio.sleep(10)
        outcomes, _ = await serve_all(other, store, count=1)
        await trio.sleep(60)
        await run.stop(0)
        late = [outcome async for outcome in run]
    report = run.report
    job = await store.get("A", "1")
    assert [outcome.value for outcome in outcomes] == ["in time"]
    assert late == []
    assert report.lost == 1
    assert job.result == '"in time"'


async def test_stop_gives_back_at_once_what_is_not_done(autojump_clock, store):
    """What waits in hand, and what is cut off after the grace, is ready again; it has no outcome, and no attempt."""

    async def scrape(task):
        await trio.sleep(1 if task.event.id == "0" else 100)

    engine = se.Engine([se.Platform("A", scrape, limit=4)])
    await engine.enqueue(store, [se.Event(n) for n in range(10)])
    async with engine.serve(store) as run:
        await trio.sleep(0.5)
        await run.stop(2)
        stopped = trio.current_time()
        outcomes = [outcome async for outcome in run]
    assert trio.current_time() - stopped < 1
    report = run.report
    stats = await store.stats()
    job = await store.get("A", "5")
    assert kinds(outcomes) == [("0", "A", "Success")]
    assert (stats["A"].ready, stats["A"].leased, stats["A"].done) == (9, 0, 1)
    assert job.attempts == 0
    assert report.tasks == report.outcomes.total + report.returned


@pytest.mark.parametrize("leave", ["raise", "cancel", "return"])
async def test_a_run_that_is_left_gives_back_what_it_has(autojump_clock, store, leave):
    """However the `async with` is left: nothing stays leased."""

    async def scrape(task):
        await trio.sleep(100)

    engine = se.Engine([se.Platform("A", scrape, limit=4)])
    await engine.enqueue(store, [se.Event(n) for n in range(10)])
    try:
        with trio.move_on_after(5):
            async with engine.serve(store):
                await trio.sleep(1)
                if leave == "raise":
                    raise KeyError(leave)
                if leave == "cancel":
                    await trio.sleep_forever()
    except KeyError:
        pass
    stats = (await store.stats())["A"]
    assert (stats.ready, stats.leased) == (10, 0)


@pytest.mark.parametrize("call", ["complete", "claim", "due", "release"])
async def test_a_store_that_is_down_for_a_while_loses_nothing(autojump_clock, store, call):
    """For ten seconds a call fails each time; then all goes on, and each job has its one outcome."""

    async def scrape(task):
        await trio.sleep(0.5)
        return task.event.id

    engine = se.Engine([se.Platform("A", scrape, limit=2)], buffer=4)
    await engine.enqueue(store, [se.Event(n) for n in range(20)])
    async with engine.serve(store, lease=60) as run, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def trouble():
            await trio.sleep(1)
            store.down.add(call)
            await trio.sleep(10)
            store.down.clear()

        outcomes = []
        async for outcome in run:
            outcomes.append(outcome)
            if len(outcomes) == 20:
                await run.stop(0)
    stats = await store.stats()
    assert sorted(int(outcome.value) for outcome in outcomes) == list(range(20))
    assert stats["A"].done == 20


async def test_a_store_that_is_down_stops_the_starts(autojump_clock, store):
    """What cannot be stored counts as buffered: no more tasks start than fit."""
    started = []

    async def scrape(task):
        started.append(task.event.id)

    engine = se.Engine([se.Platform("A", scrape, limit=2)], buffer=5)
    await engine.enqueue(store, [se.Event(n) for n in range(100)])
    store.down.add("complete")
    async with engine.serve(store):
        await trio.sleep(5)
    assert 5 <= len(started) <= 5 + 2


async def test_follow_ups_are_stored_with_the_end(autojump_clock, store):
    """Not before it, and not if the task was cut off; what is known is left as it is."""

    async def scrape(task):
        if task.event.id != "page":
            return
        assert task.follow(se.Event("link"))
        assert not task.follow(se.Event("link"))
        assert task.follow(se.Event("old"))
        with pytest.raises(se.UnknownPlatform):
            task.follow(se.Event("x", platforms=("X",)))
        await trio.sleep(10)

    engine = se.Engine([se.Platform("A", scrape)])
    await engine.enqueue(store, [se.Event("page"), se.Event("old")])
    async with engine.serve(store) as run:
        await trio.sleep(1)
        await run.stop(0)
    assert await store.get("A", "link") is None
    outcomes, report = await serve_all(engine, store, count=3)
    assert kinds(outcomes) == [(id, "A", "Success") for id in ("link", "old", "page")]
    assert report.redelivered == 1  # nobody has read what was known then


async def test_a_paused_platform_is_not_claimed_and_goes_on_when_it_is_tuned(autojump_clock, store):
    """Its jobs stay in the store, for others."""

    async def scrape(task):
        await trio.sleep(1)

    engine = se.Engine([se.Platform("A", scrape, limit=0), se.Platform("B", scrape)])
    await engine.enqueue(store, [se.Event(n) for n in range(4)])
    outcomes = []
    async with engine.serve(store) as run:
        outcomes += [await anext(run) for _ in range(4)]
        await trio.sleep(60)
        before = (await store.stats())["A"]
        engine.tune("A", limit=4)
        begun = trio.current_time()
        outcomes += [await anext(run) for _ in range(4)]
        await run.stop(0)
    took = trio.current_time() - begun
    assert (before.ready, before.leased) == (4, 0)
    assert [outcome.platform for outcome in outcomes] == 4 * ["B"] + 4 * ["A"]
    assert took == 1


async def test_jobs_of_hosts_without_a_platform_of_their_own(autojump_clock, store):
    """The engine's default serves each host, and lanes of hosts that have no work go away."""

    async def scrape(task):
        await trio.sleep(1)
        return task.platform

    engine = se.Engine([], default=se.Platform("*", scrape, limit=1), event_limit=100)
    await engine.enqueue(store, [se.Event(url=f"http://h{n % 20}.test/{n}") for n in range(60)])
    begun = trio.current_time()
    outcomes, _ = await serve_all(engine, store, count=60)
    took = trio.current_time() - begun
    assert len({outcome.value for outcome in outcomes}) == 20
    assert took == 3


async def test_jobs_of_a_platform_that_this_engine_does_not_have_are_left_alone(autojump_clock, store):
    """They are another engine's."""

    async def scrape(task):
        pass

    mine, other = (se.Engine([se.Platform(name, scrape)]) for name in "AB")
    await mine.enqueue(store, [se.Event(1)])
    await other.enqueue(store, [se.Event(1)])
    outcomes, _ = await serve_all(mine, store, count=1)
    stats = await store.stats()
    assert kinds(outcomes) == [("1", "A", "Success")]
    assert stats["B"].ready == 1


async def test_two_engines_share_the_work(autojump_clock, store):
    """Each job is one engine's, and both have some."""
    by = {"one": [], "two": []}

    def engine(name):
        async def scrape(task):
            by[name].append(task.event.id)
            await trio.sleep(1)

        return se.Engine([se.Platform("A", scrape, limit=2)])

    one, two = engine("one"), engine("two")
    await one.enqueue(store, [se.Event(n) for n in range(40)])
    async with one.serve(store) as first, two.serve(store) as second:
        while pending(await store.stats()):
            await trio.sleep(1)
        await first.stop(0)
        await second.stop(0)
    assert sorted(int(id) for ids in by.values() for id in ids) == list(range(40))
    assert min(map(len, by.values())) >= 10


async def test_what_comes_later_is_served_at_once(autojump_clock, store):
    """An idle engine starts what is enqueued in the instant in which it is."""

    async def scrape(task):
        return trio.current_time()

    engine = se.Engine([se.Platform("A", scrape)])
    async with engine.serve(store) as run:
        await trio.sleep(1000)
        await engine.enqueue(store, [se.Event(1)])
        at_once = (await anext(run)).value - trio.current_time()
        now = trio.current_time()
        await engine.enqueue(store, [se.Event(2)], delay=77)
        later = (await anext(run)).value - now
        await run.stop(0)
    assert at_once == 0
    assert later == pytest.approx(77, abs=1e-3)


async def test_an_engine_makes_one_run_at_a_time(autojump_clock, store):
    """Serving is a run like any other."""

    async def scrape(task):
        pass

    engine = se.Engine([se.Platform("A", scrape)])
    async with engine.serve(store):
        with pytest.raises(se.EngineBusy):
            await engine.run([])
