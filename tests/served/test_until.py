"""Runs that end by themselves: when nothing is due, or when nothing is pending any more."""

import httpx
import pytest
import trio

import scrapeengine as se
from support.serving import pending

SOON = se.Cadence(min_interval=100, max_interval=100, jitter=0)


async def scrape(task):
    """Take a second, and follow so many pages."""
    await trio.sleep(1)
    for number in range(task.event.data or 0):
        task.follow(se.Event(f"{task.event.id}/{number}"))
    return task.event.id


def engine(*names, **options):
    """Make an engine of platforms."""
    return se.Engine([se.Platform(name, scrape, limit=4, **options) for name in names or "A"])


async def ended(store, until, engine=None, **options):
    """Make a run to its end; return its report, and how long it took."""
    begun = trio.current_time()
    async with (engine or globals()["engine"]()).serve(store, until=until, **options) as run:
        report = await run.wait()
    return report, trio.current_time() - begun


@pytest.mark.parametrize("until", ["idle", "empty"])
async def test_a_run_ends_with_its_work(autojump_clock, store, until):
    """What tasks follow, and what comes in meanwhile, belongs to it."""
    await engine().enqueue(store, [se.Event("root", data=3)])
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def more():
            await trio.sleep(1.5)
            await engine().enqueue(store, [se.Event("late", data=1)])

        report, took = await ended(store, until)
    assert report.outcomes.succeeded == 1 + 3 + 2
    assert report.stopped is None
    assert not pending(await store.stats())
    assert took <= 4.5


@pytest.mark.parametrize("until", ["idle", "empty"])
async def test_there_is_nothing_to_do(autojump_clock, store, until):
    """The run ends at once."""
    report, took = await ended(store, until)
    assert (report.tasks, took) == (0, 0)


async def test_delayed_jobs_are_left_by_idle_and_waited_for_by_empty(autojump_clock, store):
    """Those that are not due when all else is done."""
    await engine().enqueue(store, [se.Event(1)])
    await engine().enqueue(store, [se.Event(2)], delay=50)
    report, took = await ended(store, "idle")
    assert (report.outcomes.succeeded, took) == (1, 1)
    report, took = await ended(store, "empty")
    assert (report.outcomes.succeeded, took) == (1, 50)


async def test_what_comes_due_while_it_works_is_done_by_idle(autojump_clock, store):
    """It is what is due now, and not when it began; also while another platform keeps it at work."""
    await engine("A", "B").enqueue(store, [se.Event(n, platforms=["A"]) for n in range(20)])
    await engine("A", "B").enqueue(store, [se.Event("b", platforms=["B"])], delay=2)
    begun, times = trio.current_time(), {}
    async with engine("A", "B").serve(store, until="idle") as run:
        async for outcome in run:
            times[outcome.event.id] = trio.current_time() - begun
    assert len(times) == 21
    assert times["b"] == 3


@pytest.mark.parametrize("how", ["closed", "paused"])
async def test_a_platform_that_cannot_go_on_is_left_by_idle(autojump_clock, store, how):
    """By "empty" a penalty is waited for; where all that is left is paused, the run ends with an error."""
    both = engine("A", "B")
    await both.enqueue(store, [se.Event(n) for n in range(6)])
    if how == "paused":
        both.tune("A", limit=0)
    else:
        both.close("A", 1000)
    report, took = await ended(store, "idle", both)
    assert (report.outcomes.succeeded, took) == (6, 2)
    assert (await store.stats())["A"].ready + (await store.stats())["A"].delayed == 6
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def open_again():
            await trio.sleep(30)
            both.reopen("A")

        if how == "paused":
            with pytest.raises(ValueError, match="the 6 jobs that are left are all on platforms that are paused, 'A'"):
                await ended(store, "empty", both)
        else:
            report, took = await ended(store, "empty", both)
            assert (report.outcomes.succeeded, took) == (6, 32)


