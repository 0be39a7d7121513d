"""Law 3: at no instant more tasks, requests or events than their limits; also while these are tuned."""

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from support.strategies import abandonments, cases, quarters, requests, scripts, sleeps, troubles
from support.world import World, outcomes_of, virtually


@given(cases(steps=scripts(sleeps, requests, troubles, abandonments)))
def test_limits_hold_at_every_instant(case):
    """Tasks and requests of a platform, and events in progress, never exceed their limits, as the platforms see it."""
    world, engine = case.build()
    virtually(outcomes_of, engine, case.events)
    assert not world.ledger.broken
    assert not world.ledger.events_inside


@given(cases(steps=scripts(sleeps, longest=1), with_rates=False))
def test_an_event_is_in_progress_from_its_first_start_to_its_last_end(case):
    """Where nothing is parked, an event counts from the start of its first task to the end of its last."""
    world, engine = case.build()
    virtually(outcomes_of, engine, case.events)
    ledger, spans = world.ledger, []
    for event in case.events:
        tasks = [(event.id, name) for name in event.platforms]
        spans.append((min(ledger.starts[task] for task in tasks), max(ledger.ends[task] for task in tasks)))
    for begin, _ in spans:
        # What ends at this instant may have ended just before.
        assert sum(first <= begin < last for first, last in spans) <= case.options["event_limit"]


@given(
    cases(steps=scripts(sleeps, longest=2), event_limits=st.just(100)),
    st.lists(st.tuples(quarters, st.integers(0, 5)), max_size=6),
)
def test_limits_hold_while_they_are_tuned(case, changes):
    """Raised, a limit counts at once; lowered, no task starts above it; at 0 none starts."""
    world, engine = case.build()

    async def main():
        async with engine.stream(case.events) as run, trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _():
                for wait, limit in changes:
                    await trio.sleep(wait)
                    # What was started at this instant enters its scraper yet; from then on the new limit holds.
                    limits = world.ledger.limits
                    limits["A"] = max(limits["A"], limit)
                    if limit % 2:
                        engine.tune("A", limit=limit)
                    else:  # as one of all settings at once
                        engine.apply(engine.settings().with_values({"platforms": {"A": {"limit": limit}}}))
                    await trio.testing.wait_all_tasks_blocked()
                    limits["A"] = limit
                await trio.sleep(1)
                world.ledger.limits["A"] = 5
                engine.tune("A", limit=5)

            async for _ in run:
                pass
        return run.report

    report = virtually(main)
    assert not world.ledger.broken
    assert report.tasks == report.outcomes.total


async def test_a_raised_limit_counts_at_once_and_a_lowered_one_as_tasks_end(autojump_clock):
    """From 2 to 5: three more start at that instant. From 5 to 1: none starts until four have ended."""
    world = World(default=[("sleep", 10)])
    engine = world.engine([world.platform("A", limit=2)], event_limit=100)
    running = []

    begun = trio.current_time()
    async with engine.stream(se.Event(n) for n in range(9)) as run, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _():
            for when, limit in [(1, 5), (3, 1), (12, 0), (50, 1)]:
                await trio.sleep(when - (trio.current_time() - begun))
                world.ledger.limits["A"] = limit
                engine.tune("A", limit=limit)
                await trio.testing.wait_all_tasks_blocked()
                running.append(world.ledger.started["A"])

        async for _ in run:
            pass
    starts = sorted(time - begun for time in world.ledger.starts.values())
    assert running == [5, 5, 1, 1]
    assert starts == [0, 0, 1, 1, 1, 11, 50, 60, 70]
    assert not world.ledger.broken


async def test_a_task_makes_one_request_at_a_time(autojump_clock):
    """Requests that a scraper makes at once go one after the other: its slot carries one."""
    world = World()

    async def scrape(task):
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(lambda: task.http.get("/e", params={"latency": 1, "status": 200, "hops": 0}))

    platform = world.platform("A", limit=1)
    engine = world.engine([se.Platform("A", scrape, limit=1, base_url=platform.base_url)])
    await outcomes_of(engine, [se.Event("e")])
    times = world.ledger.requests["A"]
    assert [time - times[0] for time in times] == [0, 1, 2, 3, 4]
    assert not world.ledger.broken


async def test_a_wait_that_the_scraper_gives_up_gives_control_back_with_a_slot(autojump_clock):
    """A scope of the scraper's own that ends a wait lets it go on only when a slot is free."""
    world = World(
        scripts={("first", "A"): [("give up after", 2), ("request", 0, 500), ("sleep", 1)]}, default=[("sleep", 10)]
    )
    retry = se.Retry(initial_wait=100, max_wait=100)
    engine = world.engine([world.platform("A", limit=1, retry=retry)], random=lambda: 1.0)

    begun = trio.current_time()
    outcomes, _ = await outcomes_of(engine, [se.Event("first"), se.Event("second")])
    ends = {event: time - begun for (event, _), time in world.ledger.ends.items()}
    assert ends == {"second": 10, "first": 11}
    assert not world.ledger.broken
    [first] = [outcome for outcome in outcomes if outcome.event.id == "first"]
    assert (first.parked, first.ran) == (10, 1)


@given(
    limit=st.integers(1, 4),
    takes=st.integers(1, 8),
    paused=st.integers(0, 30),
    lasts=st.integers(1, 40),
    others=st.booleans(),
)
def test_nothing_starts_on_a_platform_while_it_is_paused_in_the_store(limit, takes, paused, lasts, others):
    """From a quarter of a second after it was, until it is resumed; then all that waited runs. Others go on."""
    starts, ends = {"p": [], "q": []}, []

    async def scrape(task):
        starts[task.platform].append(trio.current_time())
        await trio.sleep(takes / 4)
        ends.append(trio.current_time())

    async def main():
        engine = se.Engine([se.Platform(name, scrape, limit=limit) for name in starts])
        async with se.open_store("memory:") as store:
            names = [["p"], ["q"]] if others else [["p"]]
            await engine.enqueue(store, [se.Event(n, platforms=names[n % len(names)]) for n in range(24)])
            # One that comes while it is paused, and one without which the run would end then, with an error.
            await engine.enqueue(store, [se.Event("late", platforms=["p"])], delay=(paused + lasts / 2) / 4)
            await engine.enqueue(store, [se.Event("last", platforms=["q"])], delay=(paused + lasts) / 4 + 1)
            begun = trio.current_time()
            async with engine.serve(store, until="empty") as run, trio.open_nursery() as nursery:
                nursery.start_soon(run.wait)
                await trio.sleep(paused / 4)
                await store.pause("p")
                first = trio.current_time() + 0.25
                await trio.sleep(lasts / 4)
                last = trio.current_time()
                await store.resume("p")
        assert not [at for at in starts["p"] if first <= at < last]
        assert len(ends) == 26
        if others:
            assert starts["q"][:12] == [begun + (n // limit) * takes / 4 for n in range(12)]

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
