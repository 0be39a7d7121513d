"""Law 6: who waits before its first request is not started; who waits later is parked, and holds no slot."""

import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from support.strategies import abandonments, cases, rates, requests, scripts, sleeps, troubles, waits
from support.world import World, outcomes_of, virtually


@given(cases(steps=scripts(requests, requests, sleeps, troubles, abandonments)))
def test_running_and_parked_are_at_most_twice_the_limit(case):
    """However much backs off or waits for its turn, a platform has at most twice its limit of started tasks."""
    world, engine = case.build()
    virtually(outcomes_of, engine, case.events)
    for name, limit in case.limits.items():
        assert world.ledger.most_started[name] <= 2 * limit


@given(cases(steps=scripts(sleeps, longest=1).map(lambda steps: [("request", 0.25, 200), *steps])))
def test_a_task_is_started_only_when_its_first_request_may_be_sent(case):
    """A scraper that begins with a request is called at the instant in which that request goes out."""
    world, engine = case.build()
    virtually(outcomes_of, engine, case.events)
    for name in case.limits:
        starts = sorted(time for (_, platform), time in world.ledger.starts.items() if platform == name)
        assert starts == sorted(world.ledger.requests[name])


@given(rates, st.integers(1, 4), st.integers(1, 4))
def test_while_a_parked_task_waits_for_the_rate_alone_no_new_one_starts(rate, limit, requests_each):
    """Tasks end in the order in which they were started: none is overtaken by a newcomer."""
    world = World(default=[("request", 0, 200)] * requests_each)
    engine = world.engine([world.platform("A", limit=limit, rate=rate)])
    virtually(outcomes_of, engine, [se.Event(n) for n in range(8)])
    started = [time for _, time in sorted(world.ledger.starts.items(), key=lambda pair: int(pair[0][0]))]
    assert started == sorted(started)
    waits_for_rate = world.ledger.most_started["A"] - rate.burst
    assert waits_for_rate <= limit


@given(waits, st.sampled_from(["retry", "request"]))
def test_a_task_in_backoff_holds_neither_slot(seconds, kind):
    """With limits of one everywhere, others run while one waits, and its own event's slot is theirs too."""
    back_off = [("retry", seconds)] if kind == "retry" else [("request", 0, (429, int(seconds) + 1))]
    world = World(scripts={("first", "A"): back_off}, default=[("sleep", 0.125)])
    engine = world.engine([world.platform("A", limit=1), world.platform("B", limit=1)], event_limit=1)
    other = "A" if kind == "retry" else "B"
    events = [se.Event("first", platforms=("A",)), se.Event("second", platforms=(other,))]
    virtually(outcomes_of, engine, events)
    ledger = world.ledger
    assert ledger.ends["second", other] - ledger.starts["first", "A"] == 0.125
    assert not ledger.broken


async def test_parked_tasks_come_before_new_ones(autojump_clock):
    """When a backoff ends, the task takes the next slot, ahead of all that wait for their start."""
    world = World(scripts={("0", "A"): [("retry", 2.5), ("sleep", 1)]}, default=[("sleep", 1)])
    engine = world.engine([world.platform("A", limit=1)], event_limit=1)
    await outcomes_of(engine, [se.Event(n) for n in range(8)])
    order = [event for (event, _), _ in sorted(world.ledger.ends.items(), key=lambda pair: pair[1])]
    assert order.index("0") == 3


@given(st.integers(1, 3), st.integers(2, 5), st.floats(0.01, 0.3), st.sampled_from(["rate", "limit"]))
def test_a_parked_task_is_not_passed_by_all_others_where_slots_and_turns_never_come_together(limit, slots, took, binds):
    """Turns of A go to events that have slots; a slot is free as one of these ends, when A has no turn."""
    back_off = [("retry", 1), ("request", took, 200)]
    world = World(scripts={("0", "A"): back_off}, default=[("request", took, 200)])
    rate = se.Rate(6) if binds == "rate" else None
    engine = world.engine(
        [world.platform("A", limit=limit, rate=rate), world.platform("B", limit=slots)], event_limit=slots
    )
    virtually(outcomes_of, engine, map(se.Event, range(50)))
    came_back = world.ledger.ends["0", "A"]
    passed_by = [end for (_, platform), end in world.ledger.ends.items() if platform == "A" and 1 < end < came_back]
    assert len(passed_by) <= slots + limit + 2


