"""A scraper that raises what ends the process: its job is set aside in the end, and the others run."""

import pytest
import trio

import scrapeengine as se


def kinds(counted):
    """Say how many jobs are ready, done and failed."""
    return counted.ready, counted.done, counted.failed


def raising(error):
    """Make an engine whose scraper raises this for one id."""

    async def scrape(task):
        if task.event.id == "bad":
            raise error
        await trio.sleep(1)

    return se.Engine([se.Platform("A", scrape, limit=3)])


async def served(engine, store, kind):
    """Make a run; say whether it was left by an error of this kind."""
    try:
        async with engine.serve(store, until="idle") as run:
            await run.wait()
    except BaseException as error:
        if type(error) is not kind:
            raise
        return True
    return False


@pytest.mark.parametrize("grouped", [False, True])
async def test_a_scraper_that_raises_system_exit_each_time_is_set_aside(autojump_clock, store, caplog, grouped):
    """The fourth such end is its last; nothing else is set aside, and all the others are done."""
    raised = []

    async def scrape(task):
        if task.event.id != "bad":
            await trio.sleep(1)
            return
        raised.append(trio.current_time())
        if grouped:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(leave)
        await leave()

    async def leave():
        raise SystemExit(7)

    engine = se.Engine([se.Platform("A", scrape, limit=3)])
    await engine.enqueue(store, [se.Event(id) for id in ("bad", *range(10))])
    report = None
    while report is None and len(raised) < 40:
        try:
            async with engine.serve(store, until="empty") as run:
                report = await run.wait()
        except* SystemExit:
            pass
    assert len(raised) == 4
    assert kinds((await store.stats())["A"]) == (0, 10, 1)
    assert report.errors == {"PoisonousJob": 1}
    assert "PoisonousJob: 4 processes have died" in (await store.get("A", "bad")).error
    assert "a scraper has raised SystemExit" in caplog.text
    assert await store.retry(ids=["bad"]) == 1


async def test_an_interrupt_is_no_jobs_fault(autojump_clock, store):
    """However often Ctrl-C comes while one job runs, that one is not set aside."""
    engine = raising(KeyboardInterrupt())
    await engine.enqueue(store, [se.Event("bad")])
    for _ in range(6):
        assert await served(engine, store, KeyboardInterrupt)
    [claimed] = await store.claim("A", 1, "me", 10)
    assert (claimed.deaths, claimed.ticket.id) == (0, "bad")


async def test_one_end_of_its_own_clears_a_job(autojump_clock, store):
    """It had raised SystemExit before, and does so no more."""
    engine = raising(SystemExit(1))
    await engine.enqueue(store, [se.Event("bad")])
    for _ in range(3):
        assert await served(engine, store, SystemExit)
    await trio.sleep(3)  # the last trial is of a process that has lived for a while
    assert not await served(raising(None), store, SystemExit)
    job = await store.get("A", "bad")
    assert job.status is se.JobStatus.FAILED  # `raise None` is a TypeError, and an end as any other
    assert "TypeError" in job.error
    await store.retry(ids=["bad"])
    [claimed] = await store.claim("A", 1, "me", 10)
    assert claimed.deaths == 0
