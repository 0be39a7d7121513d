"""`run.wait`: the end of a run, for who reads no outcomes; and what is said where nobody reads and nobody waits."""

import pytest
import trio

import scrapeengine as se
from support.world import World


def napping(**options):
    """Make an engine for tasks of a second."""
    world = World(default=[("sleep", 1)])
    return world.engine([world.platform("A", limit=4)], **options)


async def test_it_returns_the_report_of_the_end(autojump_clock):
    """Nobody reads, and nothing stands still: the buffer is for who does."""
    async with napping(buffer=5).stream(map(se.Event, range(100))) as run:
        report = await run.wait()
    assert report.outcomes.succeeded == report.tasks == 100
    assert (report.elapsed, report.unread) == (25, 0)


async def test_with_sinks_nobody_need_read(autojump_clock):
    """They have all of it; a body that only sleeps does not hold the run up."""
    got = []

    async def sink(batch):
        got.extend(batch)

    async with napping(buffer=5).stream(map(se.Event, range(100)), sinks=[sink]) as run:
        await trio.sleep(26)
    assert len(got) == 100
    assert run.report.unread == 0


async def test_it_takes_nothing_from_who_reads(autojump_clock):
    """Another task reads the run: it has all, and `wait` returns when all has ended."""
    found = []
    async with napping(buffer=5).stream(map(se.Event, range(40))) as run, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read():
            async for outcome in run:
                found.append(outcome)

        await trio.sleep(0.5)
        report = await run.wait()
    assert len(found) == report.outcomes.succeeded == 40


async def test_who_has_read_enough_waits_for_the_rest(autojump_clock):
    """Whoever leaves its loop, and waits, reads no more."""
    async with napping(buffer=5).stream(map(se.Event, range(40))) as run:
        async for _ in run:
            break
        assert (await run.wait()).outcomes.succeeded == 40


async def test_it_raises_what_the_source_has_raised(autojump_clock):
    """Once, after all that came before."""

    def source():
        yield se.Event(1)
        raise OSError("no more")

    async with napping().stream(source()) as run:
        with pytest.raises(OSError, match="no more"):
            await run.wait()
        assert (await run.wait()).outcomes.succeeded == 1


async def test_what_a_test_framework_raises_fails_the_test(autojump_clock):
    """Nobody else could see it; where sinks have had it, they have."""
    kept = []

    async def scrape(task):
        pytest.fail("not so")

    async def sink(batch):
        kept.extend(batch)

    engine = se.Engine([se.Platform("A", scrape)])
    with pytest.raises(pytest.fail.Exception, match="not so"):
        async with engine.stream([se.Event(1)]) as run:
            await run.wait()
    async with engine.stream([se.Event(1)], sinks=[sink]) as run:
        await run.wait()
    assert len(kept) == 1


async def test_it_is_ended_by_a_sink_that_fails(autojump_clock):
    """As the run is."""

    async def broken(_):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        async with napping().stream(map(se.Event, range(40)), sinks=[broken]) as run:
            await run.wait()


async def test_who_cancels_it_lets_the_run_go_on(autojump_clock):
    """And may read, or wait, later."""
    async with napping(buffer=5).stream(map(se.Event, range(40))) as run:
        with trio.move_on_after(2.5):
            await run.wait()
        rest = len([outcome async for outcome in run])
    assert rest >= 40 - 8
    assert run.report.outcomes.succeeded == 40


async def test_who_waits_beside_a_body_that_leaves_is_not_kept(autojump_clock):
    """The run is left while another task waits: that is its end too."""
    reports = []
    async with trio.open_nursery() as nursery:
        async with napping().stream(map(se.Event, range(40))) as run:

            @nursery.start_soon
            async def wait():
                reports.append(await run.wait())

            await trio.sleep(1.5)
    assert reports[0].outcomes.cancelled == 36


@pytest.mark.parametrize("reads", [True, False])
async def test_it_is_said_that_nobody_reads(autojump_clock, caplog, reads):
    """Once, ten seconds after the buffer was full: until then somebody may begin."""
    async with napping(buffer=5).stream(map(se.Event, range(40))) as run:
        await trio.sleep(9)
        if reads:
            await anext(run)
        await trio.sleep(100)
    assert caplog.text.count("nobody reads the outcomes") == (not reads)
    assert ("run.wait()" in caplog.text) == (not reads)