async def test_an_event_whose_tasks_all_wait_for_closed_or_paused_platforms_is_parked(autojump_clock):
    """Event limit one, and the event's other platform is paused: the next event goes on, and the first comes back."""
    world = World(default=[("sleep", 1)])
    engine = world.engine([world.platform("A"), world.platform("B")], event_limit=1)
    engine.tune("A", limit=0)

    begun = trio.current_time()
    async with engine.stream([se.Event("both"), se.Event("one", platforms=("B",))]) as run:
        outcomes = [await anext(run), await anext(run)]
        assert run.statistics().in_progress == 0
        await trio.sleep_until(begun + 10)
        engine.tune("A", limit=1)
        outcomes.append(await anext(run))
    assert [(o.event.id, o.platform, o.queued + o.ran) for o in outcomes] == [
        ("both", "B", 1),
        ("one", "B", 2),
        ("both", "A", 11),
    ]


async def test_parked_time_does_not_count_against_the_deadline_of_a_task(autojump_clock):
    """A task of 2 s of work with a deadline of 3 s may be parked for an hour in between."""
    world = World(default=[("sleep", 1), ("retry", 3600), ("sleep", 1)])
    engine = world.engine([world.platform("A", timeout=se.Timeout(task=3.5))])
    [outcome], _ = await outcomes_of(engine, [se.Event("e")])
    assert isinstance(outcome, se.Success)
    assert (outcome.parked, outcome.ran, outcome.attempts) == (3600, 3, 2)


async def test_a_task_that_runs_too_long_fails(autojump_clock):
    """The time in which a task holds its slot does count: after that its scraper is cancelled."""
    world = World(scripts={("slow", "A"): [("sleep", 1), ("retry", 50), ("sleep", 9)]}, default=[("sleep", 1)])
    engine = world.engine([world.platform("A", timeout=se.Timeout(task=3))])
    outcomes, _ = await outcomes_of(engine, [se.Event("slow"), se.Event("fast")])
    assert [type(outcome) for outcome in outcomes] == [se.Success, se.Failure]
    assert isinstance(outcomes[1].error, se.TaskTimeout)
    assert (outcomes[1].ran, outcomes[1].parked) == (3, 50)


async def test_parked_tasks_at_the_bound_do_not_wait_for_ever_for_a_newcomers_event_slot(autojump_clock):
    """Two parked tasks fill the bound; an event that waits for that platform must not keep the last event slot."""
    back_off = [("retry", 1)]
    world = World(scripts={("1", "A"): back_off, ("2", "A"): back_off}, default=[("sleep", 0.25)])
    engine = world.engine([world.platform("A", limit=1), world.platform("B", limit=1)], event_limit=1)

    async def source():
        yield se.Event(1, platforms=("A",))
        yield se.Event(2, platforms=("A",))
        await trio.sleep(0.5)  # both are parked now
        yield se.Event(3, platforms=("B", "A"))

    _, report = await outcomes_of(engine, source())
    assert report.outcomes.succeeded == 4


async def test_a_platform_starts_others_while_tasks_are_parked_up_to_twice_its_limit(autojump_clock):
    """Limit two, all back off for long: four have been started, not two and not six."""
    world = World(default=[("retry", 100)])
    engine = world.engine([world.platform("A", limit=2)])

    async with engine.stream(map(se.Event, range(10))) as run:
        await trio.sleep(50)
        now = run.statistics()
    assert (now.running, now.parked, now.waiting) == (0, 4, 6)