async def test_others_jobs_and_delayed_ones_are_waited_for_before_it_is_said_that_the_rest_is_paused(
    autojump_clock, store
):
    """They may end, and what a program pauses for a while it may go on with until then."""
    both = engine("A", "B")
    await both.enqueue(store, [se.Event("a", platforms=["A"])])
    await both.enqueue(store, [se.Event("b", platforms=["B"])], delay=50)
    both.tune("A", limit=0)
    begun = trio.current_time()
    with pytest.raises(ValueError, match="the 1 jobs that are left"):
        await ended(store, "empty", both)
    assert trio.current_time() - begun == 51
    assert await store.claim("A", 1, "another", 20)
    with pytest.raises(ValueError, match="the 1 jobs that are left"):
        await ended(store, "empty", both)
    assert 71 <= trio.current_time() - begun <= 72


async def test_a_pause_of_the_engines_own_does_not_hang_empty(autojump_clock, store):
    """A scraper returns what no store can keep: the run that was to do all says that it cannot."""

    async def now(_):
        return {1, 2}

    wrong = se.Engine([se.Platform("A", now)])
    await wrong.enqueue(store, [se.Event(1)])
    with pytest.raises(ValueError, match="paused, 'A'; go on with tune"):
        await ended(store, "empty", wrong)
    assert (await store.stats())["A"].ready == 1


@pytest.mark.parametrize("url", ["memory:", "sqlite:{}/jobs.db"])
@pytest.mark.parametrize("seconds", [3, 299, 400])
async def test_a_penalty_of_the_store_is_left_by_idle_however_short(autojump_clock, tmp_path, url, seconds):
    """Also where the engine hears of it only once it has jobs in hand; "empty" waits for its end, and no longer."""
    async with se.open_store(url.format(tmp_path)) as store:
        await engine().enqueue(store, [se.Event(n) for n in range(20)])
        await store.close("A", seconds)
        report, took = await ended(store, "idle")
        assert (report.outcomes.total, took < 2) == (0, True)
        report = await engine().poll(store)
        assert report.outcomes.total == 0
        report, took = await ended(store, "empty")
        assert report.outcomes.succeeded == 20
        assert took <= seconds + 10


@pytest.mark.parametrize("url", ["memory:", "sqlite:{}/jobs.db"])
async def test_a_site_that_closes_for_a_moment(autojump_clock, tmp_path, url):
    """What was in hand is given back where no task is; while one is parked, the run goes on with all when it opens."""
    refused = []

    async def answer(request):
        if not refused:
            refused.append(request)
            return httpx.Response(429, headers={"retry-after": "20"})
        return httpx.Response(200)

    async def ask(task):
        await task.http.get("http://a.test/")

    for attempts, done in ((1, 0), (2, 6)):
        refused.clear()
        how = {"limit": 1, "transport": httpx.MockTransport(answer), "retry": se.Retry(attempts=attempts)}
        polite = se.Engine([se.Platform("A", ask, **how)])
        async with se.open_store(url.format(tmp_path)) as store:
            await polite.enqueue(store, [se.Event(f"{attempts}-{n}") for n in range(6)])
            report, took = await ended(store, "idle", polite)
            assert report.outcomes.succeeded == done
            assert took < 2 if attempts == 1 else 20 <= took < 25
            assert (report.returned > 0) == (attempts == 1)  # who waits beside one that is parked stays in hand
            await store.retry()
            await ended(store, "empty", polite)
            assert pending(await store.stats()) == 0


async def test_a_site_that_asks_to_be_left_alone(autojump_clock, store):
    """A `Retry-After` beyond patience: "idle" leaves what is left for later, "empty" comes back to it."""
    asked = []

    async def answer(request):
        asked.append(trio.current_time() - begun)
        return httpx.Response(200) if len(asked) > 1 else httpx.Response(429, headers={"retry-after": "900"})

    async def ask(task):
        await task.http.get("http://a.test/")

    begun = trio.current_time()
    polite = se.Engine([se.Platform("A", ask, limit=1, transport=httpx.MockTransport(answer))])
    await polite.enqueue(store, [se.Event(n) for n in range(3)])
    _, took = await ended(store, "idle", polite)
    assert took < 5
    assert len(asked) == 1
    assert pending(await store.stats()) == 2
    await ended(store, "empty", polite)
    assert not pending(await store.stats())
    assert len(asked) == 3
    assert asked[1] >= 900


