"""How many events may be in progress where nobody has said it: as many as the platforms can use."""

import pytest
import trio

import scrapeengine as se


async def nap(_):
    """Take a second."""
    await trio.sleep(1)


FITTING = {
    "few": ([3], None, 10),
    "the sum": ([30, 8, 8], None, 46),
    "a paused one": ([0, 20], None, 20),
    "many": ([900, 900], None, 1000),
    "hosts": ([8], 8, 100),
    "hosts beside many": ([300], 8, 300),
}


@pytest.mark.parametrize("case", FITTING)
async def test_it_fits_the_platforms(case, autojump_clock):
    """So that the limit of each can be reached."""
    limits, default, expected = FITTING[case]
    platforms = [se.Platform(str(number), nap, limit=limit) for number, limit in enumerate(limits)]
    hosts = None if default is None else se.Platform("*", nap, limit=default)
    async with se.Engine(platforms, default=hosts).stream([]) as run:
        assert run.statistics().event_limit == expected
        async for _ in run:
            pass


async def test_a_limit_of_fifty_is_reached(autojump_clock):
    """Nobody had to know that there is another limit."""
    engine = se.Engine([se.Platform("A", nap, limit=50)])
    async with engine.stream(map(se.Event, range(200))) as run:
        await trio.sleep(0.5)
        assert run.statistics().running == 50
        async for _ in run:
            pass


async def test_it_moves_with_the_platforms_as_long_as_nobody_has_said_it(autojump_clock):
    """What was said stays; None lets it move again."""
    engine = se.Engine([se.Platform("A", nap, limit=20), se.Platform("B", nap, limit=0)])
    async with engine.stream(map(se.Event, range(500))) as run:
        seen = [run.statistics().event_limit]
        for changes in ({"limit": 60}, {"limit": 5}):
            engine.tune("A", **changes)
            seen.append(run.statistics().event_limit)
        engine.tune(event_limit=7)
        engine.tune("A", limit=30)
        seen.append(run.statistics().event_limit)
        engine.tune(event_limit=None)
        seen.append(run.statistics().event_limit)
        await run.stop(0)
    assert seen == [20, 60, 10, 7, 30]


async def test_one_that_binds_is_said_once(autojump_clock, caplog):
    """By whoever said it; and once more if another one is said."""
    engine = se.Engine([se.Platform("A", nap, limit=50), se.Platform("B", nap, limit=4)], event_limit=10)
    for _ in range(2):
        await engine.run([se.Event(1)])
    assert caplog.text.count("keeps a platform from its own limit") == 1
    assert "platform='A'" in caplog.text
    caplog.clear()
    await se.Engine([se.Platform("A", nap, limit=10)], event_limit=10).run([se.Event(1)])
    await se.Engine([se.Platform("A", nap, limit=2000)]).run([se.Event(1)])
    assert not caplog.text
