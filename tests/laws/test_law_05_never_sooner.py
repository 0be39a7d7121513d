"""Law 5: no request starts on a closed platform; `Retry-After` is never shortened; many refusals are one incident."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from support.strategies import abandonments, cases, quarters, scripts, sleeps
from support.world import World, outcomes_of, virtually

refusals = st.tuples(
    st.just("request"), quarters, st.one_of(st.just(200), st.tuples(st.sampled_from([429, 503]), st.integers(0, 9)))
)


@given(cases(steps=scripts(refusals, refusals, sleeps, abandonments)))
def test_no_request_arrives_before_the_platform_opens(case):
    """Whatever a platform answers, and to whom: none of its tasks asks again before the time that it gave."""
    world, engine = case.build()
    virtually(outcomes_of, engine, case.events)
    assert not world.ledger.broken


async def test_many_refusals_at_once_are_one_incident(autojump_clock):
    """Eight 429s without a header close the platform for 2 s, not for 2 s doubled seven times."""
    scripts = {(str(number), "A"): [("request", 1, 429)] for number in range(8)}
    world = World(scripts=scripts, default=[("request", 0, 200)])
    engine = world.engine([world.platform("A", limit=8, retry=se.Retry(attempts=1))])
    await outcomes_of(engine, [se.Event(n) for n in range(9)])
    times = world.ledger.requests["A"]
    assert [time - times[0] for time in times] == [0] * 8 + [3]


async def test_each_incident_doubles_the_penalty(autojump_clock):
    """2 s, 4 s, 8 s, while the platform goes on refusing."""
    world = World(default=[("request", 0, 429)])
    engine = world.engine([world.platform("A", limit=1, retry=se.Retry(attempts=1))])
    await outcomes_of(engine, [se.Event(n) for n in range(4)])
    times = world.ledger.requests["A"]
    assert [time - times[0] for time in times] == [0, 2, 6, 14]


async def test_what_exceeds_the_patience_fails_and_says_until_when(autojump_clock):
    """`Retry-After` of an hour, with a patience of a minute: whoever would wait fails at once, others go on."""
    world = World(
        scripts={("asks", "A"): [("request", 0, (429, 3600))], ("waits", "A"): [("sleep", 1), ("request", 0, 200)]},
        default=[("sleep", 1)],
    )
    engine = world.engine(
        [world.platform("A", limit=2, retry=se.Retry(patience=60)), world.platform("B", limit=1)], event_limit=50
    )

    begun = trio.current_time()
    events = [se.Event("asks", platforms=("A",)), se.Event("waits", platforms=("A",)), *map(se.Event, range(5))]
    outcomes, _ = await outcomes_of(engine, events)
    [again], _ = await outcomes_of(engine, [se.Event("later", platforms=("A",))])
    seconds = trio.current_time() - begun
    assert seconds == 5
    failures = {outcome.event.id: outcome.error for outcome in outcomes if isinstance(outcome, se.Failure)}
    assert set(failures) == {"asks", "waits", *map(str, range(5))}
    for id, error in [*failures.items(), ("later", again.error)]:
        assert isinstance(error, se.PlatformClosed), id
        assert 3594 < error.seconds <= 3600
    assert isinstance(failures["asks"].__cause__, se.StatusError)
    assert sum(isinstance(outcome, se.Success) for outcome in outcomes) == 5


def test_penalties_stay_with_the_engine_between_runs():
    """A second run, even in another trio run with another clock, keeps to the `Retry-After` that the first one got."""
    world = World(scripts={("first", "A"): [("request", 0, (429, 30))]}, default=[("request", 0, 200)])
    engine = world.engine([world.platform("A", retry=se.Retry(attempts=1))])

    async def run(event):
        begun = trio.current_time()
        await outcomes_of(engine, [se.Event(event)])
        return trio.current_time() - begun

    assert virtually(run, "first") == 0
    world.ledger.closed_until.clear()  # times of the first clock
    assert virtually(run, "second") == pytest.approx(30, abs=1)


async def test_without_patience_a_task_fails_at_once(autojump_clock):
    """An hour's `Retry-After` and little patience: no backoff is waited out first."""
    world = World(default=[("request", 0, (429, 3600))])
    engine = world.engine([world.platform("A", retry=se.Retry(initial_wait=30, patience=60))])

    begun = trio.current_time()
    [outcome], _ = await outcomes_of(engine, [se.Event(1)])
    seconds = trio.current_time() - begun
    assert isinstance(outcome, se.Failure)
    assert isinstance(outcome.error, se.PlatformClosed)
    assert seconds == 0