async def test_jobs_that_another_engine_has(autojump_clock, store):
    """Who ends when idle leaves them to it; who ends when empty waits until they have ended, or have come back."""

    async def takes_long(_):
        await trio.sleep(100)

    slow = se.Engine([se.Platform("A", takes_long)])
    await engine().enqueue(store, [se.Event(1)])
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def other():
            await ended(store, "idle", slow)

        await trio.sleep(1)
        report, took = await ended(store, "idle")
        assert (report.tasks, took) == (0, 0)
        report, took = await ended(store, "empty")
        assert report.tasks == 0
        assert 99 <= took <= 100


async def test_a_job_of_a_process_that_died_is_done_by_empty(autojump_clock, store):
    """Once its lease has ended."""
    await engine().enqueue(store, [se.Event(1)])
    await store.claim("A", 1, "who has died", 40)
    report, took = await ended(store, "empty")
    assert (report.outcomes.succeeded, took) == (1, 41)


@pytest.mark.parametrize("until", ["idle", "empty"])
async def test_platforms_that_the_engine_does_not_have_are_no_business_of_its(autojump_clock, store, until, caplog):
    """Nobody here could do their jobs; "empty" says what it leaves."""
    await engine("B").enqueue(store, [se.Event(1)], cadence=SOON)
    await engine("A").enqueue(store, [se.Event(1)])
    report, took = await ended(store, until)
    assert (report.outcomes.succeeded, took) == (1, 1)
    assert ("does not have" in caplog.text) == (until == "empty")


async def test_what_recurs_is_refused_on_entry(autojump_clock, store):
    """Before anything is done: such a store is never empty. "idle" does what is due."""
    await engine().enqueue(store, [se.Event(n) for n in range(3)])
    await engine().enqueue(store, [se.Event("often")], cadence=SOON)
    with pytest.raises(ValueError, match="1 jobs recur, on 'A'; write until=\"idle\""):
        async with engine().serve(store, until="empty"):
            raise AssertionError
    assert (await store.stats())["A"].ready == 4
    report, took = await ended(store, "idle")
    assert (report.outcomes.succeeded, took) == (4, 1)
    assert await store.cancel("A", "often")
    await ended(store, "empty")


@pytest.mark.parametrize("sinks", [True, False])
async def test_what_recurs_and_comes_later_ends_the_run_with_the_error(autojump_clock, store, sinks, caplog):
    """Once all else is done; a log line has it where nobody reads."""

    async def sink(batch):
        pass

    await engine().enqueue(store, [se.Event(n) for n in range(12)])
    async with engine().serve(store, until="empty", sinks=[sink] * sinks) as run:
        await trio.sleep(0.5)
        await engine().enqueue(store, [se.Event("often")], cadence=SOON)
        with pytest.raises(ValueError, match="1 jobs recur"):
            await run.wait()
    assert run.report.outcomes.succeeded == 13
    assert "would never end" in caplog.text


async def test_a_store_that_is_down_at_the_end_is_asked_again(autojump_clock, store):
    """The end waits for its answer."""
    await engine().enqueue(store, [se.Event(1)])
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def trouble():
            await trio.sleep(0.5)
            store.down.add("stats")
            await trio.sleep(30)
            store.down.clear()

        report, took = await ended(store, "empty")
    assert report.outcomes.succeeded == 1
    assert 30 <= took <= 36


async def test_a_run_of_sinks_ends_when_they_have_all(autojump_clock, store):
    """`wait` returns then, and not before."""
    got = []

    async def slow(batch):
        await trio.sleep(40)
        got.extend(batch)

    await engine().enqueue(store, [se.Event(n) for n in range(4)])
    report, took = await ended(store, "idle", sinks=[slow])
    assert (len(got), took, report.undelivered) == (4, 41, 0)


async def test_it_can_be_stopped_before_its_end(autojump_clock, store):
    """As any other run."""
    await engine().enqueue(store, [se.Event(n) for n in range(40)])
    async with engine().serve(store, until="empty") as run:
        await trio.sleep(2.5)
        await run.stop(0)
        report = await run.wait()
    assert report.stopped == "the run was stopped"
    assert (await store.stats())["A"].ready == 40 - 8


@pytest.mark.parametrize("until", ["never", 5, True])
async def test_an_end_that_there_is_not_is_refused(store, until):
    """The message names those that there are."""
    with pytest.raises(ValueError, match=r'"idle" .*, "empty" .* or None'):
        engine().serve(store, until=until)
