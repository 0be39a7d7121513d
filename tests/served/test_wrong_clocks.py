"""Engines whose machine's clock is set while they serve a store, or poll it, or between two of them."""

import itertools
import time

import attrs
import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.stores.clock import Clock
from scrapeengine.stores.sqlite.policy import SqlitePolicy
from scrapeengine.stores.sqlite.store import in_file
from stores.machines import Machine
from support.serving import serve_all

STEPS = [-3600.0, 30.0, 3600.0, 2.3e9, -1.69e9]
STEADY = se.Cadence(min_interval=60, max_interval=60, jitter=0)


@pytest.fixture
def machine(autojump_clock):
    """Make a machine, in virtual time."""
    return Machine(autojump_clock)


@pytest.fixture
async def store(machine):
    """Open a store in its memory."""
    async with machine.open("memory:") as store:
        yield store


@pytest.mark.parametrize("step", STEPS)
async def test_what_recurs_recurs_at_its_pace(autojump_clock, machine, store, nursery, step):
    """The clock is set again and again, to and fro, while it is served."""
    ran = []

    async def work(_):
        ran.append(trio.current_time())

    engine = se.Engine([se.Platform("A", work)])
    await engine.enqueue(store, [se.Event("feed")], cadence=STEADY)

    async def set_it():
        for sign in itertools.cycle([1, -1]):
            await trio.sleep(47)
            machine.set_clock(sign * step)

    async with engine.serve(store) as run:
        nursery.start_soon(set_it)
        for _ in range(10):
            await anext(run)
        await run.stop(0)
    assert ran == pytest.approx([60 * n for n in range(10)], abs=1e-4)


@pytest.mark.parametrize("step", STEPS)
async def test_a_task_that_runs_while_the_clock_is_set_keeps_its_lease(autojump_clock, machine, store, step):
    """It is renewed, and its result accepted; nobody else has it meanwhile."""
    ran = []

    async def work(_):
        ran.append(trio.current_time())
        await trio.sleep(100)
        return "done"

    engine = se.Engine([se.Platform("A", work)])
    await engine.enqueue(store, [se.Event("a")])

    async def set_it():
        await trio.sleep(50)
        machine.set_clock(step)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(set_it)
        outcomes, report = await serve_all(engine, store, lease=15)
    assert [outcome.value for outcome in outcomes] == ["done"]
    assert (report.lost, ran) == (0, [0.0])


@pytest.mark.parametrize("step", STEPS)
async def test_a_round_in_which_the_clock_is_set_is_the_same_round(autojump_clock, machine, store, step):
    """It runs all that was due when it began, nothing that comes due meanwhile, and ends."""
    ran = []

    async def work(task):
        machine.set_clock(step * (-1) ** len(ran))
        ran.append(task.event.id)
        await trio.sleep(100)

    engine = se.Engine([se.Platform("A", work, limit=1)])
    await engine.enqueue(store, [se.Event(f"now-{n}") for n in range(3)], cadence=STEADY)
    await engine.enqueue(store, [se.Event(f"later-{n}") for n in range(3)], cadence=STEADY, delay=50)
    await engine.enqueue(store, [se.Event(f"due-{n}") for n in range(3)], cadence=STEADY, delay=5)
    await trio.sleep(10)
    report = await engine.poll(store)
    assert sorted(ran) == [f"{kind}-{n}" for kind in ("due", "now") for n in range(3)]
    assert report.outcomes.succeeded == 6


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
async def test_a_penalty_is_for_all_engines_whatever_their_clocks(tmp_path, step):
    """`Retry-After: 1` closes a platform for that long in an engine that had the file open before the step, too."""
    asked, told = [], []

    async def answer(request):
        asked.append((request.url.path, time.monotonic()))
        if len({path for path, _ in asked}) == 2 and not told:
            told.append(time.monotonic())
            return httpx.Response(429, headers={"Retry-After": "1"})
        return httpx.Response(200)

    def engine(name=""):
        async def scrape(task):
            await task.http.get(f"http://a.test/{name}")

        platform = se.Platform("A", scrape, transport=httpx.MockTransport(answer), rate=se.Rate(20), limit=2)
        return se.Engine([platform])

    def store(ahead):
        clock = attrs.evolve(Clock.of_this_run(), wall=lambda: time.time() + ahead)
        return in_file(f"{tmp_path}/jobs.db", SqlitePolicy(), clock)

    ended = 0
    with trio.fail_after(30):
        async with store(0) as mine, store(step) as yours, trio.open_nursery() as nursery:
            await engine().enqueue(mine, [se.Event(n) for n in range(40)])

            async def serve(one, name):
                nonlocal ended
                async with engine(name).serve(one) as run:
                    async for _ in run:
                        ended += 1
                        if ended == 40:
                            nursery.cancel_scope.cancel()

            nursery.start_soon(serve, mine, "mine")
            nursery.start_soon(serve, yours, "yours")
    assert ended == 40
    after = [at - told[0] for _, at in asked]
    assert {path for path, at in asked if at > told[0] + 1} == {"/mine", "/yours"}
    # Others hear of it within half a second.
    assert not [at for at in after if 0.6 < at < 1]
    assert [at for at in after if 1 <= at < 3]
    assert max(after) < 10
